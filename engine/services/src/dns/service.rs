//! The service of `dns.record`: binds the sockets, exchanges the zones, and calls a record ready when the server itself answers it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use hickory_net::{
    runtime::TokioRuntimeProvider,
    udp::UdpClientStream,
    xfer::{DnsRequestSender, FirstAnswer},
};
use hickory_proto::{
    op::{DnsRequest, DnsRequestOptions, Query},
    rr::{LowerName, Name, RData, RecordType},
};
use hickory_server::{Server, zone_handler::Catalog};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rebar_model::{BuiltinAction, Resource};
use rebar_ports::{Clock, Observed, Service, ServiceError};
use serde::Serialize;
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::Mutex,
};

use super::{
    forward::Forwarder,
    front::{Front, Live},
    records::{Contents, parse_name, presented, work_out},
    zone::Zone,
};
use crate::outputs::outputs;

/// How long a TCP connection may be silent.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// How many answers may wait in one TCP connection.
const TCP_ANSWERS: usize = 128;
/// How long the server may take to answer itself.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a free port is looked for that both UDP and TCP have.
const PORT_TRIES: u32 = 16;

/// What the server is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Where it listens, UDP and TCP. Addresses of the host rather than the unspecified one: answers over UDP have to come from
    /// the address that was asked.
    pub listen: Vec<SocketAddr>,
    /// The zones that it answers for, such as `rebar.test`.
    pub zones: Vec<String>,
    /// Resolvers that it asks about other names; none to refuse such queries.
    pub upstreams: Vec<SocketAddr>,
    /// The clients that it asks others for.
    pub forward_for: Vec<IpNet>,
}

/// An authoritative DNS server.
pub struct Dns {
    zones: BTreeSet<LowerName>,
    addresses: Vec<SocketAddr>,
    upstreams: Vec<SocketAddr>,
    clock: Arc<dyn Clock>,
    live: Live,
    server: Mutex<Option<Server<Front>>>,
    state: Mutex<State>,
    listing: RwLock<DnsListing>,
}

/// What the server serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DnsListing {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The resolvers that it asks about other names.
    pub upstreams: Vec<SocketAddr>,
    /// The zones.
    pub zones: Vec<ZoneListing>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneListing {
    /// Its name, without the final dot.
    pub name: String,
    /// The serial number of its SOA record.
    pub serial: u32,
    /// Its records.
    pub records: Vec<RecordListing>,
}

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordListing {
    /// Its name, without the final dot.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `TXT` or `PTR`.
    pub record: String,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Its values in presentation form.
    pub values: Vec<String>,
    /// The resources that it was made of.
    pub owners: Vec<String>,
}

/// What is served at this moment.
#[derive(Default)]
struct State {
    contents: Contents,
    zones: BTreeMap<LowerName, (u32, Arc<Zone>)>,
    reverse: Option<(u32, [Arc<Zone>; 2])>,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { listen: Vec::new(), zones: Vec::new(), upstreams: Vec::new(), forward_for: private_networks() }
    }
}

