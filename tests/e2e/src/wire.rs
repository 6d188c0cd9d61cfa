//! The way from an engine to its database server: a relay in this process that a test breaks or silences. It carries bytes and knows
//! nothing of what they mean; the cables of machines are in `network.rs`.

use std::{net::SocketAddr, sync::mpsc as sync, thread::JoinHandle};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime,
    sync::{oneshot, watch},
};

/// What is carried at once.
const PIECE: usize = 16 * 1_024;

/// How a wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It carries everything.
    Open,
    /// Nothing arrives, and nobody is told; what was sent arrives when it is open again, as TCP has it.
    Silent,
    /// Connections end, and there are no new ones.
    Broken,
}

/// A relay to a server.
pub struct Wire {
    address: SocketAddr,
    line: watch::Sender<Line>,
    carrier: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Wire {
    /// An open wire to a server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let (line, seen) = watch::channel(Line::Open);
        let (stop, stopped) = oneshot::channel();
        let (ready, bound) = sync::channel();
        let carrier = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.unwrap_or_else(|error| panic!("no port: {error}"));
                let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
                // The other side waits for it.
                let _ = ready.send(address);
                tokio::select! {
                    () = take(listener, server, seen) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = bound.recv().unwrap_or_else(|_| panic!("the wire was not made"));
        Self { address, line, carrier: Some(carrier), stop: Some(stop) }
    }

    /// Where it begins.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes how it is.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.carrier.take().is_some_and(|it| it.join().is_err()) {
            eprintln!("the carrier of a wire panicked");
        }
    }
}

async fn take(listener: TcpListener, server: SocketAddr, line: watch::Receiver<Line>) {
    loop {
        // A connection that ended before it was taken is the next one's to tell.
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, server, line.clone()));
        }
    }
}

/// Carries both ways until one side ends or the wire breaks; then both see their connection closed.
async fn carry(client: TcpStream, server: SocketAddr, line: watch::Receiver<Line>) {
    let both = async {
        let Ok(server) = TcpStream::connect(server).await else { return };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            () = pass(from_client, to_server, line.clone()) => {}
            () = pass(from_server, to_client, line.clone()) => {}
        }
    };
    let mut breaks = line.clone();
    tokio::select! {
        biased;
        _ = breaks.wait_for(|it| *it == Line::Broken) => {}
        () = both => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let is_open = line.wait_for(|it| *it != Line::Silent).await.is_ok();
        if !is_open || to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
