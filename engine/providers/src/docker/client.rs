//! Reaching Docker Engine, and saying plainly why it cannot be reached.

use std::{io::ErrorKind, path::Path};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use rebar_ports::ProviderError;
use tokio::net::UnixStream;

/// How long Docker may take for one request, in seconds: removing a machine full of images takes a while.
const PATIENCE: u64 = 300;

/// The provider cannot be used.
pub(super) fn unavailable(detail: impl ToString) -> ProviderError {
    ProviderError::Unavailable { provider: "docker", detail: detail.to_string() }
}

/// Whether Docker said that something is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether something listens on the socket and lets us in.
pub(super) async fn reach(socket: &Path) -> Result<(), ProviderError> {
    let path = socket.display();
    match UnixStream::connect(socket).await.map_err(|error| error.kind()) {
        Ok(_) => Ok(()),
        Err(ErrorKind::NotFound) => Err(unavailable(format!(
            "there is no Docker Engine at {path}; `tests/setup/docker.sh` or `apt-get install docker.io` installs and starts one"
        ))),
        Err(ErrorKind::PermissionDenied) => Err(unavailable(format!(
            "no permission to use {path}; run as root, or `usermod -aG docker USER` and log in again"
        ))),
        Err(ErrorKind::ConnectionRefused) => Err(unavailable(format!(
            "Docker Engine does not run, although {path} is there; start it with `tests/setup/docker.sh` or `systemctl start docker`"
        ))),
        Err(kind) => Err(unavailable(format!("{path} cannot be used: {kind}"))),
    }
}

/// A client that speaks the version that Docker Engine speaks.
pub(super) async fn connect(socket: &Path) -> Result<Docker, ProviderError> {
    let path = socket.to_str().ok_or_else(|| unavailable("the path of the socket is not UTF-8"))?;
    let docker = Docker::connect_with_unix(path, PATIENCE, API_DEFAULT_VERSION).map_err(unavailable)?;
    docker.negotiate_version().await.map_err(unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_missing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no.sock");
        let error = reach(&missing).await.unwrap_err().to_string();
        assert!(error.contains("no.sock") && error.contains("apt-get install docker.io"), "{error}");
        let dead = folder.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let error = reach(&dead).await.unwrap_err().to_string();
        assert!(error.contains("does not run"), "{error}");
    }
}
