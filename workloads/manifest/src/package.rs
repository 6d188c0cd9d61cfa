//! A workload package in memory: a folder of files with safe paths and bounded sizes, addressed by its content. Reading it
//! from a disk is the caller's work; packing it is `archive.rs`; what its documents mean is `read.rs`.

use std::{collections::BTreeMap, fmt::Write as _};

use rebar_model::Digest;

/// The most files in a package.
pub const MAX_FILES: usize = 4_000;
/// The largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// The largest package, in bytes of all its files.
pub const MAX_PACKAGE_BYTES: usize = 128 << 20;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 240;

/// A file of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

impl File {
    /// A text that is not executable.
    pub fn text(content: impl Into<String>) -> Self {
        Self { bytes: content.into().into_bytes(), executable: false }
    }

    /// A script.
    pub fn script(content: impl Into<String>) -> Self {
        Self { bytes: content.into().into_bytes(), executable: true }
    }
}

/// Why a folder or an archive cannot be a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The path leaves the package, or is not portable.
    #[error(
        "`{0}` is not a path inside a package: use relative paths with `/`, without `..`, backslashes and control characters"
    )]
    UnsafePath(String),
    /// The path is too long.
    #[error("the path `{0}` is longer than {MAX_PATH_BYTES} bytes")]
    LongPath(String),
    /// The path is both a file and a directory.
    #[error("`{0}` is both a file and a directory")]
    Collision(String),
    /// Something that is neither a file nor a directory.
    #[error("`{path}` is a {kind}: a package holds plain files only")]
    NotAFile {
        /// Where.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// The file is too large.
    #[error("`{0}` is larger than {MAX_FILE_BYTES} bytes")]
    LargeFile(String),
    /// The files together are too large.
    #[error("the package is larger than {MAX_PACKAGE_BYTES} bytes")]
    LargePackage,
    /// There are too many files.
    #[error("the package has more than {MAX_FILES} files")]
    ManyFiles,
    /// The archive is damaged.
    #[error("the archive is damaged")]
    Archive(#[source] std::io::Error),
}

/// A workload package in memory.
///
/// Paths are relative, separated by `/`. Files that [`Package::excludes`] names never enter it, so that they are part neither
/// of its digest nor of what is sent to an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    files: BTreeMap<String, File>,
    bytes: usize,
}

impl Package {
    /// A package of these files; those that [`Package::excludes`] names are left out.
    pub fn from_files(files: impl IntoIterator<Item = (String, File)>) -> Result<Self, PackageError> {
        let mut package = Self::default();
        for (path, file) in files {
            package.insert(&path, file)?;
        }
        Ok(package)
    }

    /// Whether a path stays outside of every package. That is so when one of its parts
    /// - begins with a dot (`.git`, `.rebar`, `.gitignore`, `.file.swp`),
    /// - is the directory `target`, or
    /// - is a backup of an editor: it ends in `~`, `.swp`, `.swo`, `.bak`, `.orig` or `.rej`, or is wrapped in `#`.
    pub fn excludes(path: &str) -> bool {
        path.split('/').filter(|part| !matches!(*part, "" | "." | "..")).any(|part| {
            part.starts_with('.')
                || part == "target"
                || part.ends_with('~')
                || (part.starts_with('#') && part.ends_with('#'))
                || part.rsplit_once('.').is_some_and(|(_, end)| matches!(end, "swp" | "swo" | "bak" | "orig" | "rej"))
        })
    }

    /// Adds a file, or replaces it; does nothing where [`Package::excludes`] says so.
    pub fn insert(&mut self, path: &str, file: File) -> Result<(), PackageError> {
        check_path(path)?;
        if Self::excludes(path) {
            return Ok(());
        }
        if file.bytes.len() > MAX_FILE_BYTES {
            return Err(PackageError::LargeFile(path.to_owned()));
        }
        self.check_collision(path)?;
        let old = self.files.get(path).map_or(0, |old| old.bytes.len());
        let bytes = self.bytes - old + file.bytes.len();
        if bytes > MAX_PACKAGE_BYTES {
            return Err(PackageError::LargePackage);
        }
        if self.files.len() >= MAX_FILES && !self.files.contains_key(path) {
            return Err(PackageError::ManyFiles);
        }
        self.bytes = bytes;
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    /// Takes a file out.
    pub fn remove(&mut self, path: &str) -> Option<File> {
        let file = self.files.remove(path)?;
        self.bytes -= file.bytes.len();
        Some(file)
    }

    /// A file.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// All files, ordered by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The files below a directory, their paths relative to it.
    pub fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files().filter_map(move |(path, file)| Some((path.strip_prefix(directory)?.strip_prefix('/')?, file)))
    }

    /// The names of the directories below `roles/`.
    pub fn role_directories(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.below("roles").filter_map(|(path, _)| path.split_once('/')).map(|(name, _)| name).collect();
        names.dedup();
        names
    }

    /// The address of the content: the digest of a listing with hash, mode, size and path of each file.
    pub fn digest(&self) -> Digest {
        let mut listing = String::from("rebar-package-v1\n");
        for (path, file) in self.files() {
            let mode = if file.executable { 'x' } else { '-' };
            // Writing to a string cannot fail. Paths hold no line breaks, so that the listing is unambiguous.
            let _ = writeln!(listing, "{} {mode} {} {path}", Digest::of(&file.bytes), file.bytes.len());
        }
        Digest::of(listing.as_bytes())
    }

    /// Refuses a file where a directory is, and a directory where a file is.
    fn check_collision(&self, path: &str) -> Result<(), PackageError> {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]).find(|parent| self.files.contains_key(*parent));
        let prefix = format!("{path}/");
        let below = self.files.range(prefix.clone()..).next().filter(|(it, _)| it.starts_with(&prefix));
        match (above, below) {
            (Some(parent), _) => Err(PackageError::Collision(parent.to_owned())),
            (None, Some(_)) => Err(PackageError::Collision(path.to_owned())),
            (None, None) => Ok(()),
        }
    }
}

/// Refuses paths that leave the package or mean different things on different machines.
pub(crate) fn check_path(path: &str) -> Result<(), PackageError> {
    if path.len() > MAX_PATH_BYTES {
        return Err(PackageError::LongPath(path.chars().take(60).collect::<String>() + "…"));
    }
    let parts = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if parts && !path.chars().any(|it| it.is_control() || it == '\\') {
        Ok(())
    } else {
        Err(PackageError::UnsafePath(path.to_owned()))
    }
}
