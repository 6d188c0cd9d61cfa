//! What the zones hold, worked out from the resources: names are placed in the longest zone that fits, sets of several owners are
//! merged, reverse names follow from addresses. Pure; serving it is done in `zone.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use hickory_proto::rr::{
    LowerName, Name, RData, RecordType,
    rdata::{CNAME, TXT},
};
use rebar_model::{Resource, ResourceId, ResourceKind};

/// The most values of one record set: as many addresses still fit into one answer over TCP.
const MAX_VALUES: usize = 1_000;
/// The longest text of a TXT record, in bytes.
const MAX_TEXT: usize = 4_096;
/// The longest piece of a TXT record, in bytes (RFC 1035 3.3.14).
const MAX_TEXT_PIECE: usize = 255;
/// The longest time to live (RFC 2181 section 8).
const MAX_TTL: u32 = 0x7fff_ffff;

/// One record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordSet {
    /// The lowest of what its owners wish for.
    pub(crate) ttl: u32,
    pub(crate) values: Vec<RData>,
    /// The resources that it was made of; none for what the server adds itself.
    pub(crate) owners: BTreeSet<String>,
}

/// The sets of a zone, by name and type.
pub(crate) type Sets = BTreeMap<(LowerName, RecordType), RecordSet>;

/// What all zones hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) zones: BTreeMap<LowerName, Sets>,
    /// Reverse names with the names that they point to, and how long.
    pub(crate) reverse: BTreeMap<LowerName, (Name, u32)>,
}

/// A wish that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) id: ResourceId,
    pub(crate) name: Name,
    pub(crate) record: RecordType,
    pub(crate) values: Vec<RData>,
    ttl: u32,
    zone: LowerName,
}

impl Wish {
    /// The zone that it was placed in.
    pub(crate) fn zone(&self) -> &LowerName {
        &self.zone
    }
}

/// What follows from the resources.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    pub(crate) contents: Contents,
    pub(crate) placed: Vec<Wish>,
    pub(crate) refused: BTreeMap<ResourceId, String>,
}

/// A record that cannot be served.
#[derive(Debug, thiserror::Error)]
enum BadRecord {
    #[error("`{0}` is not a DNS name")]
    Name(String),
    #[error("`{name}` is in none of the zones of this server ({zones})")]
    NoZone { name: String, zones: String },
    #[error("record type `{0}` is not supported; use A, AAAA, CNAME or TXT")]
    Type(String),
    #[error("`{value}` is not the data of a record of type {record}")]
    Value { value: String, record: RecordType },
    #[error("it has no values")]
    NoValues,
    #[error("{name} {record} has {count} values; at most {MAX_VALUES} are possible")]
    TooMany { name: Name, record: RecordType, count: usize },
    #[error("a CNAME has exactly one value, not {0}")]
    Aliases(usize),
    #[error("`{0}` cannot be an alias: it is the name of a zone or of itself")]
    AliasNever(Name),
    #[error("`{0}` cannot be an alias: it has other records, or is an alias of another name")]
    AliasBeside(Name),
    #[error("a time to live of {0} s is too long; at most {MAX_TTL} s are possible")]
    Ttl(u32),
}

/// Works out what the zones hold.
pub(crate) fn work_out(zones: &BTreeSet<LowerName>, desired: &[Resource]) -> Worked {
    let mut worked = Worked::default();
    worked.contents.zones = zones.iter().map(|zone| (zone.clone(), Sets::new())).collect();
    let mut wishes = Vec::with_capacity(desired.len());
    for resource in desired {
        match wish(zones, resource) {
            Ok(None) => {}
            Ok(Some(wish)) => wishes.push(wish),
            Err(error) => {
                worked.refused.insert(resource.id(), error.to_string());
            }
        }
    }
    // Aliases come last: they give way to records. Equal wishes give equal zones, whatever their order.
    wishes.sort_by(|a, b| (a.record == RecordType::CNAME, &a.id).cmp(&(b.record == RecordType::CNAME, &b.id)));
    for wish in wishes {
        match worked.contents.place(&wish) {
            Ok(()) => worked.placed.push(wish),
            Err(error) => {
                worked.refused.insert(wish.id, error.to_string());
            }
        }
    }
    worked.contents.reverse = worked.contents.reversed();
    worked
}

impl Contents {
    fn place(&mut self, wish: &Wish) -> Result<(), BadRecord> {
        let sets = self.zones.entry(wish.zone.clone()).or_default();
        let name = LowerName::from(&wish.name);
        if wish.record == RecordType::CNAME {
            let own = sets.get(&(name.clone(), RecordType::CNAME));
            let beside = [RecordType::A, RecordType::AAAA, RecordType::TXT]
                .into_iter()
                .any(|record| sets.contains_key(&(name.clone(), record)));
            if beside || own.is_some_and(|set| set.values != wish.values) {
                return Err(BadRecord::AliasBeside(wish.name.clone()));
            }
        }
        let empty = || RecordSet { ttl: wish.ttl, values: Vec::new(), owners: BTreeSet::new() };
        let set = sets.entry((name, wish.record)).or_insert_with(empty);
        let new: Vec<RData> = wish.values.iter().filter(|value| !set.values.contains(value)).cloned().collect();
        let count = set.values.len() + new.len();
        if count > MAX_VALUES {
            return Err(BadRecord::TooMany { name: wish.name.clone(), record: wish.record, count });
        }
        set.values.extend(new);
        set.ttl = set.ttl.min(wish.ttl);
        set.owners.insert(wish.id.to_string());
        Ok(())
    }

