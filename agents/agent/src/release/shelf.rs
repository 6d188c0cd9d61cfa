//! Where releases lie: a directory each, named by the digest of the program, with what was signed beside it. A directory is there
//! completely or not at all. The name `release` in the state leads to the one that this machine is.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::{
    disk::{
        durable, journal,
        layout::{State, make_directory},
    },
    error::{Context, Error},
    release::statement::{Signed, Statement},
};

/// The largest program, in bytes; the engine takes in no larger one.
pub const MAX_PROGRAM: u64 = 64 * 1024 * 1024;
/// The program of a release in its directory.
const PROGRAM: &str = "rebar-agent";
/// What was signed, beside it.
const SIGNED: &str = "release.json";
/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// A release on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// Its program.
    pub program: PathBuf,
    /// What was signed about it.
    pub signed: Signed,
    /// The same, read.
    pub statement: Statement,
}

impl Shelved {
    /// The release of a digest, if it is here.
    pub fn find(state: &State, sha256: &str) -> Option<Self> {
        Self::at(&state.releases().join(sha256)).filter(|it| it.statement.sha256 == sha256)
    }

    /// The release that this machine is; none for the program that it was installed with.
    pub fn current(state: &State) -> Option<Self> {
        Self::at(&fs::canonicalize(state.release()).ok()?)
    }

    fn at(directory: &Path) -> Option<Self> {
        let text = fs::read(directory.join(SIGNED)).ok()?;
        let signed: Signed = serde_json::from_slice(&text).ok()?;
        let statement = signed.read().ok()?;
        Some(Self { program: directory.join(PROGRAM), signed, statement })
    }
}

/// The release that this program is; none for one that was installed in another way.
pub fn running() -> Option<Shelved> {
    let program = std::env::current_exe().ok()?;
    Shelved::at(program.parent()?).filter(|it| it.program == program)
}

/// Puts a program on the shelf when it is what was signed; the error says why it is not there.
pub fn put(state: &State, signed: &Signed, statement: &Statement, program: &Path) -> Result<Shelved, Error> {
    let directory = state.releases().join(&statement.sha256);
    let draft = state.releases().join(format!("{}.new", statement.sha256));
    durable::remove_tree(&draft)?;
    make_directory(&draft, 0o755)?;
    let target = draft.join(PROGRAM);
    let found = copy(program, &target)?;
    if found != statement.sha256 {
        durable::remove_tree(&draft)?;
        return Err(Error::Setup(format!("the program has the digest {found}, and {} was signed", statement.sha256)));
    }
    let text = serde_json::to_vec_pretty(signed).map_err(|error| Error::Setup(error.to_string()))?;
    durable::write(&draft.join(SIGNED), &text)?;
    // One that is there already may be a damaged one.
    durable::remove_tree(&directory)?;
    fs::rename(&draft, &directory).at(&directory)?;
    durable::sync_parent(&directory)?;
    Ok(Shelved { program: directory.join(PROGRAM), signed: signed.clone(), statement: statement.clone() })
}

/// The SHA-256 digest of a file.
pub fn digest(path: &Path) -> Result<String, Error> {
    pour(path, |_| Ok(()))
}

/// Copies a program; the digest of what was copied. It is durable when this returns.
fn copy(from: &Path, to: &Path) -> Result<String, Error> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(to).at(to)?;
    let digest = pour(from, |piece| file.write_all(piece).at(to))?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).at(to)?;
    file.sync_all().at(to)?;
    Ok(digest)
}

fn pour(path: &Path, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<String, Error> {
    let mut file = File::open(path).at(path)?;
    let length = file.metadata().at(path)?.len();
    if length > MAX_PROGRAM {
        return Err(Error::Setup(format!("the program has {length} bytes, and {MAX_PROGRAM} are the most")));
    }
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).at(path)? {
            0 => return Ok(hex::encode(context.finish())),
            length => {
                context.update(&piece[..length]);
                take(&piece[..length])?;
            }
        }
    }
}

/// Has the name lead to a release, in one step that a power cut does not undo.
pub fn become_it(state: &State, release: &Shelved) -> Result<(), Error> {
    let name = state.release();
    let draft = name.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at(&draft),
        _ => {}
    }
    symlink(Path::new("releases").join(&release.statement.sha256), &draft).at(&draft)?;
    fs::rename(&draft, &name).at(&name)?;
    durable::sync_parent(&name)
}

/// Has this machine be the program that it was installed with again.
pub fn become_installed(state: &State) -> Result<(), Error> {
    let name = state.release();
    match fs::remove_file(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at(&name),
        Ok(()) => durable::sync_parent(&name),
    }
}

/// Removes the releases that nothing needs: neither this machine, nor the one before, nor an attempt.
pub fn prune(state: &State, keep: &[&str]) -> Result<(), Error> {
    let attempts = state.list()?;
    let entries = attempts.iter().filter_map(|it| journal::read(it).ok().flatten());
    let programs: Vec<PathBuf> = entries.map(|(_, entry)| PathBuf::from(entry.program)).collect();
    let releases = state.releases();
    for entry in fs::read_dir(&releases).at(&releases)? {
        let entry = entry.at(&releases)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_used = programs.iter().any(|it| it.starts_with(entry.path()));
        if !keep.contains(&name.as_str()) && !is_used {
            durable::remove_tree(&entry.path())?;
            durable::remove_tree(&state.bin(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_as_large_as_it_may_be() {
        let home = tempfile::tempdir().expect("directory");
        let state = State::open(&home.path().join("state")).expect("state");
        let program = home.path().join("program");
        // A file that has a length and nothing in it.
        let file = File::create(&program).expect("program");
        file.set_len(MAX_PROGRAM).expect("length");
        let sha256 = digest(&program).expect("digest");
        let statement = serde_json::json!({
            "kind": "rebar-agent-release", "version": "1.2.3", "platform": "linux/amd64", "sha256": sha256,
        });
        let signed = Signed { statement: statement.to_string(), key: String::new(), signature: String::new() };
        let statement = signed.read().expect("statement");
        let shelved = put(&state, &signed, &statement, &program).expect("shelved");
        assert_eq!(fs::metadata(&shelved.program).expect("there").len(), MAX_PROGRAM);
        file.set_len(MAX_PROGRAM + 1).expect("length");
        let refused = put(&state, &signed, &statement, &program).expect_err("one byte too many").to_string();
        assert_eq!(refused, format!("the program has {} bytes, and {MAX_PROGRAM} are the most", MAX_PROGRAM + 1));
        assert_eq!(Shelved::find(&state, &sha256), Some(shelved), "what was there stays");
    }
}
