//! The service of `pki.ca` and `pki.cert`: authorities of deployments and certificates for keys that stay on their nodes. A
//! certificate that was issued stays the same until its request changes; one that goes is remembered as revoked. The engine's own
//! authority lives in `engine.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{BuiltinAction, Resource, ResourceId, ResourceKind, Span};
use rebar_ports::{AuthorityError, Clock, Observed, Service, ServiceError, StoreError, Vault};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;
use tokio::sync::Mutex;

use super::{
    ca::{CertificateAuthority, Subject, Usage, fingerprint, subject_names},
    kept::{self, Index, KeptAuthority, KeptCertificate, Revoked, place},
    listing::{AuthorityListing, CertificateListing, PkiListing},
    request::ProvenKey,
};
use crate::outputs::outputs;

/// What the PKI is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiConfig {
    /// How long a certificate lives whose resource says nothing (a span of zero).
    pub default_lifetime: Span,
}

impl Default for PkiConfig {
    fn default() -> Self {
        Self { default_lifetime: Span::from_secs(90 * 24 * 3_600) }
    }
}

/// Authorities of deployments and the certificates that they sign.
pub struct Pki {
    config: PkiConfig,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    listing: StdMutex<PkiListing>,
}

#[derive(Default)]
struct State {
    index: Index,
    authorities: BTreeMap<String, OpenAuthority>,
    certificates: BTreeMap<String, KeptCertificate>,
}

struct OpenAuthority {
    common_name: String,
    ca: CertificateAuthority,
    revoked: Vec<Revoked>,
}

/// The fields of a `pki.cert`.
#[derive(Serialize)]
struct Wish<'a> {
    ca: &'a str,
    csr: &'a str,
    common_name: &'a str,
    sans: &'a [String],
    usages: &'a [String],
    valid_for: Span,
}

impl Pki {
    /// Opens what is kept.
    pub async fn start(config: PkiConfig, vault: Arc<dyn Vault>, clock: Arc<dyn Clock>) -> Result<Self, ServiceError> {
        let state = State::open(&*vault).await?;
        let listing = StdMutex::new(state.listing());
        Ok(Self { config, vault, clock, state: Mutex::new(state), listing })
    }

    /// Nothing runs between reconciles; here for symmetry with the other services.
    #[expect(clippy::unused_async, reason = "the same shape as the other services")]
    pub async fn shutdown(&self) {}

    /// What there is.
    pub fn listing(&self) -> PkiListing {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The list of revoked certificates of an authority, in PEM; none if there is no such authority.
    pub async fn crl(&self, authority: &ResourceId) -> Result<Option<String>, AuthorityError> {
        let state = self.state.lock().await;
        let Some(open) = state.authorities.get(&authority.to_string()) else {
            return Ok(None);
        };
        open.ca.crl(&open.revoked, self.clock.now()).map(Some)
    }
}

#[async_trait]
impl Service for Pki {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::PkiCa, BuiltinAction::PkiCert]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let now = self.clock.now();
        let mut state = self.state.lock().await;
        let mut wanted = Index::default();
        for resource in desired {
            match resource.kind {
                ResourceKind::PkiCa { .. } => wanted.authorities.insert(resource.id().to_string()),
                ResourceKind::PkiCert { .. } => wanted.certificates.insert(resource.id().to_string()),
                _ => false,
            };
        }
        state.take_away(&*self.vault, &wanted, now).await?;
        state.announce(&*self.vault, wanted).await?;

