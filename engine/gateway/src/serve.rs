//! The listener and its connections: TLS, who is there, HTTP/2, limits, an orderly stop. What is said on a connection is the
//! services' business.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use rebar_model::Span;
use rebar_ports::{AgentDoor, Authority, Clock};
use rebar_proto::{
    MAX_MESSAGE,
    v1::{agent_server::AgentServer, enrolment_server::EnrolmentServer},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    access::guard,
    admission::{Admission, Answer, Arrivals},
    agent::AgentService,
    anteroom,
    contents::Contents,
    enrolment::EnrolmentService,
    limits::{
        BACKLOG, ENROL_MESSAGE, HEADERS, IDENTITY_AGE, IDENTITY_RETRY, KEEPALIVE_EVERY, KEEPALIVE_PATIENCE, Limits,
        SILENCE, STOP, STREAMS_PER_CONNECTION, UNSENT,
    },
    peer::{self, Arrival, Named, Peer},
    sessions::Sessions,
    tls::{self, TlsError},
};

/// The agents' door.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

/// How the door is set up.
#[derive(Debug, Clone, Default)]
pub struct GatewayConfig {
    /// Names and addresses, besides the engine's own name, that the certificate is valid for.
    pub sans: Vec<String>,
    /// Limits; the defaults are meant for production.
    pub limits: Limits,
    /// Where it is counted who came; for who wants to know.
    pub arrivals: Arc<Arrivals>,
}

/// Why the door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No certificate, or none that works.
    #[error("the agents' door has no TLS: {0}")]
    Tls(#[from] TlsError),
    /// No thread for handshakes.
    #[error("the agents' door cannot carry out handshakes: {0}")]
    Thread(#[from] std::io::Error),
}

impl Gateway {
    /// Listens where agents are to come in. Who comes while the door is busy waits in the kernel, which is where thousands that lost
    /// their engine at once are for a moment.
    pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    /// Serves agents until cancelled. An error means that nothing was served.
    pub async fn serve(
        listener: TcpListener,
        door: Arc<dyn AgentDoor>,
        authority: Arc<dyn Authority>,
        clock: Arc<dyn Clock>,
        config: GatewayConfig,
        stop: CancellationToken,
    ) -> Result<(), GatewayError> {
        let GatewayConfig { sans, limits, arrivals } = config;
        // Dropping this future must end the tasks too.
        let stop = stop.child_token();
        let _ending = stop.clone().drop_guard();
        let tasks = TaskTracker::new();
        let house = Arc::new(House {
            routes: routes(door, authority.clone(), clock.clone(), &limits, &tasks, &stop),
            clock: clock.clone(),
            anteroom: anteroom::open(stop.clone())?,
            admission: Admission::new(&limits, arrivals, Instant::now()),
            anonymous: Arc::new(Semaphore::new(limits.anonymous_connections)),
            nodes: Arc::new(Semaphore::new(limits.connections)),
            limits,
            stop: stop.clone(),
        });
        let mut tls = tls::server(&*authority, &clock, &sans)?;
        let mut renew_at = after(&*clock, IDENTITY_AGE);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = clock.sleep_until(renew_at) => match tls::server(&*authority, &clock, &sans) {
                    Ok(fresh) => (tls, renew_at) = (fresh, after(&*clock, IDENTITY_AGE)),
                    Err(error) => {
                        tracing::error!(%error, "the door's certificate was not renewed");
                        renew_at = after(&*clock, IDENTITY_RETRY);
                    }
                },
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => house.admit(tcp, TlsAcceptor::from(tls.clone()), &tasks),
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be accepted");
                        // Out of file descriptors, most likely; the next try at once would only spin.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        tasks.close();
        if timeout(STOP, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections of agents were not closed in time");
        }
        Ok(())
    }
}

fn after(clock: &dyn Clock, wait: Duration) -> Timestamp {
    Span::from_secs(wait.as_secs()).after(clock.now())
}

fn routes(
    door: Arc<dyn AgentDoor>,
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    limits: &Limits,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Routes {
    let enrolment = EnrolmentService { door: door.clone(), authority: authority.clone(), clock: clock.clone() };
    let sessions = Sessions::new(door.clone(), clock.clone(), limits.clone(), tasks.clone(), stop.clone());
    let fetches = Arc::new(Semaphore::new(limits.fetches));
    let agent = AgentService { sessions, door, authority, clock, fetches, contents: Contents::default() };
    Routes::default()
        .add_service(EnrolmentServer::new(enrolment).max_decoding_message_size(ENROL_MESSAGE))
        .add_service(
            AgentServer::new(agent).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE),
        )
        .prepare()
}

/// A connection as it is below TLS, and below HTTP/2.
type Wire = Pin<Box<TimeoutStream<TcpStream>>>;
type Tls = TlsStream<Wire>;

/// Sets a connection up: it ends when the other side is silent, and keeps little waiting in the kernel.
fn wire(tcp: TcpStream) -> std::io::Result<Wire> {
    tcp.set_nodelay(true)?;
    SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT)?;
    let mut wire = TimeoutStream::new(tcp);
    wire.set_read_timeout(Some(SILENCE));
    Ok(Box::pin(wire))
}

