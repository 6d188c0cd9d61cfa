//! Files that are either the old or the new one, or there or not, whatever happens. What is in them is not known here.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::error::{Context, Error};

/// Replaces a file in one step and returns when the new one would survive a power cut.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    let mut file = create_private(&temporary)?;
    file.write_all(bytes).at(&temporary)?;
    file.sync_data().at(&temporary)?;
    fs::rename(&temporary, path).at(path)?;
    sync_parent(path)
}

/// Replaces a file in one step: a reader sees the old or the new one, a power cut may lose both.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    create_private(&temporary)?.write_all(bytes).at(&temporary)?;
    fs::rename(&temporary, path).at(path)
}

/// How much of the digest stands before what is written once.
const CHECK: usize = 16;

/// Writes a file that is never replaced, and returns when it would survive a power cut. Until then a reader sees nothing: what it
/// holds is checked, which takes the disk one wait where a replacement takes two.
pub fn write_once(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = create_private(path)?;
    let mut whole = blake3::hash(bytes).as_bytes()[..CHECK].to_vec();
    whole.extend_from_slice(bytes);
    file.write_all(&whole).at(path)?;
    file.sync_data().at(path)?;
    sync_parent(path)
}

/// What there is of a file that is written once.
#[derive(Debug, PartialEq, Eq)]
pub enum Once {
    /// Nothing.
    Missing,
    /// Not all of it, or not yet.
    Torn,
    /// What was written.
    Whole(Vec<u8>),
}

/// Reads a file that is written once.
pub fn read_once(path: &Path) -> Result<Once, Error> {
    let Some(mut whole) = read(path)? else { return Ok(Once::Missing) };
    let is_whole = whole.len() >= CHECK && blake3::hash(&whole[CHECK..]).as_bytes()[..CHECK] == whole[..CHECK];
    Ok(if is_whole { Once::Whole(whole.split_off(CHECK)) } else { Once::Torn })
}

/// A new file that only its owner may read.
pub fn create_private(path: &Path) -> Result<File, Error> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).at(path)
}

/// Makes the name of a file durable.
pub fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|directory| directory.sync_all()).at(parent)
}

/// Makes the names of a directory and of those above it durable, as far up as this process may look: what it may not read it has
/// not made.
pub fn sync_ancestors(path: &Path) {
    let synced = |it: &&Path| File::open(it).and_then(|directory| directory.sync_all()).is_ok();
    path.ancestors().skip(1).take_while(synced).for_each(drop);
}

/// The whole file, or nothing when there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// Removes a file; it may be gone already.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(error).at(path),
        _ => Ok(()),
    }
}

/// Removes a directory and all in it; it may be gone already.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at(path),
        _ => Ok(()),
    }
}
