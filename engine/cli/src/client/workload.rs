//! The routes of workload versions.

use rebar_api::types::{WorkloadSummary, WorkloadView};
use reqwest::{Method, header::CONTENT_TYPE};

use super::{ANSWER, Client, LONG_ANSWER};
use crate::failure::Failure;

impl Client {
    /// All workload versions.
    pub async fn workloads(&self) -> Result<Vec<WorkloadSummary>, Failure> {
        self.all(&["workloads"], &[]).await
    }

    /// One workload version: `name@version`, a digest, or a name of which there is one version.
    pub async fn workload(&self, reference: &str) -> Result<WorkloadView, Failure> {
        self.get(&["workloads", reference]).await
    }

    /// Imports a package, as a tar archive.
    pub async fn import_workload(&self, archive: Vec<u8>) -> Result<WorkloadSummary, Failure> {
        let request = self.request(Method::POST, &["workloads"]).header(CONTENT_TYPE, "application/x-tar");
        self.take(request.body(archive).timeout(LONG_ANSWER)).await
    }

    /// Forgets a workload version.
    pub async fn remove_workload(&self, reference: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["workloads", reference]).timeout(ANSWER)).await.map(drop)
    }
}
