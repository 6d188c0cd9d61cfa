//! Who comes when there is no room is told when to come back, before any cryptography; who is in does not notice.

use std::{sync::atomic::Ordering, time::Duration};

use rebar_gateway::Limits;
use rebar_model::AttemptId;
use rebar_ports::AgentCommand;
use rebar_proto::read_notice;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{door::EPOCH, fixture::Fixture};

/// Everything that the door says to a connection that says something itself, as TLS does.
async fn told(fixture: &Fixture) -> Vec<u8> {
    let mut tcp = TcpStream::connect(fixture.address).await.unwrap();
    tcp.write_all(&[0x16; 600]).await.unwrap();
    let mut said = Vec::new();
    tcp.read_to_end(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn who_finds_no_room_is_told_when_to_come_back() {
    let fixture = Fixture::with(Limits { arrivals: 2, arrivals_per_second: 1_000, ..Limits::default() }).await;
    let mut inside = fixture.welcomed("n1").await;
    // Two that have shown who they are and say nothing more: they are coming in.
    let mut coming = fixture.agent("n2").await;
    let other = fixture.agent("n3").await;
    let notice = told(&fixture).await;
    let after = read_notice(&notice).unwrap_or_else(|| panic!("no notice: {}", String::from_utf8_lossy(&notice)));
    assert!((Duration::from_secs(1)..=Duration::from_secs(60)).contains(&after), "{after:?}");
    assert_eq!(fixture.arrivals.sent_away.load(Ordering::Relaxed), 1);
    assert_eq!(fixture.arrivals.most_at_once.load(Ordering::Relaxed), 2);
    // Who is in is served as ever.
    fixture.door.session("n1").send(AgentCommand::Cancel { attempt: AttemptId(1), epoch: EPOCH }).unwrap();
    inside.hear().await.unwrap();
    // When one of them has been welcomed, there is room again.
    coming.hello(0).await.unwrap();
    fixture.welcomed("n4").await;
    drop(other);
}

#[tokio::test]
async fn so_many_come_in_a_second_and_no_more() {
    let fixture = Fixture::with(Limits { arrivals: 4, arrivals_per_second: 1, ..Limits::default() }).await;
    for name in ["n1", "n2", "n3", "n4"] {
        fixture.welcomed(name).await;
    }
    let first = read_notice(&told(&fixture).await).unwrap();
    let second = read_notice(&told(&fixture).await).unwrap();
    assert!(second > first, "each is told another moment: {first:?}, {second:?}");
}

#[tokio::test]
async fn a_node_that_says_nothing_does_not_keep_others_out() {
    let limits =
        Limits { arrivals: 1, arrivals_per_second: 1_000, hello: Duration::from_millis(200), ..Limits::default() };
    let fixture = Fixture::with(limits).await;
    // A connection without a session, which no limit of sessions ends.
    let identity = fixture.ca.agent("n1", crate::ca::Validity::Long);
    let _silent = fixture.channel(Some(&identity)).await.unwrap();
    let mut tries = 0;
    while read_notice(&told(&fixture).await).is_some() {
        tries += 1;
        assert!(tries < 100_000, "the place is never given up");
    }
    assert!(tries > 0, "there was no room at first");
}
