//! Reading what is wished for: VIPs and backends that can be understood, and why others cannot. Making them is done in `service.rs`.

use std::{collections::BTreeMap, net::SocketAddr};

use rebar_model::{HealthCheck, ReadyWhen, Resource, ResourceId, ResourceKind, Span};

/// The longest path of a check.
const MAX_PATH: usize = 1_024;

/// A VIP that is wished for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VipWish {
    pub(crate) endpoint: SocketAddr,
    pub(crate) check: HealthCheck,
}

/// A backend that is wished for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackendWish {
    pub(crate) vip: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) drain_timeout: Span,
    pub(crate) ready_when: ReadyWhen,
}

/// All that is wished for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) vips: BTreeMap<ResourceId, VipWish>,
    pub(crate) backends: BTreeMap<ResourceId, BackendWish>,
    pub(crate) refused: BTreeMap<ResourceId, String>,
}

impl Wishes {
    /// Reads resources. Of VIPs on one endpoint the one that `holders` knows is first, then the lowest.
    pub(crate) fn read(desired: &[Resource], holders: &BTreeMap<SocketAddr, ResourceId>) -> Self {
        let mut wishes = Self::default();
        for resource in desired {
            let read = match &resource.kind {
                ResourceKind::LbVip { address, port, check } => wishes.vip(resource, (*address, *port).into(), check),
                ResourceKind::LbBackend { vip, address, port, drain_timeout, ready_when } => {
                    places(vip, (*address, *port).into()).map(|(vip, address)| {
                        let (drain_timeout, ready_when) = (*drain_timeout, *ready_when);
                        let wish = BackendWish { vip, address, drain_timeout, ready_when };
                        wishes.backends.insert(resource.id(), wish);
                    })
                }
                _ => Ok(()),
            };
            if let Err(reason) = read {
                wishes.refused.insert(resource.id(), reason);
            }
        }
        wishes.refuse_doubles(holders);
        wishes
    }

    fn vip(&mut self, resource: &Resource, endpoint: SocketAddr, check: &HealthCheck) -> Result<(), String> {
        if endpoint.port() == 0 {
            return Err("port 0 is not a port to listen on".to_owned());
        }
        if let HealthCheck::Http { path } = check {
            let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !path.starts_with('/') || path.len() > MAX_PATH || !printable {
                return Err(format!(
                    "the path of the check has to start with `/`, without spaces, at most {MAX_PATH} characters"
                ));
            }
        }
        self.vips.insert(resource.id(), VipWish { endpoint, check: check.clone() });
        Ok(())
    }

    fn refuse_doubles(&mut self, holders: &BTreeMap<SocketAddr, ResourceId>) {
        let mut first: BTreeMap<SocketAddr, ResourceId> = BTreeMap::new();
        for (id, wish) in &self.vips {
            let holds = holders.get(&wish.endpoint) == Some(id);
            let place = first.entry(wish.endpoint).or_insert_with(|| id.clone());
            if holds {
                *place = id.clone();
            }
        }
        let refused = &mut self.refused;
        self.vips.retain(|id, wish| match first.get(&wish.endpoint) {
            Some(other) if other != id => {
                refused.insert(id.clone(), format!("{} is taken by {other}", wish.endpoint));
                false
            }
            _ => true,
        });
    }
}

/// The endpoint of a backend's VIP and the backend's own address.
fn places(vip: &str, address: SocketAddr) -> Result<(SocketAddr, SocketAddr), String> {
    let vip = vip.parse().map_err(|_| format!("`{vip}` is not the endpoint of a vip, such as 10.0.0.5:80"))?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(format!("{address} is not a place to connect to"));
    }
    Ok((vip, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::resource;

    #[test]
    fn the_path_of_a_check_is_as_long_as_it_may_be() {
        let refused = |length: usize| {
            let path = format!("/{}", "x".repeat(length - 1));
            let (address, port) = ("10.0.0.1".parse().unwrap(), 80);
            let vip = resource("vip", ResourceKind::LbVip { address, port, check: HealthCheck::Http { path } });
            let refused = Wishes::read(&[vip], &BTreeMap::new()).refused;
            refused.into_values().next()
        };
        assert_eq!(refused(MAX_PATH), None);
        assert!(refused(MAX_PATH + 1).is_some_and(|it| it.contains("1024")));
    }
}