        let mut observed = Observed::default();
        // Authorities first: a certificate may be wished for in the same breath.
        for resource in desired {
            if let ResourceKind::PkiCa { common_name } = &resource.kind {
                let made = state.authority(&*self.vault, &resource.id().to_string(), common_name, now).await;
                let made = made.map(|pem| outputs([("ca_pem", pem.into())]));
                note(&mut observed, resource.id(), made)?;
            }
        }
        for resource in desired {
            if let ResourceKind::PkiCert { ca, csr, common_name, sans, usages, valid_for } = &resource.kind {
                let valid_for = if *valid_for == Span::default() { self.config.default_lifetime } else { *valid_for };
                let wish = Wish { ca, csr, common_name, sans, usages, valid_for };
                let made = state.certificate(&*self.vault, &resource.id().to_string(), &wish, now).await;
                let made = made.map(|it| outputs([("cert_pem", it.cert_pem.into()), ("serial", it.serial.into())]));
                note(&mut observed, resource.id(), made)?;
            }
        }
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = state.listing();
        Ok(observed)
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

type Outputs = BTreeMap<rebar_model::Ident, serde_json::Value>;

/// Files one result: what can be told to the owner is a refusal, what cannot is the service's own failure.
fn note(observed: &mut Observed, id: ResourceId, made: Result<Outputs, AuthorityError>) -> Result<(), ServiceError> {
    match made {
        Ok(outputs) => {
            observed.ready.insert(id, outputs);
        }
        Err(AuthorityError::Store(error)) => return Err(error.into()),
        Err(error) => {
            observed.refused.insert(id, error.to_string());
        }
    }
    Ok(())
}

impl State {
    async fn open(vault: &dyn Vault) -> Result<Self, ServiceError> {
        let mut state = Self { index: kept::read_index(vault).await?, ..Self::default() };
        for owner in &state.index.authorities {
            if let Some(kept) = kept::read::<KeptAuthority>(vault, &place(owner)).await? {
                let ca = CertificateAuthority::load(&kept.cert_pem, &kept.key_pem).map_err(|error| {
                    StoreError::Corrupt { what: "authority", detail: format!("`{owner}`: {error}") }
                })?;
                let open = OpenAuthority { common_name: kept.common_name, ca, revoked: kept.revoked };
                state.authorities.insert(owner.clone(), open);
            }
        }
        for owner in &state.index.certificates {
            if let Some(kept) = kept::read(vault, &place(owner)).await? {
                state.certificates.insert(owner.clone(), kept);
            }
        }
        Ok(state)
    }

    /// Takes away what is not wanted: certificates are revoked first, then forgotten.
    async fn take_away(&mut self, vault: &dyn Vault, wanted: &Index, now: Timestamp) -> Result<(), StoreError> {
        for owner in gone(&self.index.certificates, &wanted.certificates) {
            if let Some(certificate) = self.certificates.get(&owner).cloned() {
                self.revoke(vault, &certificate, now).await?;
            }
            vault.remove(&place(&owner)).await?;
            self.certificates.remove(&owner);
        }
        for owner in gone(&self.index.authorities, &wanted.authorities) {
            vault.remove(&place(&owner)).await?;
            if self.authorities.remove(&owner).is_some() {
                tracing::info!(owner, "authority removed with its key");
            }
        }
        Ok(())
    }

    async fn announce(&mut self, vault: &dyn Vault, wanted: Index) -> Result<(), StoreError> {
        if self.index != wanted {
            kept::write_index(vault, &wanted).await?;
            self.index = wanted;
        }
        Ok(())
    }

    /// The certificate of the authority of an owner, made if it is not there.
    async fn authority(
        &mut self,
        vault: &dyn Vault,
        owner: &str,
        common_name: &str,
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        if let Some(open) = self.authorities.get(owner).filter(|open| open.common_name == common_name) {
            return Ok(open.ca.cert_pem().to_owned());
        }
        let ca = CertificateAuthority::create(common_name, now)?;
        let open = OpenAuthority { common_name: common_name.to_owned(), ca, revoked: Vec::new() };
        open.keep(vault, owner).await?;
        tracing::info!(owner, fingerprint = open.ca.fingerprint(), "authority made");
        let pem = open.ca.cert_pem().to_owned();
        self.authorities.insert(owner.to_owned(), open);
        Ok(pem)
    }

