//! Roles' content: archives by digest in a cache, and a fresh copy for every attempt. Getting an archive from the engine is in
//! `door/fetch.rs`.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use crate::{
    clock,
    disk::layout::{AttemptDir, State},
    error::{Context, Error},
    user::User,
};

/// How many archives the cache keeps.
const MAX_ARCHIVES: usize = 256;
/// How many bytes it keeps, begun transfers included; the archive used last is kept whatever its size.
const MAX_CACHE: u64 = 4 * 1024 * 1024 * 1024;
/// The largest archive, in bytes.
pub const MAX_ARCHIVE: u64 = 1024 * 1024 * 1024;

/// Where an archive lies, once it is there completely. The digest names a file, so it must look like one.
pub fn archive(state: &State, digest: &str) -> Result<PathBuf, Error> {
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_digest {
        let reason = "not 64 hexadecimal digits".to_owned();
        return Err(Error::Content { digest: digest.chars().take(80).collect(), reason });
    }
    Ok(state.content().join(digest))
}

/// Whether the archive is there, and whole: a power cut may have left a damaged one.
pub fn is_cached(state: &State, digest: &str) -> Result<bool, Error> {
    let path = archive(state, digest)?;
    if !path.exists() {
        return Ok(false);
    }
    if hash(&path)? == digest {
        return Ok(true);
    }
    tracing::warn!(digest, "damaged content dropped");
    fs::remove_file(&path).at(&path)?;
    Ok(false)
}

/// The BLAKE3 digest of a file.
pub fn hash(path: &Path) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).at(path)?).at(path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Unpacks an archive as the working directory of an attempt, for the user who runs it.
pub fn stage(state: &State, digest: &str, dir: &AttemptDir, user: Option<&User>) -> Result<(), Error> {
    if !digest.is_empty() {
        let path = archive(state, digest)?;
        let file = File::open(&path).at(&path)?;
        // What was used last is thrown away last.
        let _ = file.set_modified(clock::now());
        let mut archive = tar::Archive::new(std::io::BufReader::new(file));
        archive.set_preserve_ownerships(false);
        archive.unpack(dir.work()).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Error::File { path: dir.work(), source: io::Error::new(error.kind(), describe(&error)) }
            }
            _ => Error::Content { digest: digest.to_owned(), reason: describe(&error) },
        })?;
    }
    if let Some(user) = user {
        give(&dir.work(), user)?;
        give(&dir.io(), user)?;
    }
    Ok(())
}

/// Throws away the archives that were not used for longest.
pub fn prune(state: &State) -> Result<(), Error> {
    prune_to(&state.content(), MAX_ARCHIVES, MAX_CACHE)
}

fn prune_to(content: &Path, most: usize, most_bytes: u64) -> Result<(), Error> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(content).at(content)? {
        let entry = entry.at(content)?;
        let metadata = entry.metadata().at(entry.path())?;
        archives.push((metadata.modified().at(entry.path())?, metadata.len(), entry.path()));
    }
    archives.sort();
    let mut kept = 0_u64;
    for (index, (_, bytes, path)) in archives.into_iter().rev().enumerate() {
        kept = kept.saturating_add(bytes);
        if index > 0 && (index >= most || kept > most_bytes) {
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// Gives a tree to a user.
fn give(path: &Path, user: &User) -> Result<(), Error> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).at(path)?;
    if fs::symlink_metadata(path).at(path)?.is_dir() {
        for entry in fs::read_dir(path).at(path)? {
            give(&entry.at(path)?.path(), user)?;
        }
    }
    Ok(())
}

/// Gives one file to a user.
pub fn give_file(path: &Path, user: &User) -> Result<(), Error> {
    chown(path, Some(user.uid), Some(user.gid)).at(path)
}

/// An error of the archive reader with what caused it, on one line.
fn describe(error: &io::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cache_keeps_what_was_used_last_within_number_and_size() {
        let dir = tempfile::tempdir().expect("directory");
        let names = || {
            let entries = fs::read_dir(dir.path()).expect("list");
            let mut names: Vec<_> =
                entries.map(|it| it.expect("entry").file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names.concat()
        };
        for (age, name) in (1..).zip(["d", "c", "b", "a"]) {
            let path = dir.path().join(name);
            fs::write(&path, [0; 100]).expect("archive");
            let file = File::options().append(true).open(&path).expect("archive");
            let used = clock::now().checked_sub(Duration::from_secs(age)).expect("a time");
            file.set_modified(used).expect("age");
        }
        prune_to(dir.path(), 4, 400).expect("prune");
        assert_eq!(names(), "abcd");
        prune_to(dir.path(), 3, 400).expect("prune");
        assert_eq!(names(), "bcd");
        prune_to(dir.path(), 3, 299).expect("prune");
        assert_eq!(names(), "cd");
        prune_to(dir.path(), 3, 1).expect("prune");
        assert_eq!(names(), "d", "what is about to be used is not thrown away");
    }
}
