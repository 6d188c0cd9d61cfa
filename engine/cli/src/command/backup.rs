//! `rebar backup`: everything that an engine remembers, as of one moment, in one file. It reads the database itself, so it works
//! beside an engine, and where none runs any more.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, IsTerminal as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rebar_store_sql::{Backup, RowCounts, back_up};
use serde::Serialize;

use super::place::Place;
use crate::{
    app::App,
    clock,
    exit::Exit,
    failure::{Failure, Trouble},
    screen::words,
};

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar backup /var/backups/rebar.backup --force\n  rebar backup rebar.backup --database postgres://rebar@db/rebar\n  rebar backup - | ssh safe 'cat > rebar.backup'\n\nThe file can be restored into SQLite and PostgreSQL. Not in it is seal.key: without a copy of that, kept apart, a backup is worth nothing."
)]
pub struct Args {
    /// The file to write; - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Place,
}

/// What was taken.
#[derive(Debug, Serialize)]
struct View {
    file: PathBuf,
    taken_at: Timestamp,
    applied: u64,
    epoch: u64,
    rows: u64,
    tables: RowCounts,
    bytes: u64,
    seconds: f64,
}

/// Takes a backup.
pub async fn run(app: &App, args: &Args) -> Result<Exit, Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::new(Trouble::Argument, "a backup is nothing to read on a terminal").fix("name a file"));
    }
    let key = args.place.key()?;
    let (began, address) = (clock::now(), args.place.address());
    let failed = |error| args.place.failure(&error);
    let backup = if to_stdout {
        back_up(&address, &key, began, io::stdout()).await.map_err(failed)?
    } else {
        let mut draft = Draft::make(&args.file, args.force)?;
        let backup = back_up(&address, &key, began, BufWriter::new(&mut draft.file)).await.map_err(failed)?;
        draft.keep(&args.file)?;
        backup
    };
    let view = View::new(&args.file, backup, clock::now().duration_since(began).as_secs_f64());
    if to_stdout {
        app.output.say(&view.sentence());
    } else {
        app.output.data(&view, || vec![view.file.display().to_string()], |_| view.sentence())?;
    }
    Ok(Exit::Done)
}

impl View {
    fn new(file: &Path, backup: Backup, seconds: f64) -> Self {
        Self {
            file: file.to_owned(),
            taken_at: backup.label.at,
            applied: backup.label.applied.0,
            epoch: backup.label.epoch.0,
            rows: backup.rows.values().sum(),
            tables: backup.rows,
            bytes: backup.bytes,
            seconds,
        }
    }

    fn sentence(&self) -> String {
        let rows = words::count(usize::try_from(self.rows).unwrap_or(usize::MAX), "row");
        let (file, size) = (self.file.display(), size(self.bytes));
        format!("{file}: {rows} up to change {}, {size}, in {:.1} s\n", self.applied, self.seconds)
    }
}

/// A number of bytes as people say it.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => format!("{}.{} {word}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A file that is not yet what it is to be: beside it, for its owner alone, and gone if the backup fails.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn make(target: &Path, force: bool) -> Result<Self, Failure> {
        let trouble = |error: io::Error| Failure::new(Trouble::File, format!("{}: {error}", target.display()));
        match fs::symlink_metadata(target) {
            Ok(there) if there.is_dir() => return Err(trouble(ErrorKind::IsADirectory.into())),
            Ok(_) if !force => {
                let failure = Failure::plain(Exit::Conflict, format!("{} is there already", target.display()));
                let failure = Failure { code: Some("RB4108".to_owned()), ..failure };
                return Err(failure.fix("choose another name, or say --force to write over it"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(trouble(error)),
        }
        let mut name = target.file_name().ok_or_else(|| trouble(ErrorKind::InvalidInput.into()))?.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(trouble)?;
        Ok(Self { path, file })
    }

    /// Makes it what it is to be; when this returns, it is there after a power cut too.
    fn keep(self, target: &Path) -> Result<(), Failure> {
        let parent = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        let kept = kept.and_then(|()| File::open(parent)?.sync_all());
        kept.map_err(|error| Failure::new(Trouble::File, format!("{}: {error}", target.display())))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already when it was kept; and where it cannot be removed, nobody is helped by hearing so.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, text) in [(7, "7 bytes"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB"), ((1 << 20) - 1, "1023.9 KiB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_draft_that_is_not_kept_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("rebar.backup");
        drop(Draft::make(&target, false).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        Draft::make(&target, false).unwrap().keep(&target).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let again = Draft::make(&target, false).err().and_then(|it| it.code);
        assert_eq!(again.as_deref(), Some("RB4108"));
        Draft::make(&target, true).unwrap().keep(&target).unwrap();
    }
}
