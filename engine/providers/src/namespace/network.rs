//! The bridge of light nodes, its way out, and a node's own network namespace. Its commands are those of iproute2 and iptables.

use std::net::Ipv4Addr;

use rebar_model::NodeName;
use rebar_ports::ProviderError;
use ring::digest::{SHA256, digest};

use super::{
    NamespaceConfig,
    host::{feed, find, run, unavailable},
};

/// Whether this machine forwards what is not for itself.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Sees to it that the bridge is there with the engine's address, and that nodes reach what is beyond.
pub(super) fn ensure(config: &NamespaceConfig) -> Result<(), ProviderError> {
    let NamespaceConfig { network, subnet, gateway, .. } = config;
    let wanted = format!("{gateway}/{}", subnet.prefix_len());
    match run("ip", &["-4", "-o", "address", "show", "dev", network]) {
        Ok(present) if present.split_whitespace().any(|it| it == wanted) => return Ok(()),
        Ok(present) => {
            return Err(unavailable(format!(
                "the interface `{network}` is there without {wanted} ({}); remove it with `ip link delete {network}`, or \
                 configure another network",
                present.trim()
            )));
        }
        Err(_) => {}
    }
    // An address of its own: without, a bridge takes the lowest of its ports, and nodes forget it with every one that comes.
    let mac = mac(*gateway);
    feed(
        "ip",
        &["-batch", "-"],
        &format!(
            "link add name {network} address {mac} type bridge forward_delay 0\n\
             address add {wanted} dev {network}\nlink set {network} up\n"
        ),
    )
    .map_err(unavailable)?;
    tracing::info!(network, %subnet, "network made");
    way_out(config)
}

/// Removes the bridge and the way out, if they are there.
pub(super) fn remove(config: &NamespaceConfig) -> Result<(), ProviderError> {
    if find("iptables").is_some() {
        for rule in rules(config) {
            // Not there, or gone with the bridge's first removal.
            let _ = run("iptables", &with("-D", &rule));
        }
    }
    gone(run("ip", &["link", "delete", &config.network])).map_err(unavailable)
}

/// Lets nodes out: forwarded, under this machine's address.
fn way_out(config: &NamespaceConfig) -> Result<(), ProviderError> {
    if find("iptables").is_none() {
        tracing::warn!("there is no iptables here: light nodes reach the engine and each other, and nothing beyond");
        return Ok(());
    }
    if std::fs::read_to_string(FORWARD).is_ok_and(|it| it.trim() == "0") {
        std::fs::write(FORWARD, "1").map_err(|error| unavailable(format!("{FORWARD}: {error}")))?;
    }
    for rule in rules(config) {
        if run("iptables", &with("-C", &rule)).is_err() {
            run("iptables", &with("-I", &rule)).map_err(unavailable)?;
        }
    }
    Ok(())
}

/// The rules, each a table, a chain and what follows. Docker closes forwarding, also between two ports of a bridge.
fn rules(config: &NamespaceConfig) -> [Vec<String>; 3] {
    let NamespaceConfig { network, subnet, .. } = config;
    let rule = |table: &str, chain: &str, rest: String| {
        let rest = format!("{rest} -m comment --comment rebar:{network}");
        [table, chain].into_iter().chain(rest.split(' ')).map(str::to_owned).collect()
    };
    [
        rule("filter", "FORWARD", format!("-i {network} -j ACCEPT")),
        rule("filter", "FORWARD", format!("-o {network} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
        rule("nat", "POSTROUTING", format!("-s {} ! -o {network} -j MASQUERADE", subnet.trunc())),
    ]
}

fn with<'a>(action: &'a str, rule: &'a [String]) -> Vec<&'a str> {
    let mut words = vec!["-w", "-t"];
    words.extend(rule.first().map(String::as_str));
    words.push(action);
    words.extend(rule.iter().skip(1).map(String::as_str));
    words
}

/// Makes a node's network namespace, with an interface on the bridge.
pub(super) fn make_link(config: &NamespaceConfig, node: &NodeName, address: Ipv4Addr) -> Result<(), String> {
    let NamespaceConfig { network, subnet, gateway, .. } = config;
    let (namespace, link, mac) = (config.machine(node), link(config, node), mac(address));
    feed(
        "ip",
        &["-batch", "-"],
        &format!(
            "netns add {namespace}\nlink add {link} type veth peer name eth0 address {mac} netns {namespace}\n\
             link set {link} master {network} up\n"
        ),
    )?;
    feed(
        "ip",
        &["-netns", &namespace, "-batch", "-"],
        &format!(
            "link set lo up\naddress add {address}/{} broadcast + dev eth0\nlink set eth0 up\nroute add default via {gateway}\n",
            subnet.prefix_len()
        ),
    )
}

/// Removes it; none is no error.
pub(super) fn remove_link(config: &NamespaceConfig, node: &NodeName) -> Result<(), String> {
    gone(run("ip", &["link", "delete", &link(config, node)]))?;
    gone(run("ip", &["netns", "delete", &config.machine(node)]))
}

/// What is not there need not be removed.
fn gone(removed: Result<String, String>) -> Result<(), String> {
    match removed {
        Err(said) if !said.contains("Cannot find device") && !said.contains("No such file") => Err(said),
        _ => Ok(()),
    }
}

/// The machine's end of a node's link. A name of an interface is too short for a node's.
fn link(config: &NamespaceConfig, node: &NodeName) -> String {
    let hash = hex::encode(digest(&SHA256, config.machine(node).as_bytes()));
    format!("rb-{}", &hash[..12])
}

/// An interface's address that goes with an IPv4 address, so that others need not learn it anew when a node is replaced.
fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_an_interface() {
        let config = NamespaceConfig::default();
        let long = NodeName::new(&format!("n{}", "x".repeat(62))).unwrap();
        assert_eq!(link(&config, &long).len(), 15);
        assert_ne!(link(&config, &long), link(&config, &NodeName::new("n").unwrap()));
        assert_eq!(mac(Ipv4Addr::new(172, 31, 0, 10)), "02:42:ac:1f:00:0a");
    }

    #[test]
    fn rules_are_commands() {
        let rules = rules(&NamespaceConfig::default());
        let command = with("-I", &rules[2]).join(" ");
        let expected = "-w -t nat -I POSTROUTING -s 172.31.0.0/16 ! -o rebar-light -j MASQUERADE -m comment --comment \
                        rebar:rebar-light";
        assert_eq!(command, expected);
    }
}
