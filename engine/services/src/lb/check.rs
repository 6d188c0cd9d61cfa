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
    // What is cut short says less than it seems to.
    let whole = line.strip_suffix('\n');
    let status = whole.and_then(|it| it.strip_prefix("HTTP/1.")).and_then(|rest| rest.split_whitespace().nth(1));
    match status.and_then(|it| it.parse::<u16>().ok()) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path} answers with status {status}")),
        None => Err(format!("GET {path} is not answered in HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of a check that is answered so, by somebody who then says nothing more and stays.
    async fn answered(answer: &str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1_024]).await.unwrap() > 0, "a request");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let how = HealthCheck::Http { path: "/".to_owned() };
        let (result, _stays) = tokio::join!(check(backend, &how, Duration::from_secs(20)), server);
        result
    }

    #[tokio::test]
    async fn a_status_line_is_as_long_as_it_may_be() {
        let line = |length: u64| {
            let status = "HTTP/1.1 200 ";
            format!("{status}{:x<1$}\n", "", usize::try_from(length).unwrap() - status.len() - 1)
        };
        assert_eq!(answered(&line(MAX_STATUS_LINE)).await, Ok(()));
        for too_long in [line(MAX_STATUS_LINE + 1), line(9 * MAX_STATUS_LINE)] {
            assert_eq!(answered(&too_long).await, Err("GET / is not answered in HTTP".to_owned()));
        }
    }
}
