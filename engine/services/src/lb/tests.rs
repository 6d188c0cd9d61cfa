//! The load balancer as clients see it: every connection here is a real one over loopback.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rebar_model::{HealthCheck, ReadyWhen, Resource, ResourceKind, Span};
use rebar_ports::{Observed, Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use super::{LbConfig, LbListing, LoadBalancer};
use crate::{
    checks::Pace,
    testing::{id, output, resource},
};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

fn balancer(config: LbConfig) -> LoadBalancer {
    let pace = Pace { interval: Duration::from_millis(10), timeout: Duration::from_secs(1) };
    LoadBalancer::with_pace(config, pace).unwrap()
}

/// An endpoint that nobody listens on.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn vip(owner: &str, at: SocketAddr, check: HealthCheck) -> Resource {
    resource(owner, ResourceKind::LbVip { address: at.ip(), port: at.port(), check })
}

fn backend(owner: &str, vip: SocketAddr, at: SocketAddr, drain: Span) -> Resource {
    let kind = ResourceKind::LbBackend {
        vip: vip.to_string(),
        address: at.ip(),
        port: at.port(),
        drain_timeout: drain,
        ready_when: ReadyWhen::Healthy,
    };
    resource(owner, kind)
}

/// A server that greets with a letter, and answers with what it got when the client has said all.
struct Server {
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(letter: u8) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), letter).await
    }

    async fn on(at: SocketAddr, letter: u8) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(&[letter]).await?;
                    let mut said = Vec::new();
                    stream.read_to_end(&mut said).await?;
                    said.reverse();
                    stream.write_all(&said).await
                });
            }
        });
        Self { at, task }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Connects and reads the greeting.
async fn greeted(vip: SocketAddr) -> io::Result<(TcpStream, char)> {
    let mut stream = TcpStream::connect(vip).await?;
    let letter = timeout(PATIENCE, stream.read_u8()).await.expect("a greeting or an end")?;
    Ok((stream, char::from(letter)))
}

/// Says something, ends its own direction, and reads the answer to the end.
async fn finish(mut stream: TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer or an end")?;
    Ok(answer)
}

