//! The files on the machine that a role's templates become: compared, written in one step, removed. What is in them is made in
//! `template.rs`.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Component, Path, PathBuf},
};

use rebar_proto::v1::{Dispatch, Template};
use rustix::{
    fs::OFlags,
    process::{getegid, geteuid},
};
use serde_json::{Map, Value};

use crate::{
    disk::{durable, layout::AttemptDir},
    error::{Context, Error},
    supervise::{
        hunk::hunk,
        template::{MAX_RENDERED, Words, render},
    },
};

/// The most templates that a role may have.
const MAX_TEMPLATES: usize = 64;
/// How much of what would change is shown.
const MAX_DIFF: usize = 64 * 1024;
/// Readable for everybody; configuration is.
const OPEN: u32 = 0o644;
/// Only for root: there may be a secret in it.
const PRIVATE: u32 = 0o600;
/// What a directory on the way to a target gets.
const DIRECTORY: u32 = 0o755;

/// A file that is to be there.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    text: Vec<u8>,
    mode: u32,
}

/// The files of a role's templates, rendered.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    all: Vec<Target>,
    attempt: u64,
    is_shown: bool,
}

impl Targets {
    /// Renders every template of an order. Nothing is written.
    pub(crate) fn render(dir: &AttemptDir, dispatch: &Dispatch, inputs: &Map<String, Value>) -> Result<Self, Error> {
        let (words, mode) =
            if dispatch.secret_inputs.is_empty() { (Words::Open, OPEN) } else { (Words::Guarded, PRIVATE) };
        let mut all = Vec::new();
        for (template, path) in dispatch.templates.iter().zip(paths(&dispatch.templates)?) {
            all.push(Target { path, text: render(dir, template, inputs, words)?, mode });
        }
        Ok(Self { all, attempt: dispatch.attempt, is_shown: words == Words::Open })
    }

    /// Whether every file is there as it should be.
    pub(crate) fn are_so(&self) -> Result<bool, Error> {
        for target in &self.all {
            if !target.is_so()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what is missing or different, and nothing else.
    pub(crate) fn write(&self) -> Result<(), Error> {
        self.all.iter().try_for_each(|target| target.write(self.attempt))
    }

    /// Adds what would change to what the check says would; with a secret among the inputs, nothing.
    pub(crate) fn show_difference(&self, dir: &AttemptDir) -> Result<(), Error> {
        if !self.is_shown {
            return Ok(());
        }
        let mut text = String::new();
        for target in &self.all {
            text.push_str(&target.difference()?);
        }
        text.truncate(text.floor_char_boundary(MAX_DIFF));
        let path = dir.diff();
        // The directory may be another user's, who is not to say where the agent writes.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let file = OpenOptions::new().append(true).create(true).mode(OPEN).custom_flags(flags).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).at(path)
    }
}

/// Removes the files of these templates; those that are gone already are as well.
pub(crate) fn remove(templates: &[Template]) -> Result<(), Error> {
    for path in paths(templates)? {
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_parent(&path)?,
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error).at(path),
        }
    }
    Ok(())
}

/// Where the templates go, each to a place of its own.
fn paths(templates: &[Template]) -> Result<Vec<PathBuf>, Error> {
    if templates.len() > MAX_TEMPLATES {
        let count = templates.len();
        return Err(Error::Setup(format!("the role has {count} templates, more than {MAX_TEMPLATES}")));
    }
    let mut seen = BTreeSet::new();
    for Template { path, target } in templates {
        let place = Path::new(target);
        let is_plain = place.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !place.is_absolute() || !is_plain || place.file_name().is_none() || target.ends_with('/') {
            let message = format!("template {path}: the target {target:?} is not the absolute path of a file");
            return Err(Error::Setup(message));
        }
        if !seen.insert(place) {
            return Err(Error::Setup(format!("template {path}: another template has the target {target:?}")));
        }
    }
    Ok(templates.iter().map(|it| PathBuf::from(&it.target)).collect())
}

impl Target {
    fn is_so(&self) -> Result<bool, Error> {
        let Some(metadata) = look(&self.path)? else { return Ok(false) };
        Ok(self.is_ours(&metadata) && self.has_text(&metadata)?)
    }

    fn is_ours(&self, metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o7777 == self.mode && metadata.uid() == geteuid().as_raw()
    }

    fn has_text(&self, metadata: &Metadata) -> Result<bool, Error> {
        if !metadata.is_file() || metadata.len() != self.text.len() as u64 {
            return Ok(false);
        }
        Ok(fs::read(&self.path).at(&self.path)? == self.text)
    }

    fn write(&self, attempt: u64) -> Result<(), Error> {
        match look(&self.path)? {
            Some(metadata) if metadata.is_dir() => {
                Err(Error::Setup(format!("the target {} is a directory", self.path.display())))
            }
            Some(metadata) if self.has_text(&metadata)? => {
                if self.is_ours(&metadata) {
                    return Ok(());
                }
                chown(&self.path, Some(geteuid().as_raw()), Some(getegid().as_raw())).at(&self.path)?;
                fs::set_permissions(&self.path, Permissions::from_mode(self.mode)).at(&self.path)
            }
            Some(_) | None => self.replace(attempt),
        }
    }

    /// Puts a new file in the place of whatever is there, so that nobody ever reads half of it.
    fn replace(&self, attempt: u64) -> Result<(), Error> {
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(DIRECTORY).create(parent).at(parent)?;
        // Not the target's own name with an end: services read all files of a directory that end in one way.
        let temporary = parent.join(format!(".rebar-{attempt}"));
        match fs::remove_file(&temporary) {
            Err(error) if !is_missing(&error) => return Err(error).at(temporary),
            _ => {}
        }
        let placed = self.create(&temporary).and_then(|()| fs::rename(&temporary, &self.path).at(&self.path));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        placed.and_then(|()| durable::sync_parent(&self.path))
    }

