//! An engine that does not lead: it follows what the leader commits, answers who only wants to look, and takes the lease as soon as
//! it is free. What it does then is `engine.rs`.

use std::sync::Arc;

use rebar_model::{Epoch, World};
use rebar_ports::{HistoryQuery, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    Handle, LEASE_TTL, Ports, StartError,
    limits::{FOLLOW_PAUSE, FOLLOWED_AT_ONCE},
    shared::{Shared, SharedRef},
};

/// An engine that does not lead.
pub struct Standby {
    shared: SharedRef,
}

impl Standby {
    /// Loads the World as the leader left it so far. One that has led goes on from the World that it knew: its database may be
    /// what ended it.
    pub async fn start(ports: Ports, known: Option<World>) -> Result<Self, StartError> {
        let (world, trouble) = match known {
            Some(world) => (world, Some("the database has not said yet who leads now".to_owned())),
            None => (ports.store.load().await?, None),
        };
        let shared = Shared::new(ports, world, None);
        *shared.trouble() = trouble;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The way to look at it. What it is asked to do, it refuses.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Follows the leader until this engine leads itself; none when it is stopped before.
    pub async fn lead(self, stop: &CancellationToken) -> Option<Epoch> {
        let ports = &self.shared.ports;
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                looked = self.look() => looked,
            };
            match looked {
                Ok(Some(epoch)) => return Some(epoch),
                Ok(None) => self.tell(None),
                Err(trouble) => self.tell(Some(trouble.to_string())),
            }
            let again = FOLLOW_PAUSE.after(ports.clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = ports.clock.sleep_until(again) => {}
            }
        }
    }

    /// Takes the lease if it is free, or follows who has it.
    async fn look(&self) -> Result<Option<Epoch>, StoreError> {
        let ports = &self.shared.ports;
        let now = ports.clock.now();
        let led = tokio::select! {
            biased;
            led = ports.store.lead(&ports.holder, now, LEASE_TTL) => led?,
            () = ports.clock.sleep_until(LEASE_TTL.after(now)) => {
                return Err(StoreError::Unavailable("it does not answer".into()));
            }
        };
        if led.is_none() {
            self.follow().await?;
        }
        Ok(led)
    }

    /// Says what is wrong with the database when that is news, in the log and to who asks for a change.
    fn tell(&self, trouble: Option<String>) {
        let mut told = self.shared.trouble();
        match (&trouble, &*told) {
            (Some(now), before) if before.as_ref() != Some(now) => {
                tracing::error!(error = now, "the database cannot be used; trying again");
            }
            (None, Some(_)) => tracing::info!("the database says that another engine leads; standing by"),
            _ => {}
        }
        *told = trouble;
    }

    /// Takes over what was committed since the last look.
    async fn follow(&self) -> Result<(), StoreError> {
        loop {
            let after = self.shared.read(World::applied);
            let query = HistoryQuery { after, deployment: None, limit: FOLLOWED_AT_ONCE };
            let records = self.shared.ports.store.history(query).await?;
            let Some(last) = records.last().map(|it| it.seq) else { return Ok(()) };
            let mut missing = None;
            self.shared.publish(|world| missing = records.iter().find_map(|it| world.apply_record(it).err()));
            if let Some(missing) = missing {
                // History is whole, so this World is not.
                tracing::error!(%missing, %last, "the World of this standby is not the leader's; loading it again");
                let world = self.shared.ports.store.load().await?;
                self.shared.publish(|it| *it = world);
            }
        }
    }
}
