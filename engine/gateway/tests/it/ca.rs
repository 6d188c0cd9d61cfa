//! An authority for tests, and certificates that are wrong in every way that matters.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rebar_model::NodeName;
use rebar_ports::{Authority, AuthorityError, ENGINE_NAME, Identity};

/// An authority whose certificates are valid at any time that a test may choose.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// How long a certificate is valid.
#[derive(Clone, Copy)]
pub enum Validity {
    /// Always.
    Long,
    /// Until the end of a year.
    Until(i32),
}

fn named(common_name: &str, sans: &[String]) -> CertificateParams {
    let mut params = CertificateParams::new(sans.to_vec()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

impl Ca {
    pub fn new() -> Self {
        let mut params = named("test CA", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// An agent's key and certificate.
    pub fn agent(&self, node: &str, validity: Validity) -> Identity {
        self.leaf(named(node, &[format!("{node}.nodes.rebar")]), ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    /// A certificate of this CA that is for a server and no agent.
    pub fn server(&self, node: &str) -> Identity {
        self.leaf(named(node, &[format!("{node}.nodes.rebar")]), ExtendedKeyUsagePurpose::ServerAuth, Validity::Long)
    }

    /// A client certificate of this CA that names no node.
    pub fn nobody(&self) -> Identity {
        self.leaf(named("Some Body", &[]), ExtendedKeyUsagePurpose::ClientAuth, Validity::Long)
    }

    fn leaf(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose, validity: Validity) -> Identity {
        params.extended_key_usages = vec![usage];
        if let Validity::Until(year) = validity {
            params.not_after = rcgen::date_time_ymd(year, 12, 31);
        }
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain_pem: format!("{}{}", leaf.pem(), self.pem), key_pem: key.serialize_pem() }
    }
}

impl Authority for Ca {
    fn ca_pem(&self) -> &str {
        &self.pem
    }

    fn ca_fingerprint(&self) -> &'static str {
        "not used by the door"
    }

    fn server_identity(&self, sans: &[String], _: Timestamp) -> Result<Identity, AuthorityError> {
        let mut names = vec![ENGINE_NAME.to_owned()];
        names.extend_from_slice(sans);
        Ok(self.leaf(named(ENGINE_NAME, &names), ExtendedKeyUsagePurpose::ServerAuth, Validity::Long))
    }

    fn sign_agent(&self, csr_pem: &str, node: &NodeName, _: Timestamp) -> Result<String, AuthorityError> {
        let bad = |error: rcgen::Error| AuthorityError::BadRequest(error.to_string());
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(bad)?;
        request.params = named(node.as_str(), &[format!("{node}.nodes.rebar")]);
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(request.signed_by(&self.issuer).map_err(bad)?.pem())
    }
}
