//! Sealed values.

use anyhow::{Result, ensure};
use rebar_model::SecretRef;
use rebar_ports::StoreError;

use crate::suite::Subject;

pub(crate) async fn by_reference(subject: Subject) -> Result<()> {
    let vault = subject.open().await?.vault;
    let reference = vault.seal(b"hunter2").await?;
    ensure!(vault.seal(b"hunter2").await? == reference, "equal values have equal references");
    ensure!(vault.seal(b"hunter3").await? != reference);
    ensure!(!reference.0.contains("hunter2"));
    ensure!(vault.open(&reference).await?.as_deref() == Some(b"hunter2".as_slice()));
    ensure!(vault.open(&SecretRef("nothing".to_owned())).await?.is_none());
    let empty = vault.seal(b"").await?;
    ensure!(vault.open(&empty).await? == Some(Vec::new()));
    let again = subject.open().await?.vault;
    ensure!(again.seal(b"hunter2").await? == reference, "and after a restart too");
    Ok(())
}

pub(crate) async fn by_name(subject: Subject) -> Result<()> {
    let vault = subject.open().await?.vault;
    ensure!(vault.get("ca").await?.is_none());
    vault.remove("ca").await?;
    vault.put("ca", b"one").await?;
    vault.put("ca", b"two").await?;
    vault.put("other", b"three").await?;
    ensure!(vault.get("ca").await?.as_deref() == Some(b"two".as_slice()));
    vault.remove("ca").await?;
    ensure!(vault.get("ca").await?.is_none());
    ensure!(vault.get("other").await?.as_deref() == Some(b"three".as_slice()));
    let reference = vault.seal(b"four").await?;
    ensure!(vault.get(&reference.0).await?.is_none(), "a reference is not a name");
    Ok(())
}

pub(crate) async fn a_wrong_key_opens_nothing(subject: Subject) -> Result<()> {
    subject.open().await?.vault.put("ca", b"one").await?;
    let Some(other) = subject.open_with_other_key().await else { return Ok(()) };
    let Err(error) = other else { anyhow::bail!("it opened with another key") };
    let corrupt = matches!(error.downcast_ref(), Some(StoreError::Corrupt { what: "sealed value", .. }));
    ensure!(corrupt && error.to_string().contains("another key"), "{error}");
    ensure!(subject.open().await?.vault.get("ca").await?.as_deref() == Some(b"one".as_slice()));
    Ok(())
}
