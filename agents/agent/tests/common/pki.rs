//! A CA for tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub fingerprint: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("params");
        params.distinguished_name.push(DnType::CommonName, "rebar test ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("self-signed");
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.der());
        Self { issuer: Issuer::new(params, key), pem: certificate.pem(), fingerprint: hex::encode(digest) }
    }

    /// Chain and key of an engine.
    pub fn server(&self) -> (String, String) {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(vec!["engine.rebar".to_owned()]).expect("params");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (format!("{}{}", certificate.pem(), self.pem), key.serialize_pem())
    }

    /// A certificate for a request, good from `age` ago for `life`.
    pub fn sign(&self, csr_pem: &str, node: &str, age: Duration, life: Duration) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).expect("request");
        let mut params = CertificateParams::new(vec![node.to_owned()]).expect("params");
        params.distinguished_name.push(DnType::CommonName, node);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = now() - age;
        params.not_after = now() - age + life;
        request.params = params;
        request.signed_by(&self.issuer).expect("signed").pem()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test certificate needs a real moment")]
fn now() -> OffsetDateTime {
    OffsetDateTime::from(std::time::SystemTime::now())
}
