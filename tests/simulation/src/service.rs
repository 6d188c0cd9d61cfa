//! The real service of addresses, behind a wall of moods: slow at times, unable at times, refusing at times.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rebar_model::{BuiltinAction, Resource};
use rebar_ports::{Observed, Service, ServiceError};
use rebar_services::Ipam;
use tokio::time::{Instant, sleep_until};

use crate::chance::Chance;

/// The service of addresses.
pub(crate) struct Addresses {
    ipam: Ipam,
    chance: Chance,
    /// When another look is worth it.
    again: Mutex<Option<Instant>>,
}

impl Addresses {
    pub(crate) fn new(ipam: Ipam, chance: Chance) -> Self {
        Self { ipam, chance, again: Mutex::new(None) }
    }

    fn again(&self) -> MutexGuard<'_, Option<Instant>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for Addresses {
    fn actions(&self) -> &'static [BuiltinAction] {
        self.ipam.actions()
    }

    async fn reconcile(&self, desired: &[Resource]) -> Result<Observed, ServiceError> {
        self.chance.pause(1..500).await;
        let failures = self.chance.faults().failures;
        if self.chance.hits(failures, 400) {
            return Err(ServiceError::Unavailable { service: "ipam", detail: "simulated".to_owned() });
        }
        let mut observed = self.ipam.reconcile(desired).await?;
        let ready: Vec<_> = observed.ready.keys().cloned().collect();
        for id in ready {
            if self.chance.hits(failures, 400) {
                observed.ready.remove(&id);
                observed.refused.insert(id, "simulated".to_owned());
            } else if self.chance.hits(failures, 200) {
                observed.ready.remove(&id);
                observed.pending.insert(id, "simulated".to_owned());
                *self.again() = Some(Instant::now() + Duration::from_secs(3));
            }
        }
        Ok(observed)
    }

    async fn changed(&self) {
        let due = *self.again();
        match due {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
        *self.again() = None;
    }
}
