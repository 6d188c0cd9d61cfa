//! One VIP: accepting connections and passing them on. Which backends it has is decided in `service.rs`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rebar_model::{HealthCheck, ResourceId};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{address, backend::Backend, pool::Pool};
use crate::checks::plain;

/// How many backends are tried for one connection.
const MAX_TRIES: usize = 3;
/// How long to wait after the operating system refused to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One VIP that listens.
pub(crate) struct Vip {
    pub(crate) id: ResourceId,
    pub(crate) endpoint: SocketAddr,
    pub(crate) check: watch::Sender<HealthCheck>,
    pub(crate) traffic: Arc<Traffic>,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

/// The connections of a VIP.
pub(crate) struct Traffic {
    pub(crate) pool: Pool,
    limit: usize,
    free: Arc<Semaphore>,
    connect_timeout: Duration,
    total: AtomicU64,
    refused: AtomicU64,
}

impl Traffic {
    pub(crate) fn new(limit: usize, connect_timeout: Duration) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            pool: Pool::default(),
            limit,
            free: Arc::new(Semaphore::new(limit)),
            connect_timeout,
            total: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits())
    }

    /// How many connections ever came.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many of them were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self, client: &TcpStream) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        reset(client);
    }

    /// Connects to a backend; another one if that fails.
    async fn connect(&self) -> Option<(super::backend::Lease, TcpStream)> {
        let mut tried: Vec<Arc<Backend>> = Vec::with_capacity(MAX_TRIES);
        while tried.len() < MAX_TRIES {
            let lease = self.pool.choose(&tried)?;
            let error = match timeout(self.connect_timeout, TcpStream::connect(lease.backend.address)).await {
                Ok(Ok(stream)) => return Some((lease, stream)),
                Ok(Err(error)) => plain(&error),
                Err(_) => format!("no connection within {:?}", self.connect_timeout),
            };
            lease.backend.suspect(error);
            tried.push(lease.backend.clone());
        }
        None
    }

    /// Passes one connection on until it ends.
    async fn serve(&self, mut client: TcpStream) {
        let Some((lease, mut server)) = self.connect().await else {
            self.refuse(&client);
            return;
        };
        // Whoever writes small pieces has its reasons; a failure here costs latency alone.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ended = tokio::select! {
            ended = copy_bidirectional(&mut client, &mut server) => ended.map(|_| ()),
            () = lease.backend.closed() => Err(io::ErrorKind::TimedOut.into()),
        };
        // What was cut on one side is cut on the other: a clean end would say that all data arrived.
        if ended.is_err() {
            reset(&client);
            reset(&server);
        }
    }
}

impl Vip {
    /// Accepts connections on a listener.
    pub(crate) fn start(
        id: ResourceId,
        listener: Listener,
        check: HealthCheck,
        traffic: Arc<Traffic>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let own_stop = stop.child_token();
        let accept = accept(listener.socket, traffic.clone(), tasks.clone(), own_stop.clone(), stop.clone());
        tracing::info!(vip = %id, endpoint = %listener.endpoint, "vip listens");
        Self {
            id,
            endpoint: listener.endpoint,
            check: watch::Sender::new(check),
            traffic,
            stop: own_stop,
            accepting: tasks.spawn(accept),
        }
    }

    /// Closes the listener; its port is free when this returns. Open connections go on.
    pub(crate) async fn close(&mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.accepting).await {
            tracing::error!(vip = %self.id, %error, "the listener did not end cleanly");
        }
        tracing::info!(vip = %self.id, endpoint = %self.endpoint, "vip closed");
    }
}

/// A bound socket.
pub(crate) struct Listener {
    pub(crate) endpoint: SocketAddr,
    pub(crate) socket: TcpListener,
    /// Its address was added to the interface for it.
    pub(crate) added: bool,
}

/// Binds an endpoint, having added its address to an interface if the host does not have it; says what is in the way.
pub(crate) async fn bind(endpoint: SocketAddr, interface: Option<&str>) -> Result<Listener, String> {
    let mut added = false;
    let bound = match (TcpListener::bind(endpoint).await, interface) {
        (Err(error), Some(interface)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let address = endpoint.ip();
            address::add(address, interface).await.map_err(|error| {
                format!("{address} is not an address of this host and cannot be added to {interface}: {error}")
            })?;
            added = true;
            tracing::info!(%address, interface, "address added");
            TcpListener::bind(endpoint).await
        }
        (bound, _) => bound,
    };
    let socket = bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!(
            "{} is not an address of this host; add it, or give the load balancer an interface to add it to",
            endpoint.ip()
        ),
        io::ErrorKind::AddrInUse => format!("another program of this host listens on {endpoint}"),
        io::ErrorKind::PermissionDenied => {
            format!("listening on {endpoint} is not permitted; ports below 1024 need root")
        }
        _ => format!("cannot listen on {endpoint}: {error}"),
    })?;
    Ok(Listener { endpoint, socket, added })
}

async fn accept(
    socket: TcpListener,
    traffic: Arc<Traffic>,
    tasks: TaskTracker,
    stop: CancellationToken,
    all_stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let client = match accepted {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        traffic.total.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = traffic.free.clone().try_acquire_owned() else {
            traffic.refuse(&client);
            continue;
        };
        let (traffic, all_stop) = (traffic.clone(), all_stop.clone());
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = traffic.serve(client) => {}
                () = all_stop.cancelled() => {}
            }
        });
    }
}

/// Has the connection end with RST when it is dropped.
fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::Span;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Traffic to so many backends that seem to be up and refuse connections, and then one that takes them.
    fn traffic(dead: usize, alive: SocketAddr) -> Traffic {
        let traffic = Traffic::new(8, Duration::from_secs(20));
        let refuses: SocketAddr = ([127, 0, 0, 1], 1).into();
        for (number, address) in (0..).zip(std::iter::repeat_n(refuses, dead).chain([alive])) {
            let id = ResourceId(format!("d/backend@n{number}").parse().unwrap());
            let backend = Backend::new(id, address, Span::default());
            backend.health().observe(Ok(()));
            traffic.pool.add(Arc::new(backend));
        }
        traffic
    }

    async fn chosen(traffic: &Traffic) -> Option<SocketAddr> {
        traffic.connect().await.map(|(lease, _)| lease.backend.address)
    }

    #[tokio::test]
    async fn so_many_backends_are_tried_for_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        assert_eq!(chosen(&traffic(MAX_TRIES - 1, alive)).await, Some(alive));

        let traffic = traffic(MAX_TRIES, alive);
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        traffic.serve(door.accept().await.unwrap().0).await;
        assert_eq!(traffic.refused(), 1);
        assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(chosen(&traffic).await, Some(alive), "those that just failed come last");
    }
}
