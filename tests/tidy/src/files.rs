//! The files of the repository, read once: everything but what builds and tools leave behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Directories that are not part of the repository.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];
/// Larger files are not written by hand.
const MAX_BYTES: u64 = 4 << 20;

/// A text file.
#[derive(Debug, Clone)]
pub struct File {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// Its lines, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Whether its name ends so.
    pub fn ends_with(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }

    /// Whether all of it is there for tests alone.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All text files below a directory, ordered by path.
pub fn read(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if kind.is_dir() && !SKIPPED.iter().any(|it| name == *it) {
                open.push(entry.path());
            } else if kind.is_file() && entry.metadata()?.len() <= MAX_BYTES {
                // What is not text has nothing to be read in it.
                let Ok(text) = String::from_utf8(fs::read(entry.path())?) else { continue };
                let path = entry.path().strip_prefix(root)?.display().to_string();
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
