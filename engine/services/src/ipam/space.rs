//! The usable addresses of a pool, as arithmetic: addresses of both families are numbers here, and what is never given out is a list
//! of ranges, so that the size of a pool does not matter. Who holds what is not known here.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

/// The most excludes of one pool.
const MAX_EXCLUDES: usize = 10_000;

/// The usable addresses of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Space {
    pool: IpNet,
    first: u128,
    last: u128,
    /// What is never given, ascending, apart from each other, inside `first..=last`.
    excluded: Vec<(u128, u128)>,
}

/// A pool or an exclude that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSpace {
    #[error("pool `{0}` is not a network in CIDR notation, such as 10.0.0.0/24")]
    Pool(String),
    #[error("exclude `{0}` is neither an address nor a network in CIDR notation")]
    Exclude(String),
    #[error("exclude `{exclude}` is of another address family than pool {pool}")]
    Family { exclude: String, pool: IpNet },
    #[error("{0} excludes; at most {MAX_EXCLUDES} are possible")]
    TooMany(usize),
}

impl Space {
    /// Reads a pool and its excludes.
    pub(crate) fn parse(pool: &str, exclude: &[String]) -> Result<Self, BadSpace> {
        if exclude.len() > MAX_EXCLUDES {
            return Err(BadSpace::TooMany(exclude.len()));
        }
        let pool = pool.parse::<IpNet>().map_err(|_| BadSpace::Pool(pool.to_owned()))?.trunc();
        let (first, last) = usable(&pool);
        let mut ranges = Vec::with_capacity(exclude.len());
        for text in exclude {
            let net = network(text).ok_or_else(|| BadSpace::Exclude(text.clone()))?;
            if net.addr().is_ipv4() != pool.addr().is_ipv4() {
                return Err(BadSpace::Family { exclude: text.clone(), pool });
            }
            let (start, end) = (number(net.network()).max(first), number(net.broadcast()).min(last));
            if start <= end {
                ranges.push((start, end));
            }
        }
        Ok(Self { pool, first, last, excluded: merged(ranges) })
    }

    /// The pool itself.
    pub(crate) fn pool(&self) -> IpNet {
        self.pool
    }

    /// Whether an address may be given out.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        let it = number(address);
        address.is_ipv4() == self.pool.addr().is_ipv4()
            && (self.first..=self.last).contains(&it)
            && self.covering(it).is_none()
    }

    /// The lowest address from `from` on that is neither excluded nor taken. Its cost grows with what is taken and excluded, not
    /// with the pool.
    pub(crate) fn lowest_free(&self, taken: &BTreeSet<IpAddr>, from: Option<IpAddr>) -> Option<IpAddr> {
        let mut candidate = from.map_or(self.first, number).max(self.first);
        while candidate <= self.last {
            let after = match self.covering(candidate) {
                Some((_, end)) => end,
                None if taken.contains(&self.address(candidate)) => candidate,
                None => return Some(self.address(candidate)),
            };
            candidate = after.checked_add(1)?;
        }
        None
    }

    /// How many addresses may be given out; at most the largest number there is.
    pub(crate) fn size(&self) -> u64 {
        let excluded = self.excluded.iter().fold(0_u128, |sum, (start, end)| sum.saturating_add(end - start + 1));
        let all = (self.last - self.first).saturating_add(1);
        u64::try_from(all.saturating_sub(excluded)).unwrap_or(u64::MAX)
    }

    fn covering(&self, it: u128) -> Option<(u128, u128)> {
        let after = self.excluded.partition_point(|(start, _)| *start <= it);
        let range = *self.excluded.get(after.checked_sub(1)?)?;
        (range.1 >= it).then_some(range)
    }

    fn address(&self, it: u128) -> IpAddr {
        match self.pool {
            IpNet::V4(_) => Ipv4Addr::from(u32::try_from(it).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from(it).into(),
        }
    }
}