impl Dns {
    /// Binds the sockets and serves the zones, which are empty until the first reconcile.
    pub async fn start(config: DnsConfig, clock: Arc<dyn Clock>) -> Result<Self, ServiceError> {
        let zones = config.zones.iter().map(|text| {
            let name = parse_name(text).ok_or_else(|| unavailable(format!("zone `{text}` is not a DNS name")))?;
            Ok(LowerName::from(&name))
        });
        let zones = zones.collect::<Result<BTreeSet<_>, ServiceError>>()?;
        let mut sockets = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            sockets.push(bind(*address).await?);
        }
        let addresses: Vec<SocketAddr> = sockets.iter().map(|(address, ..)| *address).collect();
        // A query handed to oneself would come back for ever.
        let upstreams: Vec<SocketAddr> = config.upstreams.into_iter().filter(|it| !addresses.contains(it)).collect();
        let live = Live::default();
        let forwarder = (!upstreams.is_empty()).then(|| Forwarder::new(upstreams.clone(), config.forward_for));
        let mut server = Server::new(Front { live: live.clone(), forwarder });
        for (_, udp, tcp) in sockets {
            server.register_socket(udp);
            server.register_listener(tcp, TCP_TIMEOUT, TCP_ANSWERS);
        }
        let dns = Self {
            zones,
            addresses,
            upstreams,
            clock,
            live,
            server: Mutex::new(Some(server)),
            state: Mutex::default(),
            listing: RwLock::default(),
        };
        dns.reconcile(&[]).await?;
        tracing::info!(listen = ?dns.addresses, zones = ?config.zones, "dns serves");
        Ok(dns)
    }

    /// Where it listens, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What there is.
    pub fn listing(&self) -> DnsListing {
        self.listing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the server; its sockets are closed when this returns.
    pub async fn shutdown(&self) {
        if let Some(mut server) = self.server.lock().await.take()
            && let Err(error) = server.shutdown_gracefully().await
        {
            tracing::warn!(%error, "dns did not end cleanly");
        }
    }

    /// Exchanges the zones that changed, all at once.
    fn exchange(&self, state: &mut State, contents: Contents) {
        let now = u32::try_from(self.clock.now().as_second()).unwrap_or(u32::MAX);
        // Also a server that was started again has to be ahead of what it said before.
        let next = |before: u32| now.max(before.saturating_add(1));
        let addresses: Vec<IpAddr> =
            self.addresses.iter().map(SocketAddr::ip).filter(|it| !it.is_unspecified()).collect();
        for (origin, sets) in &contents.zones {
            let before = state.zones.get(origin).map(|(serial, _)| *serial);
            if before.is_none() || state.contents.zones.get(origin) != Some(sets) {
                let serial = next(before.unwrap_or(0));
                let zone = Arc::new(Zone::new(origin, serial, sets, &addresses));
                state.zones.insert(origin.clone(), (serial, zone));
            }
        }
        if state.reverse.is_none() || state.contents.reverse != contents.reverse {
            let serial = next(state.reverse.as_ref().map_or(0, |(serial, _)| *serial));
            let zone = |origin: Name| Arc::new(Zone::reverse(&origin, serial, below(&contents, &origin)));
            state.reverse = Some((serial, reverse_origins().map(zone)));
        }
        let mut catalog = Catalog::new();
        for (origin, (_, zone)) in &state.zones {
            catalog.upsert(origin.clone(), vec![zone.clone()]);
        }
        // Each reverse name is a zone cut of its own: about the neighbours of our addresses others know better.
        if let Some((_, zones)) = &state.reverse {
            for (zone, origin) in zones.iter().zip(reverse_origins()) {
                for (name, _) in below(&contents, &origin) {
                    catalog.upsert(name.clone(), vec![zone.clone()]);
                }
            }
        }
        state.contents = contents;
        self.live.exchange(catalog);
        *self.listing.write().unwrap_or_else(PoisonError::into_inner) = self.list(state);
    }

    /// Asks the server through its own socket for the serial of a zone.
    async fn probe(&self, state: &State) -> Result<(), ServiceError> {
        let (Some(address), Some((origin, (serial, _)))) = (self.addresses.first(), state.zones.first_key_value())
        else {
            return Ok(());
        };
        let mut address = *address;
        if address.ip().is_unspecified() {
            let local: IpAddr = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            address.set_ip(local);
        }
        let query = Query::query(Name::from(origin), RecordType::SOA);
        let request = DnsRequest::from_query(query, DnsRequestOptions::default());
        let mut udp =
            UdpClientStream::builder(address, TokioRuntimeProvider::new()).with_timeout(Some(PROBE_TIMEOUT)).build();
        let answer = udp.send_message(request).first_answer().await;
        let answer = answer.map_err(|error| unavailable(format!("{address} does not answer: {error}")))?;
        let current = answer.answers.iter().any(|it| matches!(&it.data, RData::SOA(soa) if soa.serial == *serial));
        current.then_some(()).ok_or_else(|| unavailable(format!("{address} answers with an old zone")))
    }

    fn list(&self, state: &State) -> DnsListing {
        let mut zones: Vec<ZoneListing> = Vec::with_capacity(state.zones.len() + 1);
        for (origin, (serial, _)) in &state.zones {
            let sets = state.contents.zones.get(origin).into_iter().flatten();
            let records = sets.map(|((name, record), set)| RecordListing {
                name: presented(&Name::from(name)),
                record: record.to_string(),
                ttl: set.ttl,
                values: set.values.iter().map(ToString::to_string).collect(),
                owners: set.owners.iter().cloned().collect(),
            });
            zones.push(ZoneListing {
                name: presented(&Name::from(origin)),
                serial: *serial,
                records: records.collect(),
            });
        }
        for (serial, origin) in state.reverse.iter().flat_map(|(serial, _)| reverse_origins().map(|it| (*serial, it))) {
            let records = below(&state.contents, &origin).map(|(name, (target, ttl))| RecordListing {
                name: presented(&Name::from(name)),
                record: RecordType::PTR.to_string(),
                ttl: *ttl,
                values: vec![presented(target)],
                owners: Vec::new(),
            });
            let records: Vec<RecordListing> = records.collect();
            if !records.is_empty() {
                zones.push(ZoneListing { name: presented(&origin), serial, records });
            }
        }
        DnsListing { listen: self.addresses.clone(), upstreams: self.upstreams.clone(), zones }
    }
}

