//! One GET: a connection, TLS where the address asks for it, and the status of the answer. Redirects are not followed and the body is
//! not read. How long that may take is up to `check.rs`.

use std::{io, sync::Arc, time::Duration};

use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::target::{HttpTarget, Trust};
use crate::checks::plain;

/// The most bytes of an answer that are read for its status.
const MAX_HEAD: usize = 64 * 1_024;

/// Asks an address; says what went wrong.
pub(crate) async fn get(target: &HttpTarget, patience: Duration) -> Result<(), String> {
    let stream = connect(target, patience).await?;
    let Some(trust) = &target.trust else { return ask(stream, target).await };
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| format!("`{}` cannot stand in a certificate", target.host))?;
    let connector = TlsConnector::from(Arc::new(config(trust).await?));
    let stream = connector.connect(name, stream).await.map_err(|error| untrusted(&error, trust))?;
    ask(stream, target).await
}

/// Connects to the first of its addresses that takes a connection. Each has its share of the time, so that one that is silent leaves
/// some for the others.
async fn connect(target: &HttpTarget, patience: Duration) -> Result<TcpStream, String> {
    let found = lookup_host((target.host.as_str(), target.port)).await;
    let addresses: Vec<_> = found.map_err(|_| format!("the name `{}` is not known", target.host))?.collect();
    let share = patience / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut error = format!("the name `{}` has no address", target.host);
    for address in addresses {
        error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => plain(&error),
            Err(_) => format!("no connection within {share:?}"),
        };
    }
    Err(error)
}

async fn config(trust: &Trust) -> Result<ClientConfig, String> {
    let roots = match trust {
        Trust::Only(roots) => roots.clone(),
        Trust::System => system_roots().await?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| it.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The authorities that this host trusts; read anew for each check, so that one that is added counts.
async fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let none = "this host trusts no authority: give the one of the server as `ca_pem`";
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await.map_err(|_| none)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(none.to_owned()) } else { Ok(Arc::new(roots)) }
}

/// What it means when TLS does not come about.
fn untrusted(error: &io::Error, trust: &Trust) -> String {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    match (inner, trust) {
        (Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)), Trust::Only(_)) => {
            "its certificate is not signed by the authority in `ca_pem`".to_owned()
        }
        (Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)), Trust::System) => {
            "its certificate is not signed by an authority that this host trusts; `ca_pem` may name one".to_owned()
        }
        (Some(error), _) => format!("no TLS: {error}"),
        (None, _) => format!("no TLS: {}", plain(error)),
    }
}

/// Sends the request and judges the status.
async fn ask(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, target: &HttpTarget) -> Result<(), String> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| strange(&error))?;
    let request = Request::get(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, "rebar-wait")
        .header(header::CONNECTION, "close")
        .body(String::new())
        .map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| strange(&error))?;
        judge(response.status().as_u16(), target.status)
    };
    // The connection has to be driven while it is asked; its own end is told by the answer.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => never,
    }
}

fn strange(error: &hyper::Error) -> String {
    if error.is_parse() {
        "it does not answer in HTTP".to_owned()
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "the connection ended before an answer came".to_owned()
    } else {
        error.to_string()
    }
}

fn judge(status: u16, wanted: Option<u16>) -> Result<(), String> {
    match wanted {
        Some(wanted) if status == wanted => Ok(()),
        Some(wanted) => Err(format!("it answers with status {status}, not {wanted}")),
        None if status < 400 => Ok(()),
        None => Err(format!("it answers with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::ResourceKind;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        task::JoinHandle,
    };

    use super::*;
    use crate::wait::target::Target;

    /// What is written at once.
    const PIECE: usize = 1_024;

    fn target() -> HttpTarget {
        let url = "http://a/".to_owned();
        match Target::read(&ResourceKind::WaitHttp { url, status: None, ca_pem: None }) {
            Some(Ok(Target::Http(target))) => *target,
            other => panic!("{other:?}"),
        }
    }

    /// A server that answers with a head of this many bytes, and says how many of them were taken from it.
    fn server(bytes: usize) -> (DuplexStream, JoinHandle<usize>) {
        let (ours, mut theirs) = duplex(PIECE);
        let (begin, end) = ("HTTP/1.1 200 OK\r\nx-long: ", "\r\n\r\n");
        let head = format!("{begin}{}{end}", "x".repeat(bytes - begin.len() - end.len()));
        let served = tokio::spawn(async move {
            assert!(theirs.read(&mut [0; PIECE]).await.unwrap() > 0, "a request");
            let mut taken = 0;
            for piece in head.as_bytes().chunks(PIECE) {
                if theirs.write_all(piece).await.is_err() {
                    break;
                }
                taken += piece.len();
            }
            taken
        });
        (ours, served)
    }

    #[tokio::test]
    async fn the_head_of_an_answer_is_as_long_as_it_may_be() {
        let (stream, served) = server(MAX_HEAD);
        assert_eq!(ask(stream, &target()).await, Ok(()));
        assert_eq!(served.await.unwrap(), MAX_HEAD);
        let (stream, served) = server(16 * MAX_HEAD);
        assert_eq!(ask(stream, &target()).await, Err("it does not answer in HTTP".to_owned()));
        // Some is on its way, and buffers grow in steps.
        let taken = served.await.unwrap();
        assert!(taken <= 2 * MAX_HEAD, "{taken}");
    }
}
