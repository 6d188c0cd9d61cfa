//! The service: one task for each place that has not answered yet. A place that answered is a condition that was met, not something
//! to watch: it stays ready as long as it is wished for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rebar_model::{BuiltinAction, Ident, Resource, ResourceId, ResourceKind};
use rebar_ports::{Observed, Service, ServiceError};
use serde_json::Value;
use tokio::{
    sync::{Notify, Semaphore},
    time::sleep,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{check::check, target::Target};
use crate::{checks::Pace, outputs::outputs};

/// How often and how patiently places are asked.
const PACE: Pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_secs(5) };
/// The most places that are asked at once.
pub(super) const MAX_AT_ONCE: usize = 64;

/// Asks places outside until they answer.
pub struct Waits {
    pace: Pace,
    looks: Mutex<BTreeMap<ResourceId, Look>>,
    changed: Arc<Notify>,
    slots: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is known about one place. Its task ends with this.
struct Look {
    kind: ResourceKind,
    target: Target,
    known: Arc<Mutex<Known>>,
    _stop: Option<DropGuard>,
}

/// What is known about a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// It did not answer as it should; why, once it was asked.
    Silent(Option<String>),
    /// It answered.
    Answered,
}

impl Waits {
    /// Starts without anything to wait for.
    pub fn start() -> Self {
        Self::with_pace(PACE)
    }

    /// Starts with another pace.
    pub(crate) fn with_pace(pace: Pace) -> Self {
        Self {
            pace,
            looks: Mutex::default(),
            changed: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Asks nobody any more; everything has ended when this returns.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.looks().clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn looks(&self) -> MutexGuard<'_, BTreeMap<ResourceId, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known about a place from now on. One that was observed has answered, maybe to an engine before this one.
    fn look(&self, resource: &Resource, target: Target) -> Look {
        let kind = resource.kind.clone();
        if !resource.observed.is_empty() {
            return Look { kind, target, known: Arc::new(Mutex::new(Known::Answered)), _stop: None };
        }
        let known = Arc::new(Mutex::new(Known::Silent(None)));
        let question = Question {
            id: resource.id(),
            target: target.clone(),
            pace: self.pace,
            slots: self.slots.clone(),
            known: known.clone(),
            changed: self.changed.clone(),
        };
        let stop = self.stop.child_token();
        self.tasks.spawn(stop.clone().run_until_cancelled_owned(question.ask()));
        Look { kind, target, known, _stop: Some(stop.drop_guard()) }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Service for Waits {
    fn actions(&self) -> &'static [BuiltinAction] {
        &[BuiltinAction::WaitHttp, BuiltinAction::WaitTcp]
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        let mut looks = self.looks();
        if self.stop.is_cancelled() {
            let detail = "it is shutting down".to_owned();
            return Err(ServiceError::Unavailable { service: "waits", detail });
        }
        let mut observed = Observed::default();
        let mut before = std::mem::take(&mut *looks);
        for resource in desired {
            let id = resource.id();
            let look = match before.remove(&id).filter(|it| it.kind == resource.kind) {
                Some(look) => look,
                None => match Target::read(&resource.kind) {
                    Some(Ok(target)) => self.look(resource, target),
                    Some(Err(reason)) => {
                        observed.refused.insert(id, reason);
                        continue;
                    }
                    None => continue,
                },
            };
            look.tell(&id, &mut observed);
            looks.insert(id, look);
        }
        Ok(observed)
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Look {
    fn tell(&self, id: &ResourceId, observed: &mut Observed) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Known::Answered => {
                observed.ready.insert(id.clone(), told(&self.target));
            }
            Known::Silent(why) => {
                let why = why.as_deref().unwrap_or("it is asked for the first time");
                observed.pending.insert(id.clone(), format!("{}: {why}", self.target));
            }
        }
    }
}

/// The outputs of a place that answered.
fn told(target: &Target) -> BTreeMap<Ident, Value> {
    match target {
        Target::Tcp(address) => outputs([("endpoint", address.to_string().into())]),
        Target::Http(target) => outputs([("url", target.url.clone().into())]),
    }
}

/// What a task needs to ask one place.
struct Question {
    id: ResourceId,
    target: Target,
    pace: Pace,
    slots: Arc<Semaphore>,
    known: Arc<Mutex<Known>>,
    changed: Arc<Notify>,
}

impl Question {
    /// Asks until it is answered; the first time at once.
    async fn ask(self) {
        loop {
            let Ok(slot) = self.slots.acquire().await else { return };
            let result = check(&self.target, self.pace.timeout).await;
            drop(slot);
            let known = match result {
                Ok(()) => Known::Answered,
                Err(why) => Known::Silent(Some(why)),
            };
            if self.learn(&known) {
                self.changed.notify_one();
            }
            if known == Known::Answered {
                return;
            }
            sleep(self.pace.interval).await;
        }
    }

    /// Takes in what is known now; true if that is news.
    fn learn(&self, known: &Known) -> bool {
        let mut before = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == *known {
            return false;
        }
        before.clone_from(known);
        match known {
            Known::Answered => tracing::info!(resource = %self.id, target = %self.target, "it answers"),
            Known::Silent(why) => {
                tracing::debug!(resource = %self.id, target = %self.target, ?why, "it does not answer");
            }
        }
        true
    }
}
