//! Where everything lies below the state directory. Nothing is read or written here but directories.
//!
//! ```text
//! STATE/identity.json   who this machine is           STATE/attempts/<id>/dispatch.pb  the order, durable before the start
//! STATE/epoch           the highest epoch obeyed      STATE/attempts/<id>/status.json  how far it is
//! STATE/forgotten       attempts that are done with   STATE/attempts/<id>/result.pb    how it ended
//! STATE/content/<hex>   roles' content                STATE/attempts/<id>/log/         the spool
//! STATE/agent.sock      where supervisors knock       STATE/attempts/<id>/{work,io}/  what the role sees
//! STATE/release-keys    whose releases are taken      STATE/releases/<hex>/         releases of the agent, by digest
//! STATE/upgrade.json    what became of the last one   STATE/release                 leads to the one that this machine is
//! STATE/supervisors.log what supervisors say of themselves  STATE/bin/<release>/      the helper commands
//! ```

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    disk::durable,
    error::{Context, Error},
};

/// The agent's state directory.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Opens the directory and makes what is missing in it.
    pub fn open(root: &Path) -> Result<Self, Error> {
        make_directory(root, 0o711)?;
        let root = fs::canonicalize(root).at(root)?;
        let state = Self { root };
        make_directory(&state.content(), 0o700)?;
        // The helper commands of a role lead there, also of one that runs as another user.
        make_directory(&state.releases(), 0o755)?;
        // Others may pass through, since a role may run as another user; nobody may look around.
        make_directory(&state.attempts(), 0o711)?;
        // What is durable in a directory is lost with the directory's own name.
        durable::sync_parent(&state.attempts())?;
        durable::sync_ancestors(&state.root);
        Ok(state)
    }

    /// The directory of an agent that runs, as it is.
    pub fn at(root: &Path) -> Result<Self, Error> {
        Ok(Self { root: fs::canonicalize(root).at(root)? })
    }

    /// Keeps a second agent out for as long as the file is open.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.root.join("lock");
        let file = durable::create_private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(error).at(path),
        }
    }

    /// Who this machine is.
    pub fn identity(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    /// The highest epoch obeyed.
    pub fn epoch(&self) -> PathBuf {
        self.root.join("epoch")
    }

    /// Attempts that are done with.
    pub fn forgotten(&self) -> PathBuf {
        self.root.join("forgotten")
    }

    /// Roles' content by digest.
    pub fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    /// The release keys that this machine trusts.
    pub fn release_keys(&self) -> PathBuf {
        self.root.join("release-keys")
    }

    /// Releases of the agent by the digest of their program.
    pub fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// Leads to the release that this machine is.
    pub fn release(&self) -> PathBuf {
        self.root.join("release")
    }

    /// What became of the last upgrade.
    pub fn upgrade(&self) -> PathBuf {
        self.root.join("upgrade.json")
    }

    /// What supervisors have to say about themselves.
    pub fn supervisors_log(&self) -> PathBuf {
        self.root.join("supervisors.log")
    }

    /// The helper commands of a release; of the agent that was installed without one it is `installed`.
    pub fn bin(&self, release: &str) -> PathBuf {
        self.root.join("bin").join(release)
    }

    /// All attempts.
    pub fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One attempt.
    pub fn attempt(&self, attempt: u64) -> AttemptDir {
        AttemptDir { attempt, root: self.attempts().join(attempt.to_string()), state: self.root.clone() }
    }

    /// The attempts that have a directory.
    pub fn list(&self) -> Result<Vec<AttemptDir>, Error> {
        let attempts = self.attempts();
        let mut found = Vec::new();
        for entry in fs::read_dir(&attempts).at(&attempts)? {
            let name = entry.at(&attempts)?.file_name();
            if let Some(attempt) = name.to_str().and_then(|name| name.parse().ok()) {
                found.push(self.attempt(attempt));
            }
        }
        found.sort_by_key(|dir| dir.attempt);
        Ok(found)
    }
}

/// The directory of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptDir {
    attempt: u64,
    root: PathBuf,
    state: PathBuf,
}

impl AttemptDir {
    /// Makes the directories that the role and its supervisor need, anew.
    pub fn create(&self) -> Result<(), Error> {
        self.remove()?;
        make_directory(&self.root, 0o711)?;
        make_directory(&self.work(), 0o700)?;
        make_directory(&self.io(), 0o700)
    }

    /// Writes the inputs where the role finds them.
    pub fn write_inputs(&self, json: &[u8]) -> Result<(), Error> {
        let path = self.inputs();
        make_directory(path.parent().unwrap_or(&self.root), 0o711)?;
        durable::replace(&path, json)
    }

    /// Removes all of it. The order goes first: what is left of a removal that was cut short must not look like an attempt that
    /// waits for its start.
    pub fn remove(&self) -> Result<(), Error> {
        self.remove_inputs()?;
        durable::remove(&self.dispatch())?;
        durable::remove_tree(&self.root)
    }

    /// Removes the inputs, which may hold secrets.
    pub fn remove_inputs(&self) -> Result<(), Error> {
        durable::remove_tree(&runtime_root(&self.state).join(self.attempt.to_string()))
    }

    /// Its number.
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The order.
    pub fn dispatch(&self) -> PathBuf {
        self.root.join("dispatch.pb")
    }

    /// How far it is.
    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// How it ended.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.pb")
    }

    /// The spool of the log; there is none before the first word.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The role's own copy of its content.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// What the role writes for the agent.
    pub fn io(&self) -> PathBuf {
        self.root.join("io")
    }

    /// `$REBAR_OUTPUTS`.
    pub fn outputs(&self) -> PathBuf {
        self.io().join("outputs.json")
    }

    /// `$REBAR_CONTROL`.
    pub fn control(&self) -> PathBuf {
        self.io().join("control.json")
    }

    /// `$REBAR_DIFF`.
    pub fn diff(&self) -> PathBuf {
        self.io().join("diff")
    }

    /// `$REBAR_INPUTS`: in memory, where the machine has such a place.
    pub fn inputs(&self) -> PathBuf {
        runtime_root(&self.state).join(self.attempt.to_string()).join("inputs.json")
    }

    /// Where the inputs wait while the machine reboots.
    pub fn inputs_over_reboot(&self) -> PathBuf {
        self.root.join("inputs-over-reboot.json")
    }

    /// The state that it is part of, where a supervisor knocks.
    pub fn state(&self) -> State {
        State { root: self.state.clone() }
    }
}

/// Makes a directory, and those above it, with exactly this mode whatever the umask is.
pub fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(mode).create(path).at(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at(path)
}

/// Where secrets lie while an attempt runs: below /run when that is memory, else with the rest of the state. The name tells the
/// states of several agents on one machine apart.
fn runtime_root(state: &Path) -> PathBuf {
    const TMPFS: i64 = 0x0102_1994;
    let run = Path::new("/run");
    let in_memory = rustix::fs::statfs(run).is_ok_and(|stat| stat.f_type == TMPFS)
        && rustix::fs::access(run, rustix::fs::Access::WRITE_OK).is_ok();
    if in_memory {
        let name = blake3::hash(state.as_os_str().as_encoded_bytes()).to_hex();
        run.join("rebar-agent").join(&name[..12])
    } else {
        state.join("inputs")
    }
}
