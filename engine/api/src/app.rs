//! What all requests share: the engine's handle, time, chance, and the seats that requests take.

use std::sync::Arc;

use rebar_orchestrator::Handle;
use rebar_ports::{Clock, Entropy};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::ApiError,
    limits::{IMPORTS, REQUESTS, STREAMS},
};

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    pub handle: Handle,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub stop: CancellationToken,
    /// Work that goes on although the client went away.
    pub tasks: TaskTracker,
    pub requests: Arc<Semaphore>,
    pub streams: Arc<Semaphore>,
    pub imports: Arc<Semaphore>,
    /// Held from the look at a deployment's version to its change, so that nothing comes between.
    pub changing: Arc<Mutex<()>>,
}

impl App {
    pub fn new(handle: Handle, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, stop: CancellationToken) -> Self {
        Self {
            handle,
            clock,
            entropy,
            stop,
            tasks: TaskTracker::new(),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            changing: Arc::default(),
        }
    }

    /// Carries work to its end even when the client goes away: half a machine helps nobody.
    pub async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.tasks.spawn(work).await.unwrap_or(Err(ApiError::Broken))
    }
}
