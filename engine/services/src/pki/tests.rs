//! Certificates as their users see them: chains that rustls accepts, names that nobody smuggles in, the same after a restart.

use std::sync::Arc;

use base64::Engine;
use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair};
use rebar_model::{Resource, ResourceKind, Span};
use rebar_ports::{Authority, Observed, Service, Vault, memory::Memory};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{AuthorityConfig, EngineAuthority, Pki, PkiConfig};
use crate::testing::{Still, id, output, resource};

/// The time of all these tests.
const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A request that asks for names of its own choice.
fn csr(asks_for: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![asks_for.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, asks_for);
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn ca(owner: &str) -> Resource {
    resource(owner, ResourceKind::PkiCa { common_name: format!("{owner} root") })
}

fn cert(owner: &str, ca_pem: &str, csr: &str) -> Resource {
    let kind = ResourceKind::PkiCert {
        ca: ca_pem.to_owned(),
        csr: csr.to_owned(),
        common_name: "n1".to_owned(),
        sans: vec!["n1.rebar.test".to_owned(), "10.9.0.7".to_owned()],
        usages: vec!["server".to_owned(), "client".to_owned()],
        valid_for: Span::default(),
    };
    resource(owner, kind)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn roots(ca_pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(der(ca_pem)).unwrap();
    Arc::new(roots)
}

fn serves(ca_pem: &str, pem: &str, name: &str, at: Timestamp) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(ca_pem), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().unsigned_abs()));
    verifier.verify_server_cert(&der(pem), &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], at).is_ok()
}

fn is_client(ca_pem: &str, pem: &str, crl: Option<&str>) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let crls = crl.map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(ca_pem), provider).with_crls(crls).build().unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW.unsigned_abs()));
    verifier.verify_client_cert(&der(pem), &[], at).map(|_| ()).map_err(|error| error.to_string())
}

async fn start(vault: &Arc<Memory>, clock: &Arc<Still>) -> Pki {
    Pki::start(PkiConfig::default(), vault.clone(), clock.clone()).await.unwrap()
}

#[tokio::test]
async fn names_come_from_the_resource_and_the_chain_holds() {
    let (vault, clock) = (Arc::new(Memory::default()), Still::at(NOW));
    let pki = start(&vault, &clock).await;
    let ca_pem = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    let seen = pki.reconcile(&[ca("root"), cert("leaf", &ca_pem, &csr("evil.example"))]).await.unwrap();
    let pem = output(&seen, "leaf", "cert_pem");
    for (name, good) in [("n1.rebar.test", true), ("10.9.0.7", true), ("evil.example", false), ("n1", false)] {
        assert_eq!(serves(&ca_pem, &pem, name, now()), good, "{name}");
    }
    assert_eq!(is_client(&ca_pem, &pem, None), Ok(()));
    let (_, parsed) = x509_parser::parse_x509_certificate(&der(&pem))
        .map(|(rest, it)| (rest.len(), it.subject().to_string()))
        .unwrap();
    assert_eq!(parsed, "CN=n1");
    let day = Span::from_secs(24 * 3_600);
    let after = |days: u64| Span::from_millis(day.as_millis() * days).after(now());
    assert!(serves(&ca_pem, &pem, "n1.rebar.test", after(89)) && !serves(&ca_pem, &pem, "n1.rebar.test", after(91)));
    let early = now().checked_sub(std::time::Duration::from_secs(299)).unwrap();
    assert!(serves(&ca_pem, &pem, "n1.rebar.test", early));
}

#[tokio::test]
async fn a_restart_changes_nothing_and_a_new_request_everything() {
    let (vault, clock) = (Arc::new(Memory::default()), Still::at(NOW));
    let pki = start(&vault, &clock).await;
    let ca_pem = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    let wishes = [cert("leaf", &ca_pem, &csr("a")), ca("root")];
    let first = pki.reconcile(&wishes).await.unwrap();
    clock.advance(Span::from_secs(60));
    let pki = start(&vault, &clock).await;
    assert_eq!(pki.listing().certificates.len(), 1);
    assert_eq!(pki.reconcile(&wishes).await.unwrap(), first);

    let again = pki.reconcile(&[cert("leaf", &ca_pem, &csr("a")), ca("root")]).await.unwrap();
    assert_ne!(output(&again, "leaf", "serial"), output(&first, "leaf", "serial"));
    let crl = pki.crl(&id("root")).await.unwrap().unwrap();
    let (old, new) = (output(&first, "leaf", "cert_pem"), output(&again, "leaf", "cert_pem"));
    assert!(is_client(&ca_pem, &old, Some(&crl)).unwrap_err().contains("Revoked"));
    assert_eq!(is_client(&ca_pem, &new, Some(&crl)), Ok(()));
}

