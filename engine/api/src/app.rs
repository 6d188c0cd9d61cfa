//! What all requests share: the engine's handle, time, chance, and the seats that requests take.

use std::sync::Arc;

use rebar_orchestrator::Handle;
use rebar_ports::Clock;
use rustls::crypto::SecureRandom;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::ApiError,
    limits::{IMPORTS, REQUESTS, STREAMS},
    news::News,
};

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    pub handle: Handle,
    pub news: News,
    pub clock: Arc<dyn Clock>,
    /// What tokens are made of: the generator that TLS keys come from.
    chance: &'static dyn SecureRandom,
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
    pub fn new(handle: Handle, clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        let news = News::start(handle.clone(), &tasks, stop.clone());
        Self {
            handle,
            news,
            clock,
            chance: rustls::crypto::ring::default_provider().secure_random,
            stop,
            tasks,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            changing: Arc::default(),
        }
    }

    /// 32 bytes that nobody can guess.
    pub fn random(&self) -> Result<[u8; 32], ApiError> {
        let mut bytes = [0; 32];
        self.chance.fill(&mut bytes).map_err(|_| ApiError::Broken)?;
        Ok(bytes)
    }

    /// Carries work to its end even when the client goes away: half a machine helps nobody.
    pub async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.tasks.spawn(work).await.unwrap_or(Err(ApiError::Broken))
    }
}