    /// A file that is there completely, and was never readable for more than it is meant for.
    fn create(&self, path: &Path) -> Result<(), Error> {
        let write = |mut file: File| {
            file.write_all(&self.text)?;
            file.set_permissions(Permissions::from_mode(self.mode))?;
            file.sync_all()
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
        file.and_then(write).at(path)
    }

    /// What would change, as a unified diff; nothing where only owner or mode would.
    fn difference(&self) -> Result<String, Error> {
        let before = match look(&self.path)? {
            None => None,
            Some(metadata) if metadata.is_file() && metadata.len() <= MAX_RENDERED as u64 => {
                Some(fs::read(&self.path).at(&self.path)?)
            }
            Some(_) => return Ok(format!("{} is not a plain file and would be replaced\n", self.path.display())),
        };
        let name = self.path.display().to_string();
        let old_name = if before.is_some() { &name } else { "/dev/null" };
        let before = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
        Ok(hunk(&before, &String::from_utf8_lossy(&self.text))
            .map(|hunk| format!("--- {old_name}\n+++ {name}\n{hunk}"))
            .unwrap_or_default())
    }
}

/// What stands at a path, links not followed.
fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::State;

    fn template(path: &str, target: &str) -> Template {
        Template { path: path.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn a_target_is_the_absolute_path_of_a_file_and_of_one_template() {
        for target in ["", "etc/x", "/", "/etc/", "/etc/../root/x", "./x"] {
            let wrong = paths(&[template("a.tera", target)]).expect_err(target).to_string();
            assert_eq!(wrong, format!("template a.tera: the target {target:?} is not the absolute path of a file"));
        }
        let twice = paths(&[template("a", "/etc/x"), template("b", "/etc//x")]).expect_err("twice").to_string();
        assert_eq!(twice, "template b: another template has the target \"/etc//x\"");
        let many: Vec<Template> = (0..=MAX_TEMPLATES).map(|it| template("a", &format!("/etc/{it}"))).collect();
        assert!(paths(&many).is_err() && paths(&many[1..]).is_ok());
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn only_what_differs_is_written() {
        let home = tempfile::tempdir().expect("directory");
        let path = home.path().join("new/place/file.conf");
        let mut target = Target { path: path.clone(), text: b"one\n".to_vec(), mode: OPEN };
        assert!(!target.is_so().expect("looked"));
        target.write(7).expect("written");
        assert!(target.is_so().expect("looked"));
        assert_eq!((fs::read(&path).expect("read"), mode(&path)), (b"one\n".to_vec(), OPEN));
        let before = fs::metadata(&path).expect("there");
        target.write(7).expect("nothing to do");
        let after = fs::metadata(&path).expect("there");
        assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
        // A secret came among the inputs: the same text is for fewer eyes.
        target.mode = PRIVATE;
        assert!(!target.is_so().expect("looked"));
        target.write(7).expect("mode");
        assert_eq!((mode(&path), fs::metadata(&path).expect("there").ino()), (PRIVATE, before.ino()));
        target.text = b"two\n".to_vec();
        target.write(7).expect("replaced");
        assert_ne!(fs::metadata(&path).expect("there").ino(), before.ino());
        assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("list").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let home = tempfile::tempdir().expect("directory");
        let (other, path) = (home.path().join("other"), home.path().join("link"));
        fs::write(&other, "one\n").expect("file");
        std::os::unix::fs::symlink(&other, &path).expect("link");
        let target = Target { path: path.clone(), text: b"one\n".to_vec(), mode: OPEN };
        assert!(!target.is_so().expect("looked"));
        target.write(7).expect("written");
        assert!(fs::symlink_metadata(&path).expect("there").is_file() && target.is_so().expect("looked"));
        let directory = Target { path: home.path().to_owned(), text: Vec::new(), mode: OPEN };
        assert!(directory.write(7).expect_err("directory").to_string().ends_with("is a directory"));
    }

    /// What differs for a file that is not there yet, and how much of that is shown.
    fn shown(text: &str) -> (String, String) {
        let home = tempfile::tempdir().expect("directory");
        let root = home.path().join("attempts/1");
        fs::create_dir_all(root.join("io")).expect("directory");
        let dir = State::at(home.path()).expect("state").attempt(1);
        let target = Target { path: home.path().join("file.conf"), text: text.as_bytes().to_vec(), mode: OPEN };
        let whole = target.difference().expect("difference");
        Targets { all: vec![target], attempt: 1, is_shown: true }.show_difference(&dir).expect("shown");
        (whole, fs::read_to_string(dir.diff()).expect("text"))
    }

    #[test]
    fn the_difference_is_cut_where_it_is_too_long() {
        let around = shown("\n").0.len() - 1;
        let line = |letter: &str, bytes: usize| letter.repeat(bytes / letter.len()) + "\n";
        let (whole, shown_of_it) = shown(&line("x", MAX_DIFF - around - 1));
        assert_eq!(whole.len(), MAX_DIFF);
        assert!(shown_of_it == whole, "up to the limit all is shown");
        let (whole, shown_of_it) = shown(&line("x", MAX_DIFF - around));
        assert_eq!((whole.len(), shown_of_it.len()), (MAX_DIFF + 1, MAX_DIFF));
        assert!(whole.starts_with(&shown_of_it));
        // A letter is shown or not, and never half of it.
        let (whole, shown_of_it) = shown(&line("\u{1f980}", 2 * MAX_DIFF));
        assert!((MAX_DIFF - 3..=MAX_DIFF).contains(&shown_of_it.len()), "{}", shown_of_it.len());
        assert!(whole.starts_with(&shown_of_it));
    }
}
