//! A small disk for tests that fill it: a filesystem in memory, mounted in a temporary directory, gone with the value that stands for
//! it. Mounting wants root.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// What the disk is filled with at a time, the large pieces first.
const PIECES: [usize; 3] = [1024 * 1024, 64 * 1024, 1024];

/// A filesystem of a given size.
#[derive(Debug)]
pub struct SmallDisk {
    /// Removed after the filesystem is gone.
    directory: TempDir,
}

impl SmallDisk {
    /// An empty one of so many MiB.
    pub fn new(mib: u32) -> Result<Self> {
        let directory = TempDir::with_prefix("rebar-disk-")?;
        let size = format!("size={mib}m,mode=755");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "rebar-disk"]).arg(directory.path()))?;
        Ok(Self { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fills it to the last block.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        for size in PIECES {
            let piece = vec![b'x'; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("the disk cannot be filled"),
                }
            }
        }
        Ok(())
    }

    /// Takes away what it was filled with.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("it was not filled")
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps the filesystem, out of sight, until they end.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
            eprintln!("a filesystem stays: {error:#}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
