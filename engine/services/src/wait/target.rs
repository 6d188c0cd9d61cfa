//! Reading what is waited for: the place to ask, or why there can be none. Asking is done in `check.rs`.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::Uri;
use rebar_model::ResourceKind;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The longest address that is asked.
const MAX_URL: usize = 2_048;

/// What has to answer.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A port that takes connections.
    Tcp(SocketAddr),
    /// An address that answers a GET.
    Http(Box<HttpTarget>),
}

/// An address that answers a GET.
#[derive(Debug, Clone)]
pub(crate) struct HttpTarget {
    /// The address as it was given.
    pub(crate) url: String,
    /// The name or address to connect to.
    pub(crate) host: String,
    /// The port to connect to.
    pub(crate) port: u16,
    /// Host and port as they stand in the address.
    pub(crate) authority: String,
    /// What is asked for there.
    pub(crate) path: String,
    /// Whom it trusts; none without TLS.
    pub(crate) trust: Option<Trust>,
    /// The status that counts; none for any below 400.
    pub(crate) status: Option<u16>,
}

/// Whose certificates are taken.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those of the authorities that this host trusts.
    System,
    /// Those of these authorities and of nobody else.
    Only(Arc<RootCertStore>),
}

impl Target {
    /// Reads a resource; the error says why nothing can be asked there. None if it is not for this service.
    pub(crate) fn read(kind: &ResourceKind) -> Option<Result<Self, String>> {
        match kind {
            ResourceKind::WaitTcp { address, port } => Some(tcp(SocketAddr::new(*address, *port)).map(Self::Tcp)),
            ResourceKind::WaitHttp { url, status, ca_pem } => {
                Some(http(url, *status, ca_pem.as_deref()).map(|it| Self::Http(Box::new(it))))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Http(target) => target.url.fmt(f),
        }
    }
}

fn tcp(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(format!("{address} is not a place to connect to"));
    }
    Ok(address)
}

fn http(url: &str, status: Option<u16>, ca_pem: Option<&str>) -> Result<HttpTarget, String> {
    let wrong = |why: &str| format!("`{url}` cannot be asked: {why}");
    if url.len() > MAX_URL {
        return Err(format!("the address is longer than {MAX_URL} characters"));
    }
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
    let (Some(scheme), Some(authority), Some(host)) = (uri.scheme_str(), uri.authority(), uri.host()) else {
        return Err(wrong("it is not a whole address, such as https://registry.example:5000/v2/"));
    };
    let secure = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(wrong("it begins with neither http:// nor https://")),
    };
    // What stands in a URL is shown and kept; a password has no place there.
    if authority.as_str().contains('@') {
        return Err("an address with a user name in it is not asked".to_owned());
    }
    let port = match uri.port_u16() {
        None if authority.as_str() == host => Some(if secure { 443 } else { 80 }),
        other => other.filter(|it| *it > 0),
    };
    let port = port.ok_or_else(|| wrong("its port is not one from 1 to 65535"))?;
    if let Some(status) = status.filter(|it| !(200..=599).contains(it)) {
        return Err(format!("{status} is not a status to wait for: those are 200 to 599"));
    }
    let trust = match (secure, ca_pem) {
        (true, Some(pem)) => Some(Trust::Only(roots(pem)?)),
        (true, None) => Some(Trust::System),
        (false, None) => None,
        (false, Some(_)) => return Err(wrong("`ca_pem` says whom to trust over https, and this is http")),
    };
    Ok(HttpTarget {
        url: url.to_owned(),
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        authority: authority.to_string(),
        path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        trust,
        status,
    })
}

/// The authorities in a PEM text; there has to be one.
fn roots(pem: &str) -> Result<Arc<RootCertStore>, String> {
    let wrong = || "its `ca_pem` is not the certificate of an authority in PEM".to_owned();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    if roots.is_empty() { Err(wrong()) } else { Ok(Arc::new(roots)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_as_long_as_it_may_be() {
        let of = |length: usize| format!("http://a/{}", "x".repeat(length - "http://a/".len()));
        assert!(http(&of(MAX_URL), None, None).is_ok());
        assert!(http(&of(MAX_URL + 1), None, None).is_err_and(|it| it.contains("2048")));
    }

    #[test]
    fn addresses_are_read_as_they_are_meant() {
        for (url, host, port, path) in [
            ("http://a", "a", 80, "/"),
            ("https://a.example/x?y=1#z", "a.example", 443, "/x?y=1"),
            ("http://[2001:db8::7]:8080/", "2001:db8::7", 8080, "/"),
            ("HTTP://[::1]/", "::1", 80, "/"),
        ] {
            let target = http(url, None, None).unwrap();
            assert_eq!((target.host.as_str(), target.port, target.path.as_str()), (host, port, path), "{url}");
            assert_eq!(target.url, url);
        }
    }
}
