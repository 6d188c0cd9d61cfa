//! Who is at the other end of a connection: the node that its verified certificate names. A name that an agent merely says is
//! never looked at.

use std::sync::{Arc, Mutex, PoisonError};

use rebar_model::NodeName;
use rustls::pki_types::CertificateDer;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// The domain of the names in agents' certificates: what the engine's authority writes there.
const NODES: &str = "nodes.rebar";

/// The node at the other end, put into the extensions of every call that it makes.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) node: NodeName,
    /// Closes the connection at once.
    pub(crate) hang_up: CancellationToken,
    /// Its place among those that are coming in, until it is in.
    pub(crate) arrival: Arrival,
}

/// A place among those that are coming in; dropped, it is given up all the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Arrival {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(Mutex::new(Some(permit))))
    }

    /// Leaves the place to the next.
    pub(crate) fn is_over(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What a node's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The name of the node.
    pub(crate) node: NodeName,
    /// When the certificate runs out, in seconds since 1970.
    pub(crate) until: i64,
}

/// Why a certificate of the engine's own CA names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotANode {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate must have exactly one common name")]
    CommonName,
    #[error("the common name is not the name of a node")]
    NotAName,
    #[error("the certificate's DNS names do not agree with the common name")]
    NotInSan,
}

/// The node that a certificate names. The caller has verified the certificate.
pub(crate) fn named(certificate: &CertificateDer<'_>) -> Result<Named, NotANode> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| NotANode::Unreadable)?;
    let mut names = parsed.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(NotANode::CommonName);
    };
    let name = name.as_str().map_err(|_| NotANode::CommonName)?;
    let node = NodeName::new(name).map_err(|_| NotANode::NotAName)?;
    let sans = parsed.subject_alternative_name().map_err(|_| NotANode::Unreadable)?;
    let in_san = sans.is_some_and(|sans| {
        let expected = format!("{node}.{NODES}");
        sans.value.general_names.iter().any(|san| matches!(san, GeneralName::DNSName(dns) if *dns == expected))
    });
    if !in_san {
        return Err(NotANode::NotInSan);
    }
    Ok(Named { node, until: parsed.validity().not_after.timestamp() })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(common_names: &[&str], sans: &[&str]) -> CertificateDer<'static> {
        let sans: Vec<String> = sans.iter().map(|&it| it.to_owned()).collect();
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_node_is_named_by_common_name_and_san() {
        let node = |names: &[&str], sans: &[&str]| named(&certificate(names, sans)).map(|it| it.node.to_string());
        assert_eq!(node(&["n1"], &["n1.nodes.rebar"]), Ok("n1".to_owned()));
        assert_eq!(node(&["n1"], &["n1.example", "n1.nodes.rebar"]), Ok("n1".to_owned()));
        assert_eq!(node(&[], &["n1.nodes.rebar"]), Err(NotANode::CommonName));
        assert_eq!(node(&["engine.rebar"], &["engine.rebar"]), Err(NotANode::NotAName));
        assert_eq!(node(&["n1"], &[]), Err(NotANode::NotInSan));
        assert_eq!(node(&["n1"], &["n2.nodes.rebar"]), Err(NotANode::NotInSan));
        assert_eq!(named(&CertificateDer::from(vec![1, 2, 3])), Err(NotANode::Unreadable));
    }
}