    /// The certificate of an owner: the one that was issued for the same request, else a new one.
    async fn certificate(
        &mut self,
        vault: &dyn Vault,
        owner: &str,
        wish: &Wish<'_>,
        now: Timestamp,
    ) -> Result<KeptCertificate, AuthorityError> {
        let request = wish.hash()?;
        let before = self.certificates.get(owner).cloned();
        if let Some(kept) = before.as_ref().filter(|kept| kept.request == request && kept.not_after > now) {
            return Ok(kept.clone());
        }
        let proven = ProvenKey::from_csr(wish.csr)?;
        let signer = fingerprint_of(wish.ca)?;
        let open = self.authorities.values().find(|open| open.ca.fingerprint() == signer).ok_or_else(|| {
            AuthorityError::BadRequest("its `ca` is not the certificate of an authority that this engine holds".into())
        })?;
        let signed = open.ca.sign(&proven.key, wish.subject()?, request.as_bytes(), now)?;
        let kept = KeptCertificate {
            request,
            authority: signer,
            common_name: wish.common_name.to_owned(),
            cert_pem: signed.pem,
            serial: signed.serial,
            not_after: signed.not_after,
        };
        // Revoked before it is replaced, so that a crash in between forgets no certificate that still holds.
        if let Some(before) = before {
            self.revoke(vault, &before, now).await?;
        }
        kept::write(vault, &place(owner), &kept).await?;
        tracing::info!(owner, serial = kept.serial, not_after = %kept.not_after, "certificate issued");
        self.certificates.insert(owner.to_owned(), kept.clone());
        Ok(kept)
    }

    /// Remembers a certificate as revoked until it ends.
    async fn revoke(
        &mut self,
        vault: &dyn Vault,
        certificate: &KeptCertificate,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let signer = self.authorities.iter_mut().find(|(_, open)| open.ca.fingerprint() == certificate.authority);
        let Some((owner, open)) = signer else {
            return Ok(());
        };
        let known = open.revoked.iter().any(|it| it.serial == certificate.serial);
        if known || certificate.not_after <= now {
            return Ok(());
        }
        open.revoked.retain(|it| it.not_after > now);
        open.revoked.push(Revoked { serial: certificate.serial.clone(), at: now, not_after: certificate.not_after });
        open.keep(vault, owner).await?;
        tracing::info!(authority = owner, serial = certificate.serial, "certificate revoked");
        Ok(())
    }

    fn listing(&self) -> PkiListing {
        let authorities = self.authorities.iter().map(|(owner, open)| AuthorityListing {
            owner: owner.clone(),
            common_name: open.common_name.clone(),
            fingerprint: open.ca.fingerprint().to_owned(),
            not_after: open.ca.not_after(),
            revoked: open.revoked.len(),
        });
        let signer = |fingerprint: &str| {
            let found = self.authorities.iter().find(|(_, open)| open.ca.fingerprint() == fingerprint);
            found.map_or_else(|| fingerprint.to_owned(), |(owner, _)| owner.clone())
        };
        let certificates = self.certificates.iter().map(|(owner, kept)| CertificateListing {
            owner: owner.clone(),
            authority: signer(&kept.authority),
            common_name: kept.common_name.clone(),
            serial: kept.serial.clone(),
            not_after: kept.not_after,
        });
        PkiListing { authorities: authorities.collect(), certificates: certificates.collect() }
    }
}

impl OpenAuthority {
    async fn keep(&self, vault: &dyn Vault, owner: &str) -> Result<(), StoreError> {
        let kept = KeptAuthority {
            common_name: self.common_name.clone(),
            cert_pem: self.ca.cert_pem().to_owned(),
            key_pem: self.ca.key_pem(),
            revoked: self.revoked.clone(),
        };
        kept::write(vault, &place(owner), &kept).await
    }
}

impl Wish<'_> {
    /// What makes two wishes the same.
    fn hash(&self) -> Result<String, AuthorityError> {
        let bytes = serde_json::to_vec(self).map_err(|error| AuthorityError::Failed(error.to_string()))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    fn subject(&self) -> Result<Subject<'_>, AuthorityError> {
        if self.usages.is_empty() {
            return Err(AuthorityError::BadRequest("`usages` is empty; name `server`, `client` or both".to_owned()));
        }
        Ok(Subject {
            common_name: self.common_name,
            sans: subject_names(self.sans)?,
            usages: self.usages.iter().map(|usage| Usage::parse(usage)).collect::<Result<_, _>>()?,
            valid_for: self.valid_for,
        })
    }
}

fn fingerprint_of(pem: &str) -> Result<String, AuthorityError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| AuthorityError::BadRequest("its `ca` is not a certificate in PEM".to_owned()))?;
    Ok(fingerprint(&der))
}

fn gone(before: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Vec<String> {
    before.difference(wanted).cloned().collect()
}
