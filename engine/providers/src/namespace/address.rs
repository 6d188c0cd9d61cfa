//! Which node has which address: a file an address, named by it and holding the node's name, so that two engines on one network do
//! not give one away twice. A node is there while it has an address.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    net::Ipv4Addr,
    path::PathBuf,
};

use rebar_model::NodeName;
use rebar_ports::ProviderError;

use super::{NamespaceConfig, host::unavailable};

fn folder(config: &NamespaceConfig) -> PathBuf {
    config.folder().join("addresses")
}

/// All nodes with their addresses.
pub(super) fn list(config: &NamespaceConfig) -> Result<BTreeMap<NodeName, Ipv4Addr>, ProviderError> {
    let files = match fs::read_dir(folder(config)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        files => files.map_err(unavailable)?,
    };
    let mut nodes = BTreeMap::new();
    for file in files {
        let path = file.map_err(unavailable)?.path();
        let address = path.file_name().and_then(|it| it.to_str()?.parse().ok());
        let name = fs::read_to_string(&path).ok().and_then(|it| it.parse().ok());
        if let (Some(address), Some(name)) = (address, name) {
            nodes.insert(name, address);
        }
    }
    Ok(nodes)
}

/// Gives a node the lowest address that nobody has.
pub(super) fn reserve(config: &NamespaceConfig, name: &NodeName) -> Result<Ipv4Addr, ProviderError> {
    let NamespaceConfig { subnet, range, gateway, .. } = config;
    let folder = folder(config);
    fs::create_dir_all(&folder).map_err(unavailable)?;
    let usable = |it: &Ipv4Addr| it != gateway && *it != subnet.network() && *it != subnet.broadcast();
    for address in range.hosts().filter(usable) {
        match fs::File::create_new(folder.join(address.to_string())) {
            Ok(mut file) => {
                file.write_all(name.as_str().as_bytes()).map_err(unavailable)?;
                return Ok(address);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable(format!("{}: {error}", folder.display()))),
        }
    }
    Err(unavailable(format!("all addresses in {range} are taken; remove nodes or widen the range")))
}

/// Takes a node's address back.
pub(super) fn release(config: &NamespaceConfig, name: &NodeName) -> Result<(), ProviderError> {
    let Some(address) = list(config)?.get(name).copied() else { return Ok(()) };
    match fs::remove_file(folder(config).join(address.to_string())) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unavailable(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_once_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let config = NamespaceConfig {
            state: folder.path().to_owned(),
            subnet: "10.9.0.0/24".parse().unwrap(),
            range: "10.9.0.0/30".parse().unwrap(),
            gateway: Ipv4Addr::new(10, 9, 0, 1),
            ..NamespaceConfig::default()
        };
        let name = |it: &str| NodeName::new(it).unwrap();
        assert!(list(&config).unwrap().is_empty());
        // The address of the network is no host's, the first host is the gateway.
        assert_eq!(reserve(&config, &name("n1")).unwrap(), Ipv4Addr::new(10, 9, 0, 2));
        let full = reserve(&config, &name("n2")).unwrap_err().to_string();
        assert!(full.contains("10.9.0.0/30 are taken"), "{full}");
        for _ in 0..2 {
            release(&config, &name("n1")).unwrap();
        }
        assert_eq!(reserve(&config, &name("n2")).unwrap(), Ipv4Addr::new(10, 9, 0, 2));
        assert_eq!(list(&config).unwrap().into_keys().collect::<Vec<_>>(), [name("n2")]);
    }
}
