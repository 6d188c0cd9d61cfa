//! Packages and role directories as tar archives: the same files always give the same bytes, and what comes from outside is
//! held to the limits of `package.rs` while it is read.

use std::io::{self, Read};

use rebar_model::Digest;
use tar::{Archive, Builder, EntryType, Header};

use crate::package::{File, MAX_FILE_BYTES, MAX_FILES, Package, PackageError, check_path};

impl Package {
    /// The directory of a role as a deterministic archive, and its digest: what agents fetch.
    pub fn role_archive(&self, role: &str) -> (Digest, Vec<u8>) {
        let archive = pack(self.below(&format!("roles/{role}")));
        (Digest::of(&archive), archive)
    }

    /// The whole package as a deterministic archive, for transport.
    pub fn to_tar(&self) -> Vec<u8> {
        pack(self.files())
    }

    /// Reads an archive that anybody may have made; directories in it are ignored, links and devices refused.
    pub fn from_tar(archive: &[u8]) -> Result<Self, PackageError> {
        let mut package = Self::default();
        let mut archive = Archive::new(archive);
        for (count, entry) in archive.entries().map_err(PackageError::Archive)?.enumerate() {
            // Directories count too, so that an archive of nothing else ends as well.
            if count >= 2 * MAX_FILES {
                return Err(PackageError::ManyFiles);
            }
            let mut entry = entry.map_err(PackageError::Archive)?;
            let path = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|error| PackageError::UnsafePath(String::from_utf8_lossy(error.as_bytes()).into_owned()))?;
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                other => return Err(PackageError::NotAFile { path, kind: kind_of(other) }),
            }
            check_path(&path)?;
            let executable = entry.header().mode().map_err(PackageError::Archive)? & 0o111 != 0;
            let mut bytes = Vec::new();
            entry.by_ref().take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(PackageError::Archive)?;
            package.insert(&path, File { bytes, executable })?;
        }
        Ok(package)
    }
}

/// What an entry of an archive is, for people.
fn kind_of(entry: EntryType) -> &'static str {
    match entry {
        EntryType::Symlink => "symbolic link",
        EntryType::Link => "hard link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "pipe",
        _ => "special file",
    }
}

/// Packs files in the order given; owner, time and mode never depend on the machine.
fn pack<'a>(files: impl Iterator<Item = (&'a str, &'a File)>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, file) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        written(builder.append_data(&mut header, path, file.bytes.as_slice()));
    }
    builder.into_inner().unwrap_or_default()
}

/// Writing to memory fails only for paths that `check_path` has refused before.
fn written(result: io::Result<()>) {
    debug_assert!(result.is_ok(), "an archive in memory can be written: {result:?}");
}
