//! One zone as it is served: hickory's in-memory zone with records given once and never changed, whose sets of addresses begin with
//! another address at every answer. What a zone holds is worked out in `records.rs`.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_net::runtime::TokioRuntimeProvider;
use hickory_proto::rr::{
    LowerName, Name, RData, Record, RecordSet as ServedSet, RecordType, RrKey, TSigResponseContext,
    rdata::{NS, PTR, SOA},
};
use hickory_server::{
    dnssec::NxProofKind,
    server::{Request, RequestInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{
        AuthLookup, AxfrPolicy, LookupControlFlow, LookupError, LookupOptions, LookupRecords, Nsec3QueryInfo,
        ZoneHandler, ZoneType,
    },
};

use super::records::Sets;

/// How long resolvers may keep what the server says of itself, in seconds.
const OWN_TTL: u32 = 60;
/// How long resolvers may keep that a name is not there, in seconds. Short: names come in the middle of a deployment.
const NEGATIVE_TTL: u32 = 5;
/// When secondaries would come back, come back after a failure, and give up, in seconds.
const SECONDARY: (i32, i32, i32) = (3_600, 600, 86_400);

/// One zone as it is served.
pub(crate) struct Zone {
    inner: InMemoryZoneHandler<TokioRuntimeProvider>,
    wildcards: BTreeSet<LowerName>,
    turn: AtomicUsize,
}

impl Zone {
    /// A zone with its records. `addresses` are those of the name server, where no record says otherwise.
    pub(crate) fn new(origin: &LowerName, serial: u32, sets: &Sets, addresses: &[IpAddr]) -> Self {
        let apex = Name::from(origin);
        let (mut zone, server) = Self::empty(&apex, serial);
        for ((name, record), set) in sets {
            zone.put(&Name::from(name), *record, set.ttl, set.values.iter().cloned());
        }
        let taken = sets.keys().any(|(name, _)| *name == LowerName::from(&server));
        if !taken {
            let of = |v4| addresses.iter().filter(move |it| it.is_ipv4() == v4).map(|it| RData::from(*it));
            zone.put(&server, RecordType::A, OWN_TTL, of(true));
            zone.put(&server, RecordType::AAAA, OWN_TTL, of(false));
        }
        zone
    }

    /// The zone of reverse names under `origin`, `in-addr.arpa.` or `ip6.arpa.`.
    pub(crate) fn reverse<'a>(
        origin: &Name,
        serial: u32,
        names: impl IntoIterator<Item = (&'a LowerName, &'a (Name, u32))>,
    ) -> Self {
        let (mut zone, _) = Self::empty(origin, serial);
        for (name, (target, ttl)) in names {
            zone.put(&Name::from(name), RecordType::PTR, *ttl, [RData::PTR(PTR(target.clone()))]);
        }
        zone
    }

    /// A zone with what every zone has, and the name of its server.
    fn empty(apex: &Name, serial: u32) -> (Self, Name) {
        let below = |label: &str| apex.prepend_label(label).unwrap_or_else(|_| apex.clone());
        let (server, contact) = (below("ns"), below("hostmaster"));
        let (refresh, retry, expire) = SECONDARY;
        let soa = SOA::new(server.clone(), contact, serial, refresh, retry, expire, NEGATIVE_TTL);
        let inner = InMemoryZoneHandler::empty(apex.clone(), ZoneType::Primary, AxfrPolicy::Deny, None);
        let mut zone = Self { inner, wildcards: BTreeSet::new(), turn: AtomicUsize::new(0) };
        zone.put(apex, RecordType::SOA, OWN_TTL, [RData::SOA(soa)]);
        zone.put(apex, RecordType::NS, OWN_TTL, [RData::NS(NS(server.clone()))]);
        (zone, server)
    }

    fn put(&mut self, name: &Name, record: RecordType, ttl: u32, values: impl IntoIterator<Item = RData>) {
        let mut set = ServedSet::with_ttl(name.clone(), record, ttl);
        for value in values {
            set.add_rdata(value);
        }
        if !set.is_empty() {
            if name.is_wildcard() {
                self.wildcards.insert(name.into());
            }
            self.inner.records_get_mut().insert(RrKey::new(name.into(), record), Arc::new(set));
        }
    }

    /// Whether the zone answers a name with all these values.
    pub(crate) async fn answers(&self, name: &Name, record: RecordType, values: &[RData]) -> bool {
        let found = self.inner.lookup(&name.into(), record, None, LookupOptions::default()).await;
        let Some(Ok(found)) = found.map_result() else {
            return false;
        };
        let found: Vec<&RData> = found.iter().map(|it| &it.data).collect();
        values.iter().all(|value| found.contains(&value))
    }

    /// A name that a wildcard covers is there, if only with other types: "no such name" would make resolvers that ask for both
    /// kinds of address give up (RFC 4592 section 2.2.1).
    fn covered(&self, name: &LowerName, answer: LookupControlFlow<AuthLookup>) -> LookupControlFlow<AuthLookup> {
        match answer {
            LookupControlFlow::Continue(Err(error)) if error.is_nx_domain() && self.has_wildcard_for(name) => {
                LookupControlFlow::Continue(Err(LookupError::NameExists))
            }
            other => other.map(|answer| self.turned(answer)),
        }
    }

    fn has_wildcard_for(&self, name: &LowerName) -> bool {
        let mut parent = name.clone();
        while !self.wildcards.is_empty() && self.origin().zone_of(&parent) && parent != *self.origin() {
            if self.wildcards.contains(&parent.clone().into_wildcard()) {
                return true;
            }
            parent = parent.base_name();
        }
        false
    }

    /// The same answer, beginning with another of its addresses.
    fn turned(&self, answer: AuthLookup) -> AuthLookup {
        let AuthLookup::Records { answers: LookupRecords::Records { records, .. }, .. } = &answer else {
            return answer;
        };
        let count = records.records_count();
        if count < 2 || !matches!(records.record_type(), RecordType::A | RecordType::AAAA) {
            return answer;
        }
        let mut turned: Vec<Record> = records.records_without_rrsigs().cloned().collect();
        turned.rotate_left(self.turn.fetch_add(1, Ordering::Relaxed) % count);
        AuthLookup::answers(LookupRecords::Section(turned), None)
    }
}

#[async_trait::async_trait]
impl ZoneHandler for Zone {
    fn zone_type(&self) -> ZoneType {
        self.inner.zone_type()
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        self.inner.axfr_policy()
    }

    fn origin(&self) -> &LowerName {
        self.inner.origin()
    }

    async fn lookup(
        &self,
        name: &LowerName,
        record: RecordType,
        request: Option<&RequestInfo<'_>>,
        options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        self.covered(name, self.inner.lookup(name, record, request, options).await)
    }

    async fn search(
        &self,
        request: &Request,
        options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        let (answer, signer) = self.inner.search(request, options).await;
        match request.request_info() {
            Ok(info) => (self.covered(info.query.name(), answer), signer),
            Err(_) => (answer, signer),
        }
    }

    async fn nsec_records(&self, name: &LowerName, options: LookupOptions) -> LookupControlFlow<AuthLookup> {
        self.inner.nsec_records(name, options).await
    }

    async fn nsec3_records(&self, info: Nsec3QueryInfo<'_>, options: LookupOptions) -> LookupControlFlow<AuthLookup> {
        self.inner.nsec3_records(info, options).await
    }

    fn nx_proof_kind(&self) -> Option<&NxProofKind> {
        self.inner.nx_proof_kind()
    }
}