/// What all connections share.
struct House {
    routes: Routes,
    clock: Arc<dyn Clock>,
    limits: Limits,
    admission: Admission,
    anteroom: Handle,
    anonymous: Arc<Semaphore>,
    nodes: Arc<Semaphore>,
    stop: CancellationToken,
}

impl House {
    fn admit(self: &Arc<Self>, tcp: TcpStream, acceptor: TlsAcceptor, tasks: &TaskTracker) {
        let permit = match self.admission.ask(Instant::now()) {
            Answer::Come(permit) => permit,
            Answer::Later(after) => {
                tracing::debug!(?after, "connection told to come back");
                return self.admission.send_away(tcp, after, tasks);
            }
        };
        let house = self.clone();
        tasks.spawn(async move {
            let stop = house.stop.clone();
            // Made here, since its timer outlives the thread that the handshake is on.
            let Ok(wire) = wire(tcp) else { return };
            let greeted = house.anteroom.spawn(greet(wire, acceptor, house.limits.handshake));
            let greeted = tokio::select! {
                () = stop.cancelled() => return,
                greeted = greeted => greeted,
            };
            if let Ok(Some(tls)) = greeted {
                house.host(tls, Arrival::new(permit)).await;
            }
        });
    }

    /// Serves a connection to its end.
    async fn host(&self, tls: Tls, arrival: Arrival) {
        let named = who(&tls);
        let Some(permit) = self.seat(named.as_ref()) else { return };
        let hang_up = CancellationToken::new();
        let of = |it: &Named| Peer { node: it.node.clone(), hang_up: hang_up.clone(), arrival: arrival.clone() };
        let peer = named.as_ref().map(of);
        let service = service_fn(|request: Request<Incoming>| guard(self.routes.clone(), peer.clone(), request));
        let connection = builder().serve_connection(TokioIo::new(tls), service);
        let mut connection = Box::pin(connection);
        let over = self.over(named.as_ref());
        tokio::select! {
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                // Its calls end by themselves, since they hear of the stop too.
                _ = timeout(STOP, connection).await;
            }
            () = hang_up.cancelled() => {}
            () = over => tracing::info!(node = named.as_ref().map(|it| it.node.as_str()), "connection is too old"),
            () = self.arrive(named.as_ref(), &arrival) => {}
            ended = connection.as_mut() => if let Err(error) = ended {
                tracing::debug!(node = named.as_ref().map(|it| it.node.as_str()), %error, "connection broke");
            }
        }
        drop(permit);
    }

    /// Gives up the place among those that come in, where no welcome does: a stranger has arrived when it is here, and a node that
    /// says nothing must not keep others out. Never resolves.
    async fn arrive(&self, named: Option<&Named>, arrival: &Arrival) {
        if named.is_some() {
            tokio::time::sleep(self.limits.hello).await;
        }
        arrival.is_over();
        std::future::pending::<()>().await;
    }

    /// A place among the connections. Strangers have their own, so that they cannot keep nodes out.
    fn seat(&self, named: Option<&Named>) -> Option<OwnedSemaphorePermit> {
        let seats = if named.is_some() { &self.nodes } else { &self.anonymous };
        let seat = seats.clone().try_acquire_owned().ok();
        if seat.is_none() {
            tracing::warn!(node = named.map(|it| it.node.as_str()), "connection refused: too many");
        }
        seat
    }

    /// Resolves when the connection has lived long enough: a stranger's after a while, a node's with its certificate.
    async fn over(&self, named: Option<&Named>) {
        match named {
            None => tokio::time::sleep(self.limits.anonymous).await,
            Some(named) => {
                let until = Timestamp::from_second(named.until).unwrap_or(Timestamp::MAX);
                self.clock.sleep_until(until).await;
            }
        }
    }
}

