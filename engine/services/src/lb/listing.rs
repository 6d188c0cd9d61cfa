//! What people see of the load balancer: VIPs, backends, health and counts, read at the moment they ask.

use std::{net::SocketAddr, sync::Arc};

use rebar_model::{HealthCheck, ResourceId};
use serde::Serialize;

use super::{backend::Backend, health::Status, vip::Traffic};

/// All VIPs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LbListing {
    /// The VIPs.
    pub vips: Vec<VipListing>,
}

/// One VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VipListing {
    /// The resource.
    pub owner: String,
    /// Address and port.
    pub endpoint: SocketAddr,
    /// How its backends are checked.
    pub check: HealthCheck,
    /// How many connections are open.
    pub open: usize,
    /// How many connections ever came.
    pub total: u64,
    /// How many of them were refused, for want of a healthy backend or because there were too many.
    pub refused: u64,
    /// Its backends.
    pub backends: Vec<BackendListing>,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendListing {
    /// The resource.
    pub owner: String,
    /// Address and port.
    pub endpoint: SocketAddr,
    /// `up`, `down`, `unknown` (no check has succeeded yet), `suspect` (up, but just failed a connection) or `draining`.
    pub health: &'static str,
    /// Why the last check or connection failed.
    pub error: Option<String>,
    /// How many connections are open.
    pub open: usize,
    /// How many connections it ever had.
    pub total: u64,
}

/// Where a listing is read from.
#[derive(Default)]
pub(crate) struct Directory {
    pub(crate) vips: Vec<Entry>,
}

/// One VIP of the directory.
pub(crate) struct Entry {
    pub(crate) id: ResourceId,
    pub(crate) endpoint: SocketAddr,
    pub(crate) check: HealthCheck,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) draining: Vec<Arc<Backend>>,
}

impl Directory {
    pub(crate) fn list(&self) -> LbListing {
        LbListing { vips: self.vips.iter().map(Entry::list).collect() }
    }
}

impl Entry {
    fn list(&self) -> VipListing {
        let active = self.traffic.pool.all();
        let active = active.iter().map(|it| list(it, false));
        let backends = active.chain(self.draining.iter().map(|it| list(it, true)));
        VipListing {
            owner: self.id.to_string(),
            endpoint: self.endpoint,
            check: self.check.clone(),
            open: self.traffic.open(),
            total: self.traffic.total(),
            refused: self.traffic.refused(),
            backends: backends.collect(),
        }
    }
}

fn list(backend: &Backend, draining: bool) -> BackendListing {
    let health = backend.health().clone();
    let word = match health.status {
        _ if draining => "draining",
        Status::Up if health.suspect => "suspect",
        Status::Up => "up",
        Status::Down => "down",
        Status::Unknown => "unknown",
    };
    BackendListing {
        owner: backend.id.to_string(),
        endpoint: backend.address,
        health: word,
        error: health.error,
        open: backend.open(),
        total: backend.total(),
    }
}
