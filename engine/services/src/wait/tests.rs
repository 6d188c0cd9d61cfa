//! Waiting as those see it who are waited for: every connection here is a real one over loopback.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rebar_model::{Ident, Resource, ResourceKind};
use rebar_ports::{Observed, Service};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Waits, service::MAX_AT_ONCE};
use crate::{
    checks::Pace,
    testing::{id, output, resource},
};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

fn waits() -> Waits {
    patient(Duration::from_secs(5))
}

fn patient(timeout: Duration) -> Waits {
    Waits::with_pace(Pace { interval: Duration::from_millis(10), timeout })
}

fn tcp(owner: &str, at: SocketAddr) -> Resource {
    resource(owner, ResourceKind::WaitTcp { address: at.ip(), port: at.port() })
}

fn http(owner: &str, url: &str, status: Option<u16>) -> Resource {
    resource(owner, ResourceKind::WaitHttp { url: url.to_owned(), status, ca_pem: None })
}

fn https(owner: &str, url: &str, ca_pem: Option<&str>) -> Resource {
    let ca_pem = ca_pem.map(str::to_owned);
    resource(owner, ResourceKind::WaitHttp { url: url.to_owned(), status: None, ca_pem })
}

/// An endpoint that nobody listens on.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that answers each request with a status, and sends everybody elsewhere.
struct Server {
    at: SocketAddr,
    status: Arc<AtomicU16>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(status: u16) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), status, None).await
    }

    async fn on(at: SocketAddr, status: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let (at, status) = (listener.local_addr().unwrap(), Arc::new(AtomicU16::new(status)));
        let says = status.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => answer(stream, &says).await,
                    // Who does not trust it goes away.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, &says).await;
                        }
                    }
                }
            }
        });
        Self { at, status, task }
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: &AtomicU16) {
    let mut request = vec![0; 1_024];
    let length = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
    let good = request.starts_with("get /health?deep=1 http/1.1\r\n") && request.contains("\r\nhost: ");
    let status = if good { status.load(Ordering::Relaxed) } else { 400 };
    let head = format!("HTTP/1.1 {status} So\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 99999999\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Reconciles, again whenever something may have changed, until it is as it should be.
async fn until(waits: &Waits, desired: &[Resource], good: impl Fn(&Observed) -> bool) -> Observed {
    let wait = async {
        loop {
            let seen = waits.reconcile(desired).await.unwrap();
            if good(&seen) {
                return seen;
            }
            waits.changed().await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the state that is waited for")
}

async fn until_pending(waits: &Waits, desired: &[Resource], owner: &str, reason: &str) {
    let seen = |it: &Observed| it.pending.get(&id(owner)).is_some_and(|it| it.contains(reason));
    until(waits, desired, seen).await;
}

async fn until_ready(waits: &Waits, desired: &[Resource]) -> Observed {
    until(waits, desired, |seen| seen.ready.len() == desired.len()).await
}

#[tokio::test]
async fn what_comes_up_late_is_noticed_and_stays_ready() {
    let waits = waits();
    let at = free().await;
    let url = format!("http://{at}/health?deep=1");
    let wishes = [tcp("port", at), http("page", &url, None)];
    let seen = waits.reconcile(&wishes).await.unwrap();
    assert_eq!(seen.pending[&id("port")], format!("{at}: it is asked for the first time"));
    until_pending(&waits, &wishes, "port", "connection refused").await;
    until_pending(&waits, &wishes, "page", "/health?deep=1: connection refused").await;

    let server = Server::on(at, 200, None).await;
    let seen = until_ready(&waits, &wishes).await;
    assert_eq!((output(&seen, "port", "endpoint"), output(&seen, "page", "url")), (at.to_string(), url));

    server.stop().await;
    let again = waits.reconcile(&wishes).await.unwrap();
    assert_eq!(again, seen, "it is no monitor");
    assert!(waits.tasks.is_empty(), "nobody is asked any more");
}

#[tokio::test]
async fn the_status_counts() {
    let waits = waits();
    let server = Server::start(503).await;
    let url = format!("http://localhost:{}/health?deep=1", server.at.port());
    let wishes = [http("any", &url, None), http("one", &url, Some(204))];
    until_pending(&waits, &wishes, "any", "it answers with status 503").await;
    until_pending(&waits, &wishes, "one", "it answers with status 503, not 204").await;
    // A redirect is an answer; where it leads is not looked at.
    server.status.store(302, Ordering::Relaxed);
    let seen = until(&waits, &wishes, |seen| seen.ready.contains_key(&id("any"))).await;
    assert!(!seen.ready.contains_key(&id("one")));
    server.status.store(204, Ordering::Relaxed);
    until_ready(&waits, &wishes).await;
}

/// An authority, and a server's end of TLS with a certificate of it.
fn authority(name: &str, san: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let ca_pem = params.self_signed(&key).unwrap().pem();
    let (issuer, key) = (Issuer::new(params, key), KeyPair::generate().unwrap());
    let leaf = CertificateParams::new(vec![san.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(leaf.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (ca_pem, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn https_trusts_the_authority_that_is_named_and_nobody_else() {
    let waits = waits();
    let (ca_pem, tls) = authority("its own", "127.0.0.1");
    let (other_pem, _) = authority("another", "127.0.0.1");
    let server = Server::on("127.0.0.1:0".parse().unwrap(), 200, Some(tls)).await;
    let url = format!("https://{}/health?deep=1", server.at);
    let elsewhere = format!("https://localhost:{}/health?deep=1", server.at.port());
    let wishes = [
        https("good", &url, Some(&format!("{other_pem}{ca_pem}"))),
        https("wrong", &url, Some(&other_pem)),
        https("system", &url, None),
        https("name", &elsewhere, Some(&ca_pem)),
        http("plain", &url.replace("https", "http"), None),
    ];
    let seen = until(&waits, &wishes, |seen| seen.ready.contains_key(&id("good"))).await;
    assert_eq!(output(&seen, "good", "url"), url);
    until_pending(&waits, &wishes, "wrong", "not signed by the authority in `ca_pem`").await;
    until_pending(&waits, &wishes, "name", "not valid for name").await;
    until_pending(&waits, &wishes, "plain", "it does not answer in HTTP").await;
    // What this host trusts is not up to this test; that it does not trust this server is.
    let trusted = |it: &Observed| it.pending.get(&id("system")).is_some_and(|it| it.contains("trusts"));
    let seen = until(&waits, &wishes, trusted).await;
    assert_eq!(seen.ready.len(), 1);
}

#[tokio::test]
async fn silence_and_nonsense_are_told_apart() {
    let waits = patient(Duration::from_millis(100));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chatty = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |it: &TcpListener| format!("http://{}/", it.local_addr().unwrap());
    let wishes = [
        http("silent", &url(&silent), None),
        http("rude", &url(&rude), None),
        http("chatty", &url(&chatty), None),
        http("nameless", "http://nowhere.invalid/", None),
    ];
    tokio::spawn(async move { while rude.accept().await.is_ok() {} });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = chatty.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n").await;
            let _ = stream.read(&mut [0; 1_024]).await;
        }
    });
    until_pending(&waits, &wishes, "silent", "no answer within 100ms").await;
    until_pending(&waits, &wishes, "rude", "connection").await;
    until_pending(&waits, &wishes, "chatty", "it does not answer in HTTP").await;
    let named = |it: &Observed| it.pending[&id("nameless")].contains("`nowhere.invalid` is not known");
    let slow = |it: &Observed| it.pending[&id("nameless")].contains("no answer within");
    until(&waits, &wishes, |seen| named(seen) || slow(seen)).await;
}

#[tokio::test]
async fn who_is_removed_while_it_waits_asks_no_more() {
    let waits = patient(PATIENCE);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let wishes = [http("page", &format!("http://{at}/"), None)];
    waits.reconcile(&wishes).await.unwrap();
    let (mut asked, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    assert_eq!(waits.reconcile(&[]).await.unwrap(), Observed::default(), "it is gone at once");
    let mut request = Vec::new();
    // The question that was under way ends, and with it the connection.
    let _ = timeout(PATIENCE, asked.read_to_end(&mut request)).await.expect("an end");
    waits.shutdown().await;
    assert!(waits.reconcile(&wishes).await.is_err(), "nothing begins after the end");
}

#[tokio::test]
async fn another_wish_of_the_same_owner_begins_anew() {
    let waits = waits();
    let (server, dead) = (Server::start(200).await, free().await);
    until_ready(&waits, &[tcp("port", server.at)]).await;
    let wishes = [tcp("port", dead)];
    until_pending(&waits, &wishes, "port", &format!("{dead}: connection refused")).await;
    until_ready(&waits, &[tcp("port", server.at)]).await;
}

#[tokio::test]
async fn a_new_engine_asks_again_where_nothing_was_observed() {
    let (first, at, dead) = (waits(), free().await, free().await);
    let mut observed = tcp("before", dead);
    observed.observed = BTreeMap::from([(Ident::new("endpoint").unwrap(), dead.to_string().into())]);
    let wishes = [tcp("port", at), observed];
    until_pending(&first, &wishes, "port", "connection refused").await;
    first.shutdown().await;
    let second = waits();
    let _server = Server::on(at, 200, None).await;
    let seen = until_ready(&second, &wishes).await;
    assert_eq!(output(&seen, "before", "endpoint"), dead.to_string(), "what was met before stays met");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_a_reason() {
    let long = format!("http://a/{}", "x".repeat(3_000));
    let (ca_pem, _) = authority("its own", "127.0.0.1");
    let cases = [
        (http("a", "registry.example", None), "not a whole address"),
        (http("b", "/v2/", None), "not a whole address"),
        (http("c", "ftp://a/", None), "neither http:// nor https://"),
        (http("d", "http://a b/", None), "cannot be asked"),
        (http("e", "http://ana:secret@a/", None), "a user name"),
        (http("f", "http://a:0/", None), "port"),
        (http("g", "http://a:99999/", None), "port"),
        (http("h", "https://a/", Some(99)), "99 is not a status"),
        (http("i", &long, None), "longer than"),
        (https("j", "https://a/", Some("nonsense")), "not the certificate"),
        (https("k", "https://a/", Some("")), "not the certificate"),
        (https("l", "http://a/", Some(&ca_pem)), "this is http"),
        (tcp("m", "127.0.0.1:0".parse().unwrap()), "not a place to connect to"),
        (tcp("n", "[::]:80".parse().unwrap()), "not a place to connect to"),
    ];
    let waits = waits();
    let wishes: Vec<Resource> = cases.iter().map(|(wish, _)| wish.clone()).collect();
    let seen = waits.reconcile(&wishes).await.unwrap();
    assert!(seen.ready.is_empty() && seen.pending.is_empty() && waits.tasks.is_empty(), "{seen:?}");
    for (wish, reason) in cases {
        let said = seen.refused.get(&wish.id()).unwrap_or_else(|| panic!("{wish:?} is not refused"));
        assert!(said.contains(reason) && !said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn so_many_are_asked_at_one_time() {
    let waits = patient(PATIENCE);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let wishes: Vec<Resource> = (0..=MAX_AT_ONCE).map(|it| http(&format!("n{it}"), &url, None)).collect();
    waits.reconcile(&wishes).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..MAX_AT_ONCE {
        asked.push(timeout(PATIENCE, silent.accept()).await.unwrap().unwrap().0);
    }
    // All of them have had a turn by then, and whoever asks is known to the kernel.
    for _ in 0..=MAX_AT_ONCE {
        tokio::task::yield_now().await;
    }
    let silent = silent.into_std().unwrap();
    assert_eq!(silent.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "one more than may be");
    // When one has its answer, the last one has its turn.
    let silent = TcpListener::from_std(silent).unwrap();
    let answered = &mut asked[0];
    assert!(answered.read(&mut [0; 1_024]).await.unwrap() > 0, "a request");
    answered.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    timeout(PATIENCE, silent.accept()).await.expect("the last one asks").unwrap();
    waits.shutdown().await;
}
