//! What the tasks of the engine share: the published World, the ports, and who waits for what. Only the owner writes the World, and
//! only after the store has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use rebar_model::{AttemptId, DeploymentName, Digest, Plan, ResourceId, Seq, Wishes, World};
use rebar_scheduler::{PlanError, plan, plan_towards};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    EngineError, Ports, handle::AttemptProgress, limits::MAX_REMEMBERED, log_writer::LogPiece, owner::Message,
    sessions::Sessions,
};

/// What the tasks of the engine share.
pub(crate) struct Shared {
    pub ports: Ports,
    /// None while this engine stands by.
    intake: Option<Intake>,
    /// What is wrong with the database of an engine that stands by.
    trouble: Mutex<Option<String>>,
    pub sessions: Sessions,
    pub published: watch::Sender<Seq>,
    pub log_ticks: watch::Sender<u64>,
    /// One for each service, in the order of the ports: look at what is desired.
    pub kicks: Vec<Notify>,
    world: RwLock<World>,
    progress: Mutex<BTreeMap<AttemptId, AttemptProgress>>,
    pending: Mutex<BTreeMap<ResourceId, String>>,
    proposed: Mutex<Option<Proposed>>,
}

/// The plan that was made last, and the World that it was made of.
struct Proposed {
    applied: Seq,
    plan: Arc<Plan>,
}

/// Where an engine that leads takes things in.
pub(crate) struct Intake {
    pub inbox: mpsc::Sender<Message>,
    pub logs: mpsc::Sender<LogPiece>,
}

impl Shared {
    /// What an engine shares; without an intake it only looks.
    pub fn new(ports: Ports, world: World, intake: Option<Intake>) -> Self {
        let kicks = ports.services.iter().map(|_| Notify::new()).collect();
        let published = watch::Sender::new(world.applied());
        Self {
            ports,
            intake,
            trouble: Mutex::default(),
            sessions: Sessions::default(),
            published,
            log_ticks: watch::Sender::new(0),
            kicks,
            world: RwLock::new(world),
            progress: Mutex::default(),
            pending: Mutex::default(),
            proposed: Mutex::default(),
        }
    }

    /// Where things are taken in; refused while another engine leads, or nobody can because of the database.
    pub fn intake(&self) -> Result<&Intake, EngineError> {
        self.intake.as_ref().ok_or_else(|| match &*self.trouble() {
            Some(trouble) => EngineError::NoDatabase(trouble.clone()),
            None => EngineError::StandsBy,
        })
    }

    /// A short, consistent look at the committed World.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a plan, towards what is wished for now or something else, and remembers it for who accepts it.
    pub fn propose(&self, name: &DeploymentName, wishes: Option<&Wishes>) -> Result<Arc<Plan>, Vec<PlanError>> {
        let make = |world: &World| match wishes {
            Some(wishes) => plan_towards(world, name, wishes),
            None => plan(world, name),
        };
        let (applied, plan) = self.read(|world| (world.applied(), make(world)));
        let plan = Arc::new(plan?);
        self.remember(plan.clone(), applied);
        Ok(plan)
    }

    /// Remembers a plan that was made of the World that this was applied to last, and no other.
    pub fn remember(&self, plan: Arc<Plan>, applied: Seq) {
        *self.proposed() = (plan.steps.len() <= MAX_REMEMBERED).then_some(Proposed { applied, plan });
    }

    /// The plan with this id, if it is remembered and was made of the World that this was applied to last. It is forgotten.
    pub fn take_proposed(&self, id: Digest, applied: Seq) -> Option<Arc<Plan>> {
        let mut proposed = self.proposed();
        let it = proposed.take_if(|it| it.plan.id == id)?;
        (it.applied == applied).then_some(it.plan)
    }

    fn proposed(&self) -> MutexGuard<'_, Option<Proposed>> {
        self.proposed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what was committed. Only the owner calls this.
    pub fn publish(&self, change: impl FnOnce(&mut World)) {
        let seq = {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut world);
            world.applied()
        };
        self.published.send_replace(seq);
    }

    /// How far attempts are; forgotten when they end.
    pub fn progress(&self) -> MutexGuard<'_, BTreeMap<AttemptId, AttemptProgress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the database of an engine that stands by.
    pub fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What services wait for.
    pub fn pending(&self) -> MutexGuard<'_, BTreeMap<ResourceId, String>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every service look.
    pub fn kick_services(&self) {
        self.kicks.iter().for_each(Notify::notify_one);
    }
}

/// The World of a handle that tests and tools look at.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("applied", &self.read(World::applied)).finish_non_exhaustive()
    }
}

/// A cheap reference to what is shared.
pub(crate) type SharedRef = Arc<Shared>;
