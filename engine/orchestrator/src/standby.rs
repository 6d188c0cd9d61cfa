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
    /// Loads the World as the leader left it so far.
    pub async fn start(ports: Ports) -> Result<Self, StartError> {
        let world = ports.store.load().await?;
        Ok(Self { shared: Arc::new(Shared::new(ports, world, None)) })
    }

    /// The way to look at it. What it is asked to do, it refuses.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Follows the leader until this engine leads itself; none when it is stopped before.
    pub async fn lead(self, stop: &CancellationToken) -> Option<Epoch> {
        let ports = &self.shared.ports;
        loop {
            match ports.store.lead(&ports.holder, ports.clock.now(), LEASE_TTL).await {
                Ok(Some(epoch)) => return Some(epoch),
                Ok(None) => {
                    if let Err(error) = self.follow().await {
                        tracing::warn!(%error, "the leader cannot be followed");
                    }
                }
                Err(error) => tracing::warn!(%error, "the database does not say who leads"),
            }
            let again = FOLLOW_PAUSE.after(ports.clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = ports.clock.sleep_until(again) => {}
            }
        }
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