/// Carries out a handshake.
async fn greet(wire: Wire, acceptor: TlsAcceptor, patience: Duration) -> Option<Tls> {
    let from = wire.get_ref().peer_addr().ok();
    match timeout(patience, acceptor.accept(wire)).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err(error)) => {
            tracing::info!(?from, %error, "handshake refused");
            None
        }
        Err(_) => {
            tracing::info!(?from, "handshake took too long");
            None
        }
    }
}

/// The node whose certificate was verified in the handshake.
fn who(tls: &Tls) -> Option<Named> {
    let (wire, session) = tls.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    peer::named(certificate)
        .inspect_err(|error| tracing::warn!(from = ?wire.get_ref().peer_addr().ok(), %error, "certificate of no node"))
        .ok()
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_PATIENCE)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEADERS);
    builder
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// Long for a connection on the loopback, and shorter than the kernel's first pause before it tries again.
    const PAUSE: Duration = Duration::from_millis(500);
    /// The most that the kernel puts together before it sends.
    const SEGMENT: usize = 64 * 1024;

    /// So many bytes the kernel takes that nobody has received, on a connection from which nobody reads.
    async fn waiting(tcp: &TcpStream, other: &TcpStream) -> usize {
        let mut taken = 0;
        tcp.writable().await.unwrap();
        loop {
            match tcp.try_write(&[0; 1024]) {
                Ok(bytes) => taken += bytes,
                Err(full) => {
                    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        let mut received = vec![0; taken];
        taken - other.peek(&mut received).await.unwrap()
    }

    #[tokio::test]
    async fn so_many_wait_in_the_kernel_for_a_busy_door() {
        // Each that waits is a file of this test's.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let listener = Gateway::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        // Linux takes one more than it is asked to.
        for _ in 0..=BACKLOG {
            waiting.push(TcpStream::connect(address).await.unwrap());
        }
        let late = TcpStream::connect(address);
        tokio::pin!(late);
        assert!(tokio::time::timeout(PAUSE, &mut late).await.is_err(), "no room for one more");
        for _ in &waiting {
            listener.accept().await.unwrap();
        }
        late.await.unwrap();
    }

    #[tokio::test]
    async fn little_waits_in_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_recv_buffer_size(8 * 1024).unwrap();
        let connect = async || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (ours, listener.accept().await.unwrap().0)
        };
        let (ours, theirs) = connect().await;
        let wire = wire(ours).unwrap();
        let little = waiting(wire.get_ref(), &theirs).await;
        assert!(little <= UNSENT as usize + SEGMENT, "{little} bytes");
        let (ours, theirs) = connect().await;
        let much = waiting(&ours, &theirs).await;
        assert!(much > 4 * little, "{much} bytes without the limit, {little} with it");
    }
}
