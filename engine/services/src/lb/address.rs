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
    (1..=MAX_INTERFACE).contains(&text.len())
        && text.starts_with(|it: char| it.is_ascii_alphanumeric())
        && text.chars().all(good)
}

/// Adds an address to an interface; one that is there already is no error.
pub(crate) async fn add(address: IpAddr, interface: &str) -> Result<(), String> {
    let label = label(interface);
    let options: Vec<&str> = match (address, &label) {
        (IpAddr::V4(_), Some(label)) => vec!["label", label],
        (IpAddr::V4(_), None) => Vec::new(),
        // An IPv6 address cannot be bound before its duplicates have been looked for; ours has none by design.
        (IpAddr::V6(_), _) => vec!["nodad"],
    };
    match ip("add", address, interface, &options).await {
        Err(error) if says(&error, &["file exists", "already assigned"]) => Ok(()),
        other => other,
    }
}

/// Takes an address away from an interface; one that is not there, or not ours, is no error. `added` says whether this process
/// added it.
pub(crate) async fn remove(address: IpAddr, interface: &str, added: bool) -> Result<(), String> {
    let label = label(interface);
    let options: Vec<&str> = match (address, &label) {
        // The kernel takes away an address with this label only.
        (IpAddr::V4(_), Some(label)) => vec!["label", label],
        _ if added => Vec::new(),
        _ => return Ok(()),
    };
    match ip("del", address, interface, &options).await {
        Err(error) if says(&error, &["cannot assign requested address", "address not found"]) => Ok(()),
        other => other,
    }
}

/// Whether `ip` says one of these; kernels differ in their words.
fn says(error: &str, words: &[&str]) -> bool {
    let error = error.to_ascii_lowercase();
    words.iter().any(|it| error.contains(it))
}

/// The label of our addresses on an interface, unless its name leaves no room for one.
fn label(interface: &str) -> Option<String> {
    let label = format!("{interface}:rebar");
    (label.len() <= MAX_INTERFACE).then_some(label)
}

async fn ip(verb: &str, address: IpAddr, interface: &str, options: &[&str]) -> Result<(), String> {
    let host = format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
    let mut command = Command::new("ip");
    command.args(["address", verb, &host, "dev", interface]).args(options).kill_on_drop(true);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_plain_names() {
        for (text, good) in
            [("eth0", true), ("br-0a1b", true), ("", false), ("-x", false), ("a b", false), ("a/b", false)]
        {
            assert_eq!(is_interface(text), good, "{text}");
        }
        assert!(is_interface(&"e".repeat(MAX_INTERFACE)) && !is_interface(&"e".repeat(MAX_INTERFACE + 1)));
        assert_eq!(label("eth0").as_deref(), Some("eth0:rebar"));
        assert_eq!(label("enp0s31f6abc"), None);
    }

    #[tokio::test]
    async fn what_is_not_there_is_taken_away_without_an_error() {
        let gone = remove(IpAddr::from([198, 18, 77, 9]), "lo", true).await;
        // Where addresses may not be changed at all, that is what is said.
        assert!(gone.is_ok() || says(gone.as_ref().unwrap_err(), &["not permitted", "missing"]), "{gone:?}");
    }
}