/// The first and the last address that a host may have. The network and broadcast addresses (IPv4) and the subnet-router anycast
/// address (IPv6, RFC 4291 2.6.1) are none, except in pools of one or two addresses (RFC 3021, RFC 6164).
fn usable(pool: &IpNet) -> (u128, u128) {
    let (first, last) = (number(pool.network()), number(pool.broadcast()));
    match pool {
        _ if last - first < 2 => (first, last),
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(_) => (first + 1, last),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(it) => u128::from(u32::from(it)),
        IpAddr::V6(it) => u128::from(it),
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The same ranges, ascending and without overlaps.
fn merged(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut out: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pool: &str, exclude: &[&str], taken: &[&str]) -> Option<String> {
        let exclude: Vec<String> = exclude.iter().map(ToString::to_string).collect();
        let taken = taken.iter().map(|it| it.parse().unwrap()).collect();
        Space::parse(pool, &exclude).unwrap().lowest_free(&taken, None).map(|it| it.to_string())
    }

    #[test]
    fn the_lowest_free_address_is_given() {
        assert_eq!(free("10.0.0.0/24", &[], &[]).as_deref(), Some("10.0.0.1"));
        assert_eq!(free("10.0.0.77/24", &[], &["10.0.0.1"]).as_deref(), Some("10.0.0.2"));
        assert_eq!(free("10.0.0.0/24", &["10.0.0.0/28", "10.0.0.16"], &["10.0.0.17"]).as_deref(), Some("10.0.0.18"));
        assert_eq!(free("10.0.0.0/30", &[], &["10.0.0.1", "10.0.0.2"]), None);
        assert_eq!(free("10.0.0.8/31", &[], &[]).as_deref(), Some("10.0.0.8"));
        assert_eq!(free("10.0.0.8/32", &[], &[]).as_deref(), Some("10.0.0.8"));
        assert_eq!(free("fd00::/64", &[], &[]).as_deref(), Some("fd00::1"));
        assert_eq!(free("fd00::/127", &[], &[]).as_deref(), Some("fd00::"));
        assert_eq!(free("::/0", &["::/1"], &[]).as_deref(), Some("8000::"));
        assert_eq!(free("255.255.255.254/31", &[], &["255.255.255.254", "255.255.255.255"]), None);
    }

    #[test]
    fn a_large_pool_is_not_scanned() {
        assert_eq!(free("fd00::/32", &["fd00::/64"], &["fd00:0:0:1::"]).as_deref(), Some("fd00:0:0:1::1"));
        assert_eq!(Space::parse("fd00::/32", &[]).unwrap().size(), u64::MAX);
    }

    #[test]
    fn sizes_count_what_can_be_given() {
        let size = |pool: &str, exclude: &[String]| Space::parse(pool, exclude).unwrap().size();
        assert_eq!(size("10.0.0.0/24", &[]), 254);
        assert_eq!(size("10.0.0.0/24", &["10.0.0.0/25".into(), "10.0.0.5".into(), "10.1.0.0/16".into()]), 127);
        assert_eq!(size("10.0.0.0/31", &[]), 2);
    }

    #[test]
    fn a_pool_has_so_many_excludes() {
        let exclude = vec!["10.0.0.5".to_owned(); MAX_EXCLUDES + 1];
        assert!(Space::parse("10.0.0.0/24", &exclude[1..]).is_ok());
        assert_eq!(Space::parse("10.0.0.0/24", &exclude), Err(BadSpace::TooMany(MAX_EXCLUDES + 1)));
    }

    #[test]
    fn bad_pools_are_named() {
        for (pool, exclude) in [("ten", "10.0.0.1"), ("10.0.0.0/24", "x"), ("10.0.0.0/24", "fd00::1")] {
            assert!(Space::parse(pool, &[exclude.to_owned()]).is_err(), "{pool} {exclude}");
        }
    }
}
