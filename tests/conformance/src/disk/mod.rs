//! A disk for tests whose power can be cut: a file system of its own (FUSE) that keeps what is written in memory and remembers what was
//! synced. At the cut everything begins to fail; what is left then goes on a new disk. What is left is decided in `image.rs`, what
//! programs see of it is in `fuse.rs`.

mod fuse;
mod image;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use rustix::mount::{UnmountFlags, unmount};

pub use image::{Image, Loss};

use fuse::{Files, Shared};

/// When the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// When it is cut by hand.
    Steady,
    /// In the middle of the operation after so many that changed or synced something.
    CutAfter(u64),
}

/// A disk that is mounted.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
}

impl Disk {
    /// Mounts a disk with something on it at a directory; needs root, or something like it, and /dev/fuse.
    pub fn mount(at: &Path, image: Image, power: Power) -> Result<Self> {
        let shared = Arc::new(Shared::new(image, power));
        let mut config = Config::default();
        // Everybody as on any disk: databases run as users of their own.
        config.acl = SessionACL::All;
        config.mount_options = vec![MountOption::DefaultPermissions, MountOption::FSName("rebar-test-disk".to_owned())];
        let session = Session::new(Files(shared.clone()), at, &config).and_then(Session::spawn).with_context(|| {
            format!(
                "no file system can be mounted at {}: run as root, with /dev/fuse and the kernel's fuse",
                at.display()
            )
        })?;
        Ok(Self { at: at.to_owned(), shared, session: Some(session) })
    }

    /// Cuts the power: from now on nothing is written, and nothing said to be.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Waits until the power is cut. Whether it was.
    pub fn wait_for_cut(&self, patience: Duration) -> bool {
        self.shared.wait_for_cut(patience)
    }

    /// How many operations changed or synced something so far.
    pub fn operations(&self) -> u64 {
        self.shared.operations()
    }

    /// Takes the disk out of the machine, as it is. Everybody who used it has to have ended.
    pub fn take_out(mut self) -> Image {
        self.cut();
        let image = self.shared.take();
        self.leave();
        image
    }

    /// Detached rather than unmounted: somebody may look at it still, and gets errors.
    fn leave(&mut self) {
        if let Some(session) = self.session.take() {
            let unmounted = unmount(&self.at, UnmountFlags::DETACH);
            debug_assert!(unmounted.is_ok(), "{unmounted:?}");
            drop(session);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.cut();
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn programs_see_a_file_system() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let disk = Disk::mount(directory.path(), Image::empty(), Power::Steady)?;
        fs::create_dir(at("d"))?;
        for number in 0..500 {
            fs::write(at(&format!("d/{number}")), format!("{number}"))?;
        }
        assert_eq!(fs::read_dir(at("d"))?.count(), 500);
        fs::rename(at("d/7"), at("d/8"))?;
        assert_eq!(fs::read_to_string(at("d/8"))?, "7");
        fs::hard_link(at("d/8"), at("link"))?;
        std::os::unix::fs::symlink("link", at("symlink"))?;
        assert_eq!(fs::read_to_string(at("symlink"))?, "7");
        fs::remove_dir_all(at("d"))?;
        fs::File::options().write(true).open(at("link"))?.sync_all()?;
        fs::File::open(directory.path())?.sync_all()?;
        fs::write(at("link"), "later")?;
        let left = disk.take_out().after_cut(Loss::All, &mut StdRng::seed_from_u64(1));
        let _disk = Disk::mount(directory.path(), left, Power::Steady)?;
        assert_eq!(fs::read_to_string(at("link"))?, "7");
        assert!(!at("d").exists());
        Ok(())
    }

    #[test]
    fn without_power_nothing_is_done() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let disk = Disk::mount(directory.path(), Image::empty(), Power::CutAfter(2))?;
        fs::write(at("one"), "1")?;
        let third = fs::File::open(directory.path())?.sync_all();
        assert!(third.is_err() && disk.wait_for_cut(Duration::ZERO));
        assert!(fs::write(at("two"), "2").is_err());
        let left = disk.take_out().after_cut(Loss::All, &mut StdRng::seed_from_u64(1));
        let _disk = Disk::mount(directory.path(), left, Power::Steady)?;
        assert!(!at("one").exists());
        Ok(())
    }
}
