//! The suite against the in-memory double, which has to behave as the databases do.

use std::sync::Arc;

use rebar_conformance::{backend::InMemory, run};

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() -> anyhow::Result<()> {
    run(Arc::new(InMemory::default())).await
}
