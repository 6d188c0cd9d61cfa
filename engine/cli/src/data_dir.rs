//! The engine's own directory: the key that secrets are sealed with, the first operator's token, the CA certificate to pin. What is
//! remembered lives in the database, not here.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rebar_ports::Entropy;

/// The file with the key that secrets are sealed with.
const SEAL_KEY: &str = "seal.key";

/// The engine's own directory. One engine has it at a time; the lock goes with the process, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// An engine runs on the directory.
#[derive(Debug, thiserror::Error)]
#[error("an engine uses {0}: stop it, or name another directory with --data")]
pub struct InUse(String);

/// The key that an engine's directory has; none is made if there is none. An engine may run there.
pub fn existing_seal_key(directory: &Path) -> Result<Option<[u8; 32]>> {
    let path = directory.join(SEAL_KEY);
    match fs::read_to_string(&path) {
        Ok(text) => parse_key(&text, &path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn parse_key(text: &str, path: &Path) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    if hex::decode_to_slice(text.trim(), &mut key).is_err() {
        bail!("{} is not a key of 64 hexadecimal digits", path.display());
    }
    Ok(key)
}

/// What is durable in a directory is lost with the directory's own name, so that is made durable, and those above it, as far up as
/// this process may look: what it may not read it has not made.
fn sync_ancestors(path: &Path) {
    let synced = |it: &&Path| File::open(it).and_then(|directory| directory.sync_all()).is_ok();
    let path = path.canonicalize().unwrap_or_default();
    path.ancestors().skip(1).take_while(synced).for_each(drop);
}

impl DataDir {
    /// Opens the directory, made for its owner alone if it is not there.
    pub fn open(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("data directory {} cannot be made", path.display()))?;
        sync_ancestors(path);
        let lock = File::create(path.join("lock")).with_context(|| format!("{} cannot be locked", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(InUse(path.display().to_string()).into()),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The key that secrets are sealed with, made at the first start. Without it the database's secrets stay closed for ever.
    pub fn seal_key(&self, entropy: &dyn Entropy) -> Result<[u8; 32]> {
        parse_key(&self.secret(SEAL_KEY, || hex::encode(entropy.bytes()))?, &self.file(SEAL_KEY))
    }

    /// The first operator's token, made at the first start.
    pub fn admin_token(&self, entropy: &dyn Entropy) -> Result<String> {
        Ok(self.secret("admin.token", || hex::encode(entropy.bytes()))?.trim().to_owned())
    }

    /// Who the engine of this directory is, among those on one database: the same after a restart.
    pub fn holder(&self, entropy: &dyn Entropy) -> Result<String> {
        Ok(self.secret("holder.id", || hex::encode(&entropy.bytes()[..16]))?.trim().to_owned())
    }

    /// Writes the CA certificate, for people to pin.
    pub fn write_ca(&self, pem: &str) -> Result<PathBuf> {
        let path = self.file("ca.pem");
        fs::write(&path, pem).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    /// The content of a file that only its owner may read, made if it is not there, and there after a power cut. Two engines that
    /// start at once get the same.
    fn secret(&self, name: &str, make: impl FnOnce() -> String) -> Result<String> {
        let path = self.file(name);
        let read = || fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()));
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
        // There may be one already: an engine in a container has the same number after each crash.
        let draft = self.file(&format!("{name}.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", make())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft)?;
        File::open(&self.path)?.sync_all()?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("{} cannot be made", path.display()))
            }
            _ => read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Entropy for Always {
        fn bytes(&self) -> [u8; 32] {
            [self.0; 32]
        }
    }

    #[test]
    fn a_secret_is_made_once_whatever_a_crash_left() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::open(&directory.path().join("data")).unwrap();
        fs::write(data.file(&format!("{SEAL_KEY}.{}", std::process::id())), "half of a k").unwrap();
        let key = data.seal_key(&Always(1)).unwrap();
        assert_eq!(data.seal_key(&Always(2)).unwrap(), key);
        assert_eq!(existing_seal_key(&directory.path().join("data")).unwrap(), Some(key));
    }
}