#[async_trait]
impl Service for Dns {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::DnsRecord]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let mut state = self.state.lock().await;
        let worked = work_out(&self.zones, desired);
        if state.reverse.is_none() || state.contents != worked.contents {
            self.exchange(&mut state, worked.contents);
        }
        self.probe(&state).await?;
        let mut observed = Observed { refused: worked.refused, ..Observed::default() };
        for wish in worked.placed {
            let zone = state.zones.get(wish.zone()).map(|(_, zone)| zone);
            let answers = match zone {
                Some(zone) => zone.answers(&wish.name, wish.record, &wish.values).await,
                None => false,
            };
            if answers {
                observed.ready.insert(wish.id, outputs([("fqdn", presented(&wish.name).into())]));
            } else {
                observed.pending.insert(wish.id, "the server does not answer it yet".to_owned());
            }
        }
        Ok(observed)
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

/// Binds UDP and TCP on one port.
async fn bind(address: SocketAddr) -> Result<(SocketAddr, UdpSocket, TcpListener), ServiceError> {
    let failed = |error| unavailable(format!("cannot listen on {address}: {error}"));
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let bound = tcp.local_addr().map_err(failed)?;
        match UdpSocket::bind(bound).await {
            Ok(udp) => return Ok((bound, udp, tcp)),
            // The port that TCP got for 0 may be taken for UDP.
            Err(_) if address.port() == 0 && tries < PORT_TRIES => tries += 1,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Networks whose addresses are not routed in the internet, and this host itself.
fn private_networks() -> Vec<IpNet> {
    let v4 = [([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    let v4 = v4.into_iter().chain([([169, 254, 0, 0], 16), ([100, 64, 0, 0], 10)]);
    let v6 =
        [(Ipv6Addr::LOCALHOST, 128), (Ipv6Addr::from(0xfc00_u128 << 112), 7), (Ipv6Addr::from(0xfe80_u128 << 112), 10)];
    let v4 = v4.filter_map(|(it, length)| Ipv4Net::new(it.into(), length).ok().map(IpNet::from));
    v4.chain(v6.into_iter().filter_map(|(it, length)| Ipv6Net::new(it, length).ok().map(IpNet::from))).collect()
}

fn reverse_origins() -> [Name; 2] {
    ["in-addr.arpa.", "ip6.arpa."].map(|it| Name::from_ascii(it).expect("a constant name"))
}

/// The reverse names under one origin.
fn below<'a>(
    contents: &'a Contents,
    origin: &Name,
) -> impl Iterator<Item = (&'a LowerName, &'a (Name, u32))> + use<'a> {
    let origin = LowerName::from(origin);
    contents.reverse.iter().filter(move |(name, _)| origin.zone_of(name))
}

fn unavailable(detail: String) -> ServiceError {
    ServiceError::Unavailable { service: "dns", detail }
}
