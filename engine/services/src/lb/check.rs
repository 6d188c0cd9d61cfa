//! Carrying out one health check: a TCP connection, or a plain HTTP request on top. What follows from the result is in `health.rs`.

use std::{net::SocketAddr, time::Duration};

use rebar_model::HealthCheck;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::checks::plain;

/// The longest status line that is read, in bytes.
const MAX_STATUS_LINE: u64 = 1_024;

/// Carries out one check; says what went wrong.
pub(crate) async fn check(backend: SocketAddr, how: &HealthCheck, patience: Duration) -> Result<(), String> {
    let attempt = async {
        let stream = TcpStream::connect(backend).await.map_err(|error| plain(&error))?;
        match how {
            HealthCheck::Tcp => Ok(()),
            HealthCheck::Http { path } => get(stream, backend, path).await,
        }
    };
    timeout(patience, attempt).await.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
}

async fn get(mut stream: TcpStream, backend: SocketAddr, path: &str) -> Result<(), String> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {backend}\r\nUser-Agent: rebar-check\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| plain(&error))?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(MAX_STATUS_LINE);
    reader.read_until(b'\n', &mut line).await.map_err(|error| plain(&error))?;
    let line = String::from_utf8_lossy(&line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split_whitespace().nth(1));
    match status.and_then(|it| it.parse::<u16>().ok()) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path} answers with status {status}")),
        None => Err(format!("GET {path} is not answered in HTTP")),
    }
}
