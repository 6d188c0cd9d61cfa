//! Opening a channel to the engine: TCP, TLS under the name that every engine has, HTTP/2.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::ServerCertVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::{
    door::{
        identity::{Identity, certificate},
        wire::Wire,
    },
    error::Error,
};

/// The name in the certificate of every engine, whatever address it is dialled at.
const SERVER_NAME: &str = "engine.rebar";
/// How long a connection may take to be there. A line of 64 kbit/s that loses a twentieth needs a few seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// An engine pings every five seconds, whatever else it says; one from which not a byte comes for this long is frozen, or cannot be
/// reached any more. Bytes count and not messages: a large one takes minutes on a slow line.
const SILENCE: Duration = Duration::from_secs(12);

/// An open channel.
#[derive(Debug)]
pub struct Connection {
    /// For the generated clients.
    pub channel: Channel,
    /// This machine's own address on the way to the engine.
    pub local: SocketAddr,
}

/// The cryptography of all connections.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS for a machine that has an identity.
pub fn mutual_tls(identity: &Identity) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(identity.ca_pem.as_bytes()) {
        roots.add(ca.map_err(certificate)?).map_err(certificate)?;
    }
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(certificate)?;
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(certificate)?.with_root_certificates(roots);
    config.with_client_auth_cert(chain, key).map_err(certificate)
}

/// TLS for a machine that has no identity yet.
pub fn pinned_tls(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(certificate)?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(config.with_no_client_auth())
}

/// The addresses of engines as they are given to an agent: one, or several with commas between them, of which one leads.
pub fn addresses(engines: &str) -> impl Iterator<Item = &str> {
    engines.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// Opens a channel. It is for one connection: when that breaks, the channel is of no more use.
pub async fn dial(engine: &str, mut tls: ClientConfig) -> Result<Connection, Error> {
    let unreachable = |reason: String| Error::Unreachable { engine: engine.to_owned(), reason };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = async {
        let wire = Wire::new(TcpStream::connect(engine).await?, SILENCE)?;
        let local = wire.local_addr()?;
        std::io::Result::Ok((wire, local))
    };
    let connect = async {
        let (wire, local) = tcp.await.map_err(|error| unreachable(error.to_string()))?;
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| unreachable(error.to_string()))?;
        match TlsConnector::from(Arc::new(tls)).connect(name, wire).into_fallible().await {
            Ok(stream) => Ok((stream, local)),
            Err((error, wire)) => Err(match wire.told_to_wait() {
                Some(after) => Error::Busy { engine: engine.to_owned(), after },
                None => unreachable(error.to_string()),
            }),
        }
    };
    let (stream, local) = timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| unreachable(format!("no answer in {} s", CONNECT_TIMEOUT.as_secs())))??;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or_else(|| std::io::Error::other("the connection is over"));
        std::future::ready(stream)
    });
    let channel = Endpoint::from_static("http://engine.rebar")
        // What is on its way here stands before every order; how much is good for the line is measured.
        .http2_adaptive_window(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    Ok(Connection { channel, local })
}
