//! The embedded services, started when an engine leads and shut down when it does not any more. What they do is in
//! `rebar-services`.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use async_trait::async_trait;
use ipnet::IpNet;
use rebar_orchestrator::{Listing, ServiceKind};
use rebar_ports::Service;
use rebar_services::{Dns, DnsConfig, Ipam, LbConfig, LoadBalancer, Pki, PkiConfig, Waits};
use rebar_store_sql::SqlStore;

use super::Args;
use crate::system::SystemClock;

/// The embedded services.
pub(super) struct Services {
    dns: Option<Arc<Dns>>,
    ipam: Arc<Ipam>,
    lb: Arc<LoadBalancer>,
    pki: Arc<Pki>,
    waits: Arc<Waits>,
}

impl Services {
    pub(super) async fn start(args: &Args, store: Arc<SqlStore>, clock: Arc<SystemClock>) -> Result<Self> {
        let dns = if args.dns_listen.is_empty() {
            None
        } else {
            let nodes = [args.docker_subnet, args.namespace_subnet].map(IpNet::V4);
            let defaults = DnsConfig::default();
            let config = DnsConfig {
                listen: args.dns_listen.clone(),
                zones: args.dns_zones.clone(),
                upstreams: args.dns_upstreams.clone(),
                forward_for: defaults.forward_for.into_iter().chain(nodes).collect(),
            };
            Some(Arc::new(Dns::start(config, clock.clone()).await.context("the DNS server")?))
        };
        let lb = LbConfig { interface: args.lb_interface.clone(), ..LbConfig::default() };
        Ok(Self {
            dns,
            ipam: Arc::new(Ipam::start(store.clone()).await?),
            lb: Arc::new(LoadBalancer::start(lb).await?),
            pki: Arc::new(Pki::start(PkiConfig::default(), store, clock).await?),
            waits: Arc::new(Waits::start()),
        })
    }

    pub(super) fn list(&self) -> Vec<Arc<dyn Service>> {
        let mut services: Vec<Arc<dyn Service>> =
            vec![self.ipam.clone(), self.lb.clone(), self.pki.clone(), self.waits.clone()];
        if let Some(dns) = &self.dns {
            services.push(dns.clone());
        }
        services
    }

    pub(super) fn listings(&self) -> BTreeMap<ServiceKind, Arc<dyn Listing>> {
        let mut listings: BTreeMap<ServiceKind, Arc<dyn Listing>> = BTreeMap::from([
            (ServiceKind::Ipam, Arc::new(Shown(self.ipam.clone(), |it: &Ipam| json(it.listing()))) as Arc<dyn Listing>),
            (ServiceKind::Lb, Arc::new(Shown(self.lb.clone(), |it: &LoadBalancer| json(it.listing())))),
            (ServiceKind::Pki, Arc::new(Shown(self.pki.clone(), |it: &Pki| json(it.listing())))),
        ]);
        if let Some(dns) = &self.dns {
            listings.insert(ServiceKind::Dns, Arc::new(Shown(dns.clone(), |it: &Dns| json(it.listing()))));
        }
        listings
    }

    pub(super) async fn shutdown(&self) {
        if let Some(dns) = &self.dns {
            dns.shutdown().await;
        }
        self.lb.shutdown().await;
        self.waits.shutdown().await;
    }
}

/// A service that is shown through one of its functions.
struct Shown<T>(Arc<T>, fn(&T) -> serde_json::Value);

#[async_trait]
impl<T: Send + Sync + 'static> Listing for Shown<T> {
    async fn list(&self) -> serde_json::Value {
        (self.1)(&self.0)
    }
}

fn json(listing: impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(listing).unwrap_or_default()
}