/// Reconciles, again whenever something may have changed, until it is as it should be.
async fn until(lb: &LoadBalancer, desired: &[Resource], good: impl Fn(&Observed, &LbListing) -> bool) -> Observed {
    let wait = async {
        loop {
            let seen = lb.reconcile(desired).await.unwrap();
            if good(&seen, &lb.listing()) {
                return seen;
            }
            lb.changed().await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the state that is waited for")
}

async fn until_ready(lb: &LoadBalancer, desired: &[Resource]) -> Observed {
    until(lb, desired, |seen, _| seen.ready.len() == desired.len()).await
}

fn health(listing: &LbListing, owner: &str) -> &'static str {
    let backends = listing.vips.iter().flat_map(|vip| &vip.backends);
    backends.clone().find(|it| it.owner == id(owner).to_string()).map_or("gone", |it| it.health)
}

#[tokio::test]
async fn connections_are_spread_over_healthy_backends() {
    let lb = balancer(LbConfig::default());
    let (at, a, b) = (free().await, Server::start(b'a').await, Server::start(b'b').await);
    let wishes = [
        vip("vip", at, HealthCheck::Tcp),
        backend("a", at, a.at, Span::from_secs(5)),
        backend("b", at, b.at, Span::from_secs(5)),
    ];
    let seen = until_ready(&lb, &wishes).await;
    assert_eq!(output(&seen, "vip", "endpoint"), at.to_string());
    assert_eq!(output(&seen, "vip", "address"), "127.0.0.1");
    assert_eq!(output(&seen, "vip", "port"), at.port().to_string());
    assert_eq!(output(&seen, "a", "endpoint"), a.at.to_string());

    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(greeted(at).await.unwrap());
    }
    assert_eq!(open.iter().filter(|(_, letter)| *letter == 'a').count(), 10);
    let listing = lb.listing();
    assert_eq!((listing.vips[0].open, listing.vips[0].total), (20, 20));
    assert_eq!(listing.vips[0].backends.iter().map(|it| it.open).collect::<Vec<_>>(), [10, 10]);
    // Those who are less busy get the next: all of `a` end.
    let (of_a, of_b): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, letter)| *letter == 'a');
    for (stream, _) in of_a {
        assert_eq!(finish(stream, "abc").await.unwrap(), "cba");
    }
    let mut next = Vec::new();
    for _ in 0..5 {
        next.push(greeted(at).await.unwrap());
    }
    assert!(next.iter().all(|(_, letter)| *letter == 'a'));
    drop((of_b, next));
    lb.shutdown().await;
    assert!(TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn one_direction_may_end_before_the_other() {
    let lb = balancer(LbConfig::default());
    let (at, a) = (free().await, Server::start(b'a').await);
    until_ready(&lb, &[vip("vip", at, HealthCheck::Tcp), backend("a", at, a.at, Span::default())]).await;
    let (stream, _) = greeted(at).await.unwrap();
    // More than all buffers on the way hold, answered only after the client's end.
    let text = "0123456789".repeat(100_000);
    let (mut reader, mut writer) = stream.into_split();
    let said = text.clone();
    let say = tokio::spawn(async move {
        writer.write_all(said.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut answer = String::new();
    timeout(PATIENCE, reader.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.len() == text.len() && answer.starts_with("9876543210"));
    drop(say.await.unwrap());
}

#[tokio::test]
async fn backends_go_down_and_come_back() {
    let lb = balancer(LbConfig::default());
    let (at, a, b) = (free().await, Server::start(b'a').await, Server::start(b'b').await);
    let wishes = [
        vip("vip", at, HealthCheck::Tcp),
        backend("a", at, a.at, Span::default()),
        backend("b", at, b.at, Span::default()),
    ];
    until_ready(&lb, &wishes).await;
    let b_at = b.at;
    b.stop().await;
    // No client notices: what does not connect is tried elsewhere, also before a check has seen it.
    for _ in 0..10 {
        assert_eq!(greeted(at).await.unwrap().1, 'a');
    }
    let seen = until(&lb, &wishes, |_, listing| health(listing, "b") == "down").await;
    assert!(seen.ready.contains_key(&id("b")), "its health is no longer the business of the graph");
    let _b = Server::on(b_at, b'b').await;
    until(&lb, &wishes, |_, listing| health(listing, "b") == "up").await;
    let mut letters = [greeted(at).await.unwrap(), greeted(at).await.unwrap()];
    letters.sort_by_key(|(_, letter)| *letter);
    assert_eq!((letters[0].1, letters[1].1), ('a', 'b'));
}

#[tokio::test]
async fn a_vip_without_a_healthy_backend_refuses_at_once() {
    let lb = balancer(LbConfig::default());
    let at = free().await;
    let dead = free().await;
    let wishes = [vip("vip", at, HealthCheck::Tcp), backend("a", at, dead, Span::default())];
    let seen = until(&lb, &wishes, |seen, _| seen.pending.get(&id("a")).is_some_and(|it| it.contains("refused"))).await;
    assert!(seen.ready.contains_key(&id("vip")));
    assert_eq!(seen.pending[&id("a")], format!("{dead}: connection refused"));
    let error = greeted(at).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    assert_eq!(lb.listing().vips[0].refused, 1);
    // It comes to life and is in without a person.
    let _a = Server::on(dead, b'a').await;
    until_ready(&lb, &wishes).await;
    assert_eq!(greeted(at).await.unwrap().1, 'a');
}

#[tokio::test]
async fn a_drained_connection_may_finish() {
    let lb = balancer(LbConfig::default());
    let (at, a, b) = (free().await, Server::start(b'a').await, Server::start(b'b').await);
    let both = [
        vip("vip", at, HealthCheck::Tcp),
        backend("a", at, a.at, Span::from_secs(60)),
        backend("b", at, b.at, Span::from_secs(60)),
    ];
    until_ready(&lb, &both).await;
    let mut open = vec![greeted(at).await.unwrap(), greeted(at).await.unwrap()];
    open.sort_by_key(|(_, letter)| *letter);
    let (on_a, letter) = open.remove(0);
    assert_eq!(letter, 'a');

    let without_a = [both[0].clone(), both[2].clone()];
    let seen = lb.reconcile(&without_a).await.unwrap();
    assert!(seen.pending[&id("a")].starts_with("draining: 1 open connections"), "{seen:?}");
    assert_eq!(health(&lb.listing(), "a"), "draining");
    for _ in 0..4 {
        assert_eq!(greeted(at).await.unwrap().1, 'b');
    }
    assert_eq!(finish(on_a, "still here").await.unwrap(), "ereh llits");
    let seen = until(&lb, &without_a, |seen, _| seen.pending.is_empty()).await;
    assert!(!seen.ready.contains_key(&id("a")));
    assert_eq!(health(&lb.listing(), "a"), "gone");
}

#[tokio::test]
async fn a_drain_ends_with_its_timeout() {
    let lb = balancer(LbConfig::default());
    let (at, a) = (free().await, Server::start(b'a').await);
    let wishes = [vip("vip", at, HealthCheck::Tcp), backend("a", at, a.at, Span::from_millis(200))];
    until_ready(&lb, &wishes).await;
    let (mut stream, _) = greeted(at).await.unwrap();
    let started = tokio::time::Instant::now();
    let seen = lb.reconcile(&wishes[..1]).await.unwrap();
    assert!(seen.pending.contains_key(&id("a")));
    let error = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "a cut is not a clean end: {error}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    until(&lb, &wishes[..1], |seen, _| seen.pending.is_empty()).await;
}

#[tokio::test]
async fn a_vip_goes_with_its_last_connection() {
    let lb = balancer(LbConfig::default());
    let (at, a) = (free().await, Server::start(b'a').await);
    let wishes = [vip("vip", at, HealthCheck::Tcp), backend("a", at, a.at, Span::from_secs(60))];
    until_ready(&lb, &wishes).await;
    let (stream, _) = greeted(at).await.unwrap();
    let seen = lb.reconcile(&[]).await.unwrap();
    assert!(seen.pending.contains_key(&id("vip")) && seen.pending.contains_key(&id("a")), "{seen:?}");
    assert!(TcpStream::connect(at).await.is_err(), "the listener is closed at once");
    // A backend whose vip is gone waits for one.
    let seen = lb.reconcile(&wishes[1..]).await.unwrap();
    assert_eq!(seen.pending[&id("a")], format!("no vip listens on {at}"));
    assert_eq!(finish(stream, "abc").await.unwrap(), "cba");
    until(&lb, &[], |seen, _| *seen == Observed::default()).await;
    // And the same again from the start.
    until_ready(&lb, &wishes).await;
    assert_eq!(greeted(at).await.unwrap().1, 'a');
}

#[tokio::test]
async fn health_is_asked_over_http() {
    let lb = balancer(LbConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, web) = (free().await, listener.local_addr().unwrap());
    let ready = Arc::new(AtomicBool::new(false));
    let answers = ready.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 1_024];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let asked = request[..length].starts_with(b"GET /healthz HTTP/1.1\r\n");
            let status = if asked && answers.load(Ordering::Relaxed) { "204 No Content" } else { "503 Unavailable" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await;
        }
    });
    let check = HealthCheck::Http { path: "/healthz".to_owned() };
    let wishes = [vip("vip", at, check), backend("a", at, web, Span::default())];
    let seen = until(&lb, &wishes, |seen, _| seen.pending.get(&id("a")).is_some_and(|it| it.contains("503"))).await;
    assert!(seen.pending[&id("a")].ends_with("GET /healthz answers with status 503"), "{seen:?}");
    ready.store(true, Ordering::Relaxed);
    until_ready(&lb, &wishes).await;
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_a_reason() {
    let lb = balancer(LbConfig::default());
    let at = free().await;
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = |path: &str| HealthCheck::Http { path: path.to_owned() };
    let seen = lb
        .reconcile(&[
            vip("first", at, HealthCheck::Tcp),
            vip("second", at, HealthCheck::Tcp),
            vip("busy", busy.local_addr().unwrap(), HealthCheck::Tcp),
            vip("foreign", "192.0.2.1:80".parse().unwrap(), HealthCheck::Tcp),
            vip("zero", "127.0.0.1:0".parse().unwrap(), HealthCheck::Tcp),
            vip("path", free().await, check("/a b")),
            backend("nowhere", at, "0.0.0.0:80".parse().unwrap(), Span::default()),
        ])
        .await
        .unwrap();
    for (owner, reason) in [
        ("second", "is taken by test/first"),
        ("busy", "another program"),
        ("foreign", "is not an address of this host"),
        ("zero", "port 0"),
        ("path", "path"),
        ("nowhere", "not a place to connect to"),
    ] {
        let said = seen.refused.get(&id(owner)).unwrap_or_else(|| panic!("{owner}: {seen:?}"));
        assert!(said.contains(reason), "{owner}: {said}");
    }
    // Whoever holds an endpoint keeps it, whatever the order.
    let seen =
        lb.reconcile(&[vip("a-late-one", at, HealthCheck::Tcp), vip("first", at, HealthCheck::Tcp)]).await.unwrap();
    assert!(seen.ready.contains_key(&id("first")) && seen.refused.contains_key(&id("a-late-one")));
    assert!(LoadBalancer::start(LbConfig { interface: Some("-x".to_owned()), ..LbConfig::default() }).await.is_err());
}

#[tokio::test]
async fn a_vip_has_a_limit_of_connections() {
    let lb = balancer(LbConfig { max_connections: 2, ..LbConfig::default() });
    let (at, a) = (free().await, Server::start(b'a').await);
    until_ready(&lb, &[vip("vip", at, HealthCheck::Tcp), backend("a", at, a.at, Span::default())]).await;
    let open = [greeted(at).await.unwrap(), greeted(at).await.unwrap()];
    assert!(greeted(at).await.is_err());
    assert_eq!(lb.listing().vips[0].refused, 1);
    drop(open);
    lb.shutdown().await;
}

#[tokio::test]
async fn an_address_that_the_host_lacks_comes_and_goes_with_its_vips() {
    let lb = balancer(LbConfig { interface: Some("lo".to_owned()), ..LbConfig::default() });
    for address in ["198.18.77.7", "fd77::7"] {
        let address: IpAddr = address.parse().unwrap();
        let one = vip("one", (address, 18_077).into(), HealthCheck::Tcp);
        let two = vip("two", (address, 18_078).into(), HealthCheck::Tcp);
        let seen = lb.reconcile(&[one.clone(), two]).await.unwrap();
        if seen.refused.values().any(|reason| reason.contains("cannot be added")) {
            // Not permitted where this runs; the reason is what there is to see.
            assert_eq!(seen.refused.len(), 2, "{seen:?}");
            continue;
        }
        assert_eq!(seen.ready.len(), 2, "{seen:?}");
        lb.reconcile(&[one]).await.unwrap();
        assert!(TcpListener::bind((address, 0)).await.is_ok(), "the other vip still needs it");
        assert_eq!(lb.reconcile(&[]).await.unwrap(), Observed::default());
        assert!(TcpListener::bind((address, 0)).await.is_err(), "{address} is gone");
    }
    // What is on the interface without our doing stays.
    let own = vip("own", ([127, 0, 0, 1], free().await.port()).into(), HealthCheck::Tcp);
    lb.reconcile(&[own]).await.unwrap();
    lb.reconcile(&[]).await.unwrap();
    assert!(TcpListener::bind("127.0.0.1:0").await.is_ok());
}