    /// The reverse names of addresses that belong to exactly one name.
    fn reversed(&self) -> BTreeMap<LowerName, (Name, u32)> {
        let mut names: BTreeMap<IpAddr, BTreeMap<LowerName, u32>> = BTreeMap::new();
        for ((name, _), set) in self.zones.values().flatten() {
            for address in set.values.iter().filter_map(address).filter(|_| !name.is_wildcard()) {
                names.entry(address).or_default().insert(name.clone(), set.ttl);
            }
        }
        let alone = names.into_iter().filter(|(_, names)| names.len() == 1);
        alone
            .flat_map(|(address, names)| {
                let reverse = fqdn(Name::from(address));
                names.into_iter().map(move |(name, ttl)| (LowerName::from(&reverse), (Name::from(name), ttl)))
            })
            .collect()
    }
}

/// Reads a name as people write it, with or without the final dot.
pub(crate) fn parse_name(text: &str) -> Option<Name> {
    let name = Name::from_ascii(text).ok()?;
    (!name.is_root()).then(|| fqdn(name).to_lowercase())
}

/// The name as people write it, without the final dot.
pub(crate) fn presented(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').map(ToOwned::to_owned).unwrap_or(text)
}

fn fqdn(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn address(value: &RData) -> Option<IpAddr> {
    match value {
        RData::A(it) => Some(it.0.into()),
        RData::AAAA(it) => Some(it.0.into()),
        _ => None,
    }
}

fn wish(zones: &BTreeSet<LowerName>, resource: &Resource) -> Result<Option<Wish>, BadRecord> {
    let ResourceKind::DnsRecord { name: text, record, values, ttl } = &resource.kind else {
        return Ok(None);
    };
    let name = parse_name(text).ok_or_else(|| BadRecord::Name(text.clone()))?;
    let lower = LowerName::from(&name);
    let zone =
        zones.iter().filter(|zone| zone.zone_of(&lower)).max_by_key(|zone| zone.num_labels()).ok_or_else(|| {
            let zones: Vec<String> = zones.iter().map(|zone| presented(&Name::from(zone))).collect();
            BadRecord::NoZone { name: presented(&name), zones: zones.join(", ") }
        })?;
    let record = match record.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "CNAME" => RecordType::CNAME,
        "TXT" => RecordType::TXT,
        _ => return Err(BadRecord::Type(record.clone())),
    };
    if *ttl > MAX_TTL {
        return Err(BadRecord::Ttl(*ttl));
    }
    let values = values.iter().map(|value| parse_value(record, value)).collect::<Result<Vec<_>, _>>()?;
    if values.is_empty() {
        return Err(BadRecord::NoValues);
    }
    if values.len() > MAX_VALUES {
        return Err(BadRecord::TooMany { name, record, count: values.len() });
    }
    if record == RecordType::CNAME {
        if values.len() != 1 {
            return Err(BadRecord::Aliases(values.len()));
        }
        if lower == *zone || values[0] == RData::CNAME(CNAME(name.clone())) {
            return Err(BadRecord::AliasNever(name));
        }
    }
    Ok(Some(Wish { id: resource.id(), name, record, values, ttl: *ttl, zone: zone.clone() }))
}

fn parse_value(record: RecordType, text: &str) -> Result<RData, BadRecord> {
    let bad = || BadRecord::Value { value: text.to_owned(), record };
    match record {
        RecordType::A => Ipv4Addr::from_str(text).map(|it| RData::A(it.into())).map_err(|_| bad()),
        RecordType::AAAA => Ipv6Addr::from_str(text).map(|it| RData::AAAA(it.into())).map_err(|_| bad()),
        RecordType::CNAME => parse_name(text).map(|it| RData::CNAME(CNAME(it))).ok_or_else(bad),
        _ if text.len() > MAX_TEXT => Err(bad()),
        _ if text.is_empty() => Ok(RData::TXT(TXT::from_bytes(vec![b""]))),
        _ => Ok(RData::TXT(TXT::from_bytes(text.as_bytes().chunks(MAX_TEXT_PIECE).collect()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::resource;

    #[test]
    fn a_record_has_so_many_values_so_long_and_for_so_long() {
        let zones = BTreeSet::from([LowerName::from(&parse_name("example.test").unwrap())]);
        let wished = |values: Vec<String>, record: &str, ttl: u32| {
            let kind = ResourceKind::DnsRecord { name: "a.example.test".into(), record: record.into(), values, ttl };
            wish(&zones, &resource("a", kind)).map(|it| it.is_some())
        };
        let addresses = |count: usize| vec!["10.0.0.1".to_owned(); count];
        assert!(matches!(wished(addresses(MAX_VALUES), "A", MAX_TTL), Ok(true)));
        assert!(matches!(wished(addresses(MAX_VALUES + 1), "A", 1), Err(BadRecord::TooMany { .. })));
        assert!(matches!(wished(addresses(1), "A", MAX_TTL + 1), Err(BadRecord::Ttl(_))));
        let text = |length: usize| vec!["x".repeat(length)];
        assert!(matches!(wished(text(MAX_TEXT), "TXT", 1), Ok(true)));
        assert!(matches!(wished(text(MAX_TEXT + 1), "TXT", 1), Err(BadRecord::Value { .. })));
        let Ok(RData::TXT(pieces)) = parse_value(RecordType::TXT, &"x".repeat(MAX_TEXT_PIECE + 1)) else { panic!() };
        assert_eq!(pieces.txt_data.iter().map(|it| it.len()).collect::<Vec<_>>(), [MAX_TEXT_PIECE, 1]);
    }
}
