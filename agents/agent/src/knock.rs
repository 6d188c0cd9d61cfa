//! The socket at which supervisors knock. The path of a Unix socket is short by law (108 bytes), a state directory's need not be,
//! so the address goes through an open directory.

use std::{
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use tokio::net::UnixDatagram;

use crate::error::{Context, Error};

const NAME: &str = "agent.sock";
const LONGEST: usize = 100;

/// Where to knock.
pub(crate) fn address(state: &Path) -> PathBuf {
    let plain = state.join(NAME);
    if plain.as_os_str().len() <= LONGEST {
        return plain;
    }
    match File::open(state) {
        Ok(directory) => {
            let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(NAME);
            // For the life of the process: the address names the descriptor.
            std::mem::forget(directory);
            short
        }
        Err(_) => plain,
    }
}

/// Opens the agent's ear.
pub(crate) fn listen(state: &Path) -> Result<UnixDatagram, Error> {
    let path = address(state);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at(path),
        _ => {}
    }
    UnixDatagram::bind(&path).at(path)
}

/// The attempt that a datagram names.
pub(crate) fn attempt(datagram: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(datagram.try_into().ok()?))
}
