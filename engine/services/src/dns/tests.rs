//! The server as clients see it: every answer here came over a socket.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use hickory_net::{
    client::{Client, ClientHandle},
    runtime::TokioRuntimeProvider,
    tcp::TcpClientStream,
    udp::UdpClientStream,
    xfer::DnsMultiplexer,
};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use rebar_model::{Resource, ResourceKind, Span};
use rebar_ports::Service;

use super::{Dns, DnsConfig};
use crate::testing::{Still, id, output, resource};

fn record(owner: &str, name: &str, record: &str, values: &[&str]) -> Resource {
    let values = values.iter().map(ToString::to_string).collect();
    resource(owner, ResourceKind::DnsRecord { name: name.to_owned(), record: record.to_owned(), values, ttl: 30 })
}

async fn start(zones: &[&str], upstreams: Vec<SocketAddr>) -> (Dns, Arc<Still>) {
    let clock = Still::at(1_800_000_000);
    let config = DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        zones: zones.iter().map(ToString::to_string).collect(),
        upstreams,
        ..DnsConfig::default()
    };
    (Dns::start(config, clock.clone()).await.unwrap(), clock)
}

async fn udp(server: SocketAddr, name: &str, record: RecordType) -> Message {
    let stream = UdpClientStream::builder(server, TokioRuntimeProvider::new()).build();
    let (mut client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let background = tokio::spawn(background);
    let answer = client.query(Name::from_ascii(name).unwrap(), DNSClass::IN, record).await.unwrap();
    background.abort();
    answer.into_message()
}

async fn tcp(server: SocketAddr, name: &str, record: RecordType) -> Message {
    let (stream, sender) = TcpClientStream::new(server, None, None, TokioRuntimeProvider::new());
    let (mut client, background) =
        Client::<TokioRuntimeProvider>::from_sender(DnsMultiplexer::new(stream.await.unwrap(), sender));
    let background = tokio::spawn(background);
    let answer = client.query(Name::from_ascii(name).unwrap(), DNSClass::IN, record).await.unwrap();
    background.abort();
    answer.into_message()
}

fn values(message: &Message) -> Vec<String> {
    message.answers.iter().map(|it| it.data.to_string()).collect()
}

async fn serial(server: SocketAddr, zone: &str) -> u32 {
    match udp(server, zone, RecordType::SOA).await.answers.first().map(|it| it.data.clone()) {
        Some(RData::SOA(soa)) => soa.serial,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn records_of_all_types_answer_once_they_are_ready() {
    let (dns, _) = start(&["rebar.test."], Vec::new()).await;
    let at = dns.addresses()[0];
    let long = "x".repeat(300);
    let seen = dns
        .reconcile(&[
            record("a", "N1.rebar.test", "A", &["10.9.0.1"]),
            record("aaaa", "n1.rebar.test.", "AAAA", &["fd00::1"]),
            record("cname", "www.rebar.test", "CNAME", &["n1.rebar.test"]),
            record("txt", "n1.rebar.test", "TXT", &["hello world", &long]),
            record("wild", "*.apps.rebar.test", "A", &["10.9.0.9"]),
        ])
        .await
        .unwrap();
    assert_eq!(seen.ready.len(), 5, "{seen:?}");
    assert_eq!(output(&seen, "a", "fqdn"), "n1.rebar.test");

    let answer = udp(at, "n1.rebar.test.", RecordType::A).await;
    assert_eq!(values(&answer), ["10.9.0.1"]);
    assert!(answer.metadata.authoritative);
    assert_eq!(answer.answers[0].ttl, 30);
    assert_eq!(values(&tcp(at, "n1.rebar.test.", RecordType::AAAA).await), ["fd00::1"]);
    assert_eq!(values(&udp(at, "www.rebar.test.", RecordType::A).await), ["n1.rebar.test.", "10.9.0.1"]);
    assert_eq!(values(&udp(at, "any.apps.rebar.test.", RecordType::A).await), ["10.9.0.9"]);
    let texts = values(&udp(at, "n1.rebar.test.", RecordType::TXT).await);
    assert!(texts.contains(&"hello world".to_owned()) && texts.iter().any(|it| it.len() >= 300), "{texts:?}");

    let none = udp(at, "n2.rebar.test.", RecordType::A).await;
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(none.authorities[0].record_type(), RecordType::SOA);
    let other_type = udp(at, "www.apps.rebar.test.", RecordType::AAAA).await;
    assert_eq!((other_type.metadata.response_code, other_type.answers.len()), (ResponseCode::NoError, 0));
    let foreign = udp(at, "example.org.", RecordType::A).await;
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);
    assert_eq!(values(&udp(at, "ns.rebar.test.", RecordType::A).await), ["127.0.0.1"]);
    dns.shutdown().await;
}

#[tokio::test]
async fn sets_of_several_owners_merge_and_take_turns() {
    let (dns, _) = start(&["rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    let both = [
        record("m1", "api.rebar.test", "A", &["10.9.0.1"]),
        record("m2", "api.rebar.test", "A", &["10.9.0.2", "10.9.0.1"]),
    ];
    assert_eq!(dns.reconcile(&both).await.unwrap().ready.len(), 2);
    let mut first = BTreeSet::new();
    for _ in 0..4 {
        let mut seen = values(&udp(at, "api.rebar.test.", RecordType::A).await);
        first.insert(seen[0].clone());
        seen.sort_unstable();
        assert_eq!(seen, ["10.9.0.1", "10.9.0.2"]);
    }
    assert_eq!(first.len(), 2, "each of them comes first at some time");

    dns.reconcile(&both[..1]).await.unwrap();
    assert_eq!(values(&udp(at, "api.rebar.test.", RecordType::A).await), ["10.9.0.1"]);
    dns.reconcile(&[]).await.unwrap();
    let gone = udp(at, "api.rebar.test.", RecordType::A).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn reverse_names_follow_addresses_that_have_one_name() {
    let (dns, _) = start(&["rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    dns.reconcile(&[
        record("n1", "n1.rebar.test", "A", &["10.9.0.1"]),
        record("n2", "n2.rebar.test", "AAAA", &["fd00::2"]),
        record("n3", "n3.rebar.test", "A", &["10.9.0.3"]),
        record("api", "api.rebar.test", "A", &["10.9.0.3"]),
    ])
    .await
    .unwrap();
    let v6 = Name::from("fd00::2".parse::<std::net::IpAddr>().unwrap()).to_ascii();
    assert_eq!(values(&udp(at, "1.0.9.10.in-addr.arpa.", RecordType::PTR).await), ["n1.rebar.test."]);
    assert_eq!(values(&udp(at, &format!("{}.", v6.trim_end_matches('.')), RecordType::PTR).await), ["n2.rebar.test."]);
    for (name, why) in [("3.0.9.10.in-addr.arpa.", "two names"), ("4.0.9.10.in-addr.arpa.", "not ours")] {
        let answer = udp(at, name, RecordType::PTR).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{why}");
    }
    assert!(dns.listing().zones.iter().any(|zone| zone.name == "in-addr.arpa" && zone.records.len() == 1));
}

#[tokio::test]
async fn serials_grow_with_changes_and_stay_without() {
    let (dns, clock) = start(&["rebar.test", "other.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    let one = [record("a", "n1.rebar.test", "A", &["10.9.0.1"])];
    let start = serial(at, "rebar.test.").await;
    dns.reconcile(&one).await.unwrap();
    let first = serial(at, "rebar.test.").await;
    dns.reconcile(&one).await.unwrap();
    assert_eq!(serial(at, "rebar.test.").await, first);
    clock.advance(Span::from_secs(60));
    dns.reconcile(&[]).await.unwrap();
    let last = serial(at, "rebar.test.").await;
    assert!(start < first && first < last, "{start} {first} {last}");
    assert_eq!(serial(at, "other.test.").await, start);
    let listing = dns.listing();
    assert_eq!(listing.zones.iter().find(|zone| zone.name == "rebar.test").unwrap().serial, last);
}

#[tokio::test]
async fn large_sets_are_truncated_over_udp_and_whole_over_tcp() {
    let (dns, _) = start(&["rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    let many: Vec<String> = (0..600).map(|n| format!("10.9.{}.{}", n / 200, n % 200 + 1)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(dns.reconcile(&[record("a", "all.rebar.test", "A", &many)]).await.unwrap().ready.len(), 1);
    let short = udp(at, "all.rebar.test.", RecordType::A).await;
    assert!(short.metadata.truncation && short.answers.len() < 600);
    let whole = tcp(at, "all.rebar.test.", RecordType::A).await;
    assert!(!whole.metadata.truncation && whole.answers.len() == 600);
}

#[tokio::test]
async fn the_longest_zone_wins_and_what_cannot_be_served_is_refused() {
    let (dns, _) = start(&["rebar.test", "prod.rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    let seen = dns
        .reconcile(&[
            record("deep", "n1.prod.rebar.test", "A", &["10.9.0.1"]),
            record("foreign", "www.example.org", "A", &["10.9.0.1"]),
            record("alike", "norebar.test", "A", &["10.9.0.1"]),
            record("bad", "n1.rebar.test", "A", &["fd00::1"]),
            record("empty", "n1.rebar.test", "A", &[]),
            record("type", "n1.rebar.test", "MX", &["x"]),
            record("name", "n1..rebar.test", "A", &["10.9.0.1"]),
            record("apex", "rebar.test", "CNAME", &["n1.rebar.test"]),
            record("beside", "n1.prod.rebar.test", "CNAME", &["n2.rebar.test"]),
            record("z1", "alias.rebar.test", "CNAME", &["n1.rebar.test"]),
            record("z2", "alias.rebar.test", "CNAME", &["n2.rebar.test"]),
        ])
        .await
        .unwrap();
    let ready: Vec<String> = seen.ready.keys().map(ToString::to_string).collect();
    assert_eq!(ready, ["test/deep", "test/z1"]);
    for (owner, reason) in [
        ("foreign", "none of the zones"),
        ("alike", "none of the zones"),
        ("bad", "`fd00::1`"),
        ("empty", "no values"),
        ("type", "`MX`"),
        ("name", "not a DNS name"),
        ("apex", "cannot be an alias"),
        ("beside", "cannot be an alias"),
        ("z2", "cannot be an alias"),
    ] {
        let said = seen.refused.get(&id(owner)).unwrap_or_else(|| panic!("{owner}: {seen:?}"));
        assert!(said.contains(reason), "{owner}: {said}");
    }
    let answer = udp(at, "nothing.prod.rebar.test.", RecordType::A).await;
    assert_eq!(answer.authorities[0].name.to_ascii(), "prod.rebar.test.");
}

#[tokio::test]
async fn other_names_are_asked_of_the_upstream_resolver() {
    let (upstream, _) = start(&["example.test"], Vec::new()).await;
    let many: Vec<String> = (0..300).map(|n| format!("10.8.{}.{}", n / 200, n % 200 + 1)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let records =
        [record("www", "www.example.test", "A", &["10.8.0.1"]), record("all", "all.example.test", "A", &many)];
    upstream.reconcile(&records).await.unwrap();
    // The first one is closed by the time it is asked.
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (dns, _) = start(&["rebar.test"], vec![closed, upstream.addresses()[0]]).await;
    let at = dns.addresses()[0];
    dns.reconcile(&[record("n1", "n1.rebar.test", "A", &["10.9.0.1"])]).await.unwrap();

    let answer = udp(at, "www.example.test.", RecordType::A).await;
    assert_eq!(values(&answer), ["10.8.0.1"]);
    assert!(!answer.metadata.authoritative && answer.metadata.recursion_available);
    let none = udp(at, "none.example.test.", RecordType::A).await;
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(tcp(at, "all.example.test.", RecordType::A).await.answers.len(), 300);
    assert_eq!(values(&udp(at, "n1.rebar.test.", RecordType::A).await), ["10.9.0.1"]);
}

#[tokio::test]
async fn readers_never_see_half_of_a_change() {
    let (dns, _) = start(&["rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    let dns = Arc::new(dns);
    let old = [record("a", "api.rebar.test", "A", &["10.9.0.1", "10.9.0.2"])];
    let new = [record("a", "api.rebar.test", "A", &["10.9.0.3", "10.9.0.4"])];
    dns.reconcile(&old).await.unwrap();
    let writer = tokio::spawn({
        let dns = dns.clone();
        async move {
            for turn in 0..50 {
                let wish = if turn % 2 == 0 { &new } else { &old };
                assert_eq!(dns.reconcile(wish).await.unwrap().ready.len(), 1);
            }
        }
    });
    while !writer.is_finished() {
        let mut seen = values(&udp(at, "api.rebar.test.", RecordType::A).await);
        seen.sort_unstable();
        assert!(seen == ["10.9.0.1", "10.9.0.2"] || seen == ["10.9.0.3", "10.9.0.4"], "{seen:?}");
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn ports_are_free_again_after_a_shutdown() {
    let (dns, clock) = start(&["rebar.test"], Vec::new()).await;
    let at = dns.addresses()[0];
    dns.shutdown().await;
    assert!(dns.reconcile(&[]).await.is_err());
    let config = DnsConfig { listen: vec![at], zones: vec!["rebar.test".to_owned()], ..DnsConfig::default() };
    let taken = Dns::start(config.clone(), clock.clone()).await.unwrap();
    let error = Dns::start(config, clock).await.err().unwrap().to_string();
    assert!(error.contains(&at.to_string()), "{error}");
    taken.shutdown().await;
}
