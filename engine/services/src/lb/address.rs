//! Addresses of this host: a VIP whose address the host does not have is added to an interface as a host route (/32, /128), and taken
//! away with its last VIP. A host address of exactly that form on that interface counts as ours, also after a crash.

use std::{io, net::IpAddr, time::Duration};

use tokio::{process::Command, time::timeout};

/// How long `ip` may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest name of an interface (IFNAMSIZ without the final zero).
const MAX_INTERFACE: usize = 15;

/// Whether a text can be the name of an interface.
pub(crate) fn is_interface(text: &str) -> bool {
    let good = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '@' | ':');
    (1..=MAX_INTERFACE).contains(&text.len()) && text.starts_with(|it: char| it.is_ascii_alphanumeric()) && text.chars().all(good)
}

/// Adds an address to an interface; one that is there already is no error.
pub(crate) async fn add(address: IpAddr, interface: &str) -> Result<(), String> {
    // An IPv6 address cannot be bound before its duplicates have been looked for; ours has none by design.
    let flags: &[&str] = if address.is_ipv6() { &["nodad"] } else { &[] };
    match ip("add", address, interface, flags).await {
        Err(error) if error.contains("File exists") => Ok(()),
        other => other,
    }
}

/// Takes an address away from an interface; one that is gone already is no error.
pub(crate) async fn remove(address: IpAddr, interface: &str) -> Result<(), String> {
    match ip("del", address, interface, &[]).await {
        Err(error) if error.contains("Cannot assign requested address") => Ok(()),
        other => other,
    }
}

async fn ip(verb: &str, address: IpAddr, interface: &str, flags: &[&str]) -> Result<(), String> {
    let host = format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
    let mut command = Command::new("ip");
    command.args(["address", verb, &host, "dev", interface]).args(flags).kill_on_drop(true);
    let output = match timeout(PATIENCE, command.output()).await {
        Err(_) => return Err(format!("`ip address {verb}` took longer than {PATIENCE:?}")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err("the program `ip` is missing; install iproute2".to_owned());
        }
        Ok(Err(error)) => return Err(format!("`ip` did not start: {error}")),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("`ip` failed without a word").trim().to_owned())
}
