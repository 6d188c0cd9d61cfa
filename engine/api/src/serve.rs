//! The listener and its connections: TLS, limits, an orderly stop. What is said on a connection is the routes' business.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rebar_orchestrator::Handle;
use rebar_ports::{Authority, Clock};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::App,
    limits::{CONNECTIONS, HANDSHAKE, HANDSHAKES, HEADERS, IDENTITY_AGE, IDENTITY_RETRY, STOP, STREAMS_PER_CONNECTION},
    openapi::router,
    tls::{self, TlsError},
};

/// How the door is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names and addresses, besides the engine's own name, that the certificate is valid for.
    pub sans: Vec<String>,
    /// The most connections at one time.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { sans: Vec::new(), connections: CONNECTIONS }
    }
}

/// Why the door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No certificate, or none that works.
    #[error("the operators' door has no TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Serves operators until cancelled. An error means that nothing was served.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    config: Config,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let Config { sans, connections } = config;
    // Dropping this future must end the tasks too.
    let stop = stop.child_token();
    let _ending = stop.clone().drop_guard();
    let app = App::new(handle, clock.clone(), stop.clone());
    let house = Arc::new(House {
        routes: router(app.clone()),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        connections: Arc::new(Semaphore::new(connections)),
        stop: stop.clone(),
    });
    let tasks = TaskTracker::new();
    let mut tls = tls::server(&*authority, clock.now(), &sans)?;
    let mut renew_at = IDENTITY_AGE.after(clock.now());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = clock.sleep_until(renew_at) => match tls::server(&*authority, clock.now(), &sans) {
                Ok(fresh) => (tls, renew_at) = (fresh, IDENTITY_AGE.after(clock.now())),
                Err(error) => {
                    tracing::error!(%error, "the door's certificate was not renewed");
                    renew_at = IDENTITY_RETRY.after(clock.now());
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
    app.tasks.close();
    let ended = async { tokio::join!(tasks.wait(), app.tasks.wait()) };
    if timeout(STOP, ended).await.is_err() {
        tracing::warn!(connections = tasks.len(), work = app.tasks.len(), "requests did not end in time");
    }
    Ok(())
}

/// What all connections share.
struct House {
    routes: Router,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
}

impl House {
    fn admit(self: &Arc<Self>, tcp: TcpStream, acceptor: TlsAcceptor, tasks: &TaskTracker) {
        let (Some(handshake), Some(connection)) = (seat(&self.handshakes), seat(&self.connections)) else {
            tracing::warn!("connection refused: too many");
            return;
        };
        let house = self.clone();
        tasks.spawn(async move {
            let greeted = tokio::select! {
                () = house.stop.cancelled() => return,
                greeted = greet(tcp, acceptor) => greeted,
            };
            drop(handshake);
            if let Some(tls) = greeted {
                house.host(tls).await;
            }
            drop(connection);
        });
    }

    /// Serves a connection to its end.
    async fn host(&self, tls: TlsStream<TcpStream>) {
        let builder = builder();
        let service = TowerToHyperService::new(self.routes.clone());
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(tls), service));
        tokio::select! {
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                // Its requests end by themselves, since streams and waits hear of the stop too.
                _ = timeout(STOP, connection).await;
            }
            ended = connection.as_mut() => if let Err(error) = ended {
                tracing::debug!(error, "connection broke");
            }
        }
    }
}

fn seat(seats: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    seats.clone().try_acquire_owned().ok()
}

async fn greet(tcp: TcpStream, acceptor: TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let from = tcp.peer_addr().ok()?;
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%from, %error, "connection without nodelay");
    }
    match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err(error)) => {
            tracing::debug!(%from, %error, "handshake refused");
            None
        }
        Err(_) => {
            tracing::debug!(%from, "handshake took too long");
            None
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_PER_CONNECTION);
    builder
}
