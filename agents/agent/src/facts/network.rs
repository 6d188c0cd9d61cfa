//! Network interfaces and addresses.

use std::{collections::BTreeMap, fs, net::IpAddr};

use if_addrs::{IfAddr, Interface, get_if_addrs};
use serde::Serialize;

use crate::facts::line;

#[derive(Debug, Default, Serialize)]
pub(super) struct Nic {
    name: String,
    mac: String,
    addresses: Vec<String>,
    up: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Addresses {
    primary: Option<IpAddr>,
    all: Vec<IpAddr>,
}

/// All interfaces but the loopback.
pub(super) fn nics() -> Vec<Nic> {
    let mut nics: BTreeMap<String, Nic> = BTreeMap::new();
    for device in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let Ok(name) = device.file_name().into_string() else { continue };
        let path = device.path();
        // An interface that is down has no carrier to read.
        let up = line(path.join("carrier")) == "1";
        if name != "lo" && path.join("address").exists() {
            nics.insert(name.clone(), Nic { name, mac: line(path.join("address")), addresses: Vec::new(), up });
        }
    }
    for interface in interfaces() {
        if let Some(nic) = nics.get_mut(&interface.name) {
            nic.addresses.push(with_prefix(&interface.addr));
        }
    }
    nics.into_values().collect()
}

/// The address that others reach this machine at, and all that are not only its own.
pub(super) fn addresses(towards_engine: Option<IpAddr>) -> Addresses {
    let interfaces = interfaces();
    let mut all: Vec<IpAddr> = interfaces.iter().map(Interface::ip).filter(is_global).collect();
    // IPv4 first.
    all.sort_by_key(IpAddr::is_ipv6);
    all.dedup();
    let by_route = || {
        let name = default_interface()?;
        let mut own = interfaces.iter().filter(|interface| interface.name == name).map(Interface::ip).filter(is_global);
        let first = own.next()?;
        Some(if first.is_ipv4() { first } else { own.find(IpAddr::is_ipv4).unwrap_or(first) })
    };
    let primary = towards_engine.map(|ip| ip.to_canonical()).filter(is_global);
    Addresses { primary: primary.or_else(by_route).or_else(|| all.first().copied()), all }
}

fn interfaces() -> Vec<Interface> {
    get_if_addrs().unwrap_or_default()
}

fn is_global(ip: &IpAddr) -> bool {
    !ip.is_loopback()
        && match ip {
            IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
        }
}

fn with_prefix(address: &IfAddr) -> String {
    match address {
        IfAddr::V4(address) => format!("{}/{}", address.ip, address.prefixlen),
        IfAddr::V6(address) => format!("{}/{}", address.ip, address.prefixlen),
    }
}

/// The interface of the default route.
fn default_interface() -> Option<String> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v4 = v4.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let v4 = v4.filter(|fields| fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"));
    let v4 = v4.min_by_key(|fields| fields.get(6).and_then(|metric| metric.parse::<u32>().ok()));
    if let Some(fields) = v4 {
        return fields.first().map(|name| (*name).to_owned());
    }
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let v6 = v6.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_default = |fields: &Vec<&str>| fields.get(1) == Some(&"00") && fields.last() != Some(&"lo");
    v6.into_iter().find(is_default)?.last().map(|name| (*name).to_owned())
}