#[tokio::test]
async fn what_goes_is_revoked_and_an_authority_takes_its_key_along() {
    let (vault, clock) = (Arc::new(Memory::default()), Still::at(NOW));
    let pki = start(&vault, &clock).await;
    let ca_pem = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    let seen = pki.reconcile(&[ca("root"), cert("leaf", &ca_pem, &csr("a"))]).await.unwrap();
    // The engine is away while the certificate goes.
    let pki = start(&vault, &clock).await;
    pki.reconcile(&[ca("root")]).await.unwrap();
    let pki = start(&vault, &clock).await;
    assert_eq!(pki.listing().authorities[0].revoked, 1);
    let crl = pki.crl(&id("root")).await.unwrap().unwrap();
    assert!(is_client(&ca_pem, &output(&seen, "leaf", "cert_pem"), Some(&crl)).unwrap_err().contains("Revoked"));

    let seen = pki.reconcile(&[]).await.unwrap();
    assert_eq!(seen, Observed::default());
    assert_eq!(vault.get("pki/test/root").await.unwrap(), None);
    assert!(pki.crl(&id("root")).await.unwrap().is_none());
    let again = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    assert_ne!(again, ca_pem);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_reason() {
    let (vault, clock) = (Arc::new(Memory::default()), Still::at(NOW));
    let pki = start(&vault, &clock).await;
    let ca_pem = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    let good = csr("a");
    // The signature of one request on another.
    let mut bytes = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes()).unwrap().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = pem_of(&bytes);
    let with = |names: &[&str], purposes: &[&str], name: &str| {
        let mut it = cert("leaf", &ca_pem, &good);
        if let ResourceKind::PkiCert { sans, usages, common_name, .. } = &mut it.kind {
            *sans = names.iter().map(ToString::to_string).collect();
            *usages = purposes.iter().map(ToString::to_string).collect();
            name.clone_into(common_name);
        }
        it
    };
    let foreign = start(&Arc::new(Memory::default()), &clock).await;
    let foreign = output(&foreign.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    for (wish, reason) in [
        (cert("leaf", &ca_pem, &forged), "signature"),
        (cert("leaf", &ca_pem, "nonsense"), "PEM"),
        (cert("leaf", "nonsense", &good), "`ca` is not a certificate"),
        (cert("leaf", &foreign, &good), "not the certificate of an authority"),
        (with(&["n1"], &[], "n1"), "usages"),
        (with(&["n1"], &["sign"], "n1"), "`sign`"),
        (with(&["a b"], &["server"], "n1"), "`a b`"),
        (with(&["n1"], &["server"], ""), "common name"),
    ] {
        let seen = pki.reconcile(&[ca("root"), wish]).await.unwrap();
        assert!(seen.refused[&id("leaf")].contains(reason), "{reason}: {seen:?}");
    }
}

#[tokio::test]
async fn no_certificate_outlives_its_authority() {
    let (vault, clock) = (Arc::new(Memory::default()), Still::at(NOW));
    let pki = start(&vault, &clock).await;
    let ca_pem = output(&pki.reconcile(&[ca("root")]).await.unwrap(), "root", "ca_pem");
    clock.advance(Span::from_secs(3_600 * 24 * 3_640));
    let seen = pki.reconcile(&[ca("root"), cert("leaf", &ca_pem, &csr("a"))]).await.unwrap();
    let listing = pki.listing();
    assert_eq!(listing.certificates[0].not_after, listing.authorities[0].not_after);
    assert!(seen.ready.contains_key(&id("leaf")));
    clock.advance(Span::from_secs(3_600 * 24 * 11));
    let seen = pki.reconcile(&[ca("root"), cert("leaf", &ca_pem, &csr("a"))]).await.unwrap();
    assert!(seen.refused[&id("leaf")].contains("ended"), "{seen:?}");
}

#[tokio::test]
async fn the_engine_shows_itself_and_knows_its_agents() {
    let vault = Memory::default();
    let first = EngineAuthority::start(AuthorityConfig::default(), &vault, now()).await.unwrap();
    let engine = EngineAuthority::start(AuthorityConfig::default(), &vault, now()).await.unwrap();
    assert_eq!((first.ca_pem(), first.ca_fingerprint()), (engine.ca_pem(), engine.ca_fingerprint()));
    assert_eq!(engine.ca_fingerprint().len(), 64);

    let identity = engine.server_identity(&["127.0.0.1".to_owned(), "rebar.example".to_owned()], now()).unwrap();
    for (name, good) in [("engine.rebar", true), ("127.0.0.1", true), ("rebar.example", true), ("other", false)] {
        assert_eq!(serves(engine.ca_pem(), &identity.chain_pem, name, now()), good, "{name}");
    }
    assert!(is_client(engine.ca_pem(), &identity.chain_pem, None).is_err());
    assert_eq!(CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).count(), 2);

    let node = "prod-w-17".parse().unwrap();
    let request = csr("engine.rebar");
    let pem = engine.sign_agent(&request, &node, now()).unwrap();
    assert_eq!(is_client(engine.ca_pem(), &pem, None), Ok(()));
    assert!(!serves(engine.ca_pem(), &pem, "engine.rebar", now()));
    let pem_der = der(&pem);
    let (_, parsed) = x509_parser::parse_x509_certificate(&pem_der).unwrap();
    assert_eq!(parsed.subject().to_string(), "CN=prod-w-17");
    let names = format!("{:?}", parsed.subject_alternative_name().unwrap().unwrap().value.general_names);
    assert_eq!(names, r#"[DNSName("prod-w-17.nodes.rebar")]"#);
    // The same key signed again is another certificate.
    let later = engine.sign_agent(&request, &node, Span::from_secs(1).after(now())).unwrap();
    let later_der = der(&later);
    let (_, later) = x509_parser::parse_x509_certificate(&later_der).unwrap();
    assert_ne!(parsed.raw_serial(), later.raw_serial());
    assert!(engine.sign_agent("nonsense", &node, now()).is_err());
}

fn pem_of(der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
}
