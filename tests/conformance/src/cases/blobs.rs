//! Content by digest.

use anyhow::{Result, ensure};
use rebar_model::Digest;

use crate::suite::Subject;

pub(crate) async fn kept(subject: Subject) -> Result<()> {
    let blobs = subject.open().await?.blobs;
    let large: Vec<u8> = (0..3_000_000_u32).map(|place| (place % 251) as u8).collect();
    for bytes in [b"".as_slice(), b"\0\xff", &large] {
        let digest = Digest::of(bytes);
        ensure!(blobs.get(digest).await?.is_none());
        blobs.put(digest, bytes).await?;
        blobs.put(digest, bytes).await?;
        ensure!(blobs.get(digest).await?.as_deref() == Some(bytes));
    }
    ensure!(subject.open().await?.blobs.get(Digest::of(&large)).await? == Some(large));
    Ok(())
}
