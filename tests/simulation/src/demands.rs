//! What a simulation demands when faults have stopped: that nothing runs for ever, that everything wanted is active and everything
//! unwanted gone, that every reason is known, and that everybody saw the same. What must hold at every moment is in `audit`.

use rebar_model::{AttemptId, Intent, NodeName, State};
use rebar_orchestrator::Handle;
use rebar_ports::Logs;
use tokio::time::{Instant, sleep};

use crate::sim::{LOOK, PATIENCE, Sim, assert_no_panic};

impl Sim {
    /// Waits until nothing runs and nothing is due.
    pub(crate) async fn quiet(&self) {
        let deadline = Instant::now() + PATIENCE;
        let still = || self.audit.read(|world, _| world.attempts().is_empty() && world.next_timer().is_none());
        let mut looks = 0;
        while looks < 2 {
            sleep(LOOK).await;
            looks = if still() && self.away().is_empty() { looks + 1 } else { 0 };
            assert_no_panic();
            let left = || self.audit.read(|world, _| world.attempts().values().cloned().collect::<Vec<_>>());
            assert!(Instant::now() < deadline, "no end: {:?} away, under way {:?}", self.away(), left());
        }
    }

    /// The machines that are there, and whose agents have not found an engine that leads.
    fn away(&self) -> Vec<NodeName> {
        let there = self.there();
        self.audit.read(|world, _| {
            let here = |node: &NodeName| world.nodes().get(node).is_none_or(rebar_model::Node::is_here);
            there.into_iter().filter(|it| !here(it)).collect()
        })
    }

    /// Everything that is wanted is active, everything else is gone.
    pub(crate) fn assert_settled(&self) {
        let now = self.now();
        let left: Vec<String> = self.audit.read(|world, _| {
            let open = world.node_roles().iter().filter(|(_, it)| match it.status.intent {
                Intent::Present => !it.status.state.is_fresh(),
                Intent::Absent | Intent::Forgotten => it.status.state != State::Removed,
            });
            open.map(|(id, it)| format!("{id}: {:?} {:?}", it.status, rebar_scheduler::verdict(world, id, now)))
                .collect()
        });
        assert!(left.is_empty(), "not settled:\n{}", left.join("\n"));
    }

    /// Nothing stands still without a reason that a person can be told.
    pub(crate) fn assert_explained(&self) {
        self.audit.read(|world, _| {
            for (id, it) in world.node_roles() {
                let done = it.status.state.is_fresh() || it.status.state == State::Removed;
                let reasons = rebar_scheduler::verdict(world, id, self.now()).map_or(0, |it| it.reasons.len());
                assert!(done || reasons > 0, "{id} stands still and nobody knows why: {:?}", it.status);
            }
        });
    }

    /// Machines hold nothing that was not said, and every byte of every log arrived.
    pub(crate) async fn assert_said(&self) {
        let deadline = Instant::now() + PATIENCE;
        let holding = || -> Vec<(NodeName, Vec<u64>)> {
            let machines = self.machines();
            let there = machines.iter().filter(|(_, it)| !it.gone);
            there.map(|(name, it)| (name.clone(), it.machine.held())).filter(|(_, it)| !it.is_empty()).collect()
        };
        while !holding().is_empty() {
            assert!(Instant::now() < deadline, "agents still hold attempts: {:?}", holding());
            sleep(LOOK).await;
        }
        for (attempt, written) in self.audit.logs() {
            let chunks = self.database.memory.read(AttemptId(attempt), 0, u32::MAX).await.unwrap_or_default();
            let arrived: String = chunks.iter().map(|it| it.text.as_str()).collect();
            assert_eq!(arrived, String::from_utf8_lossy(&written), "the log of attempt {attempt}");
        }
    }

    /// Who leads and who stands by show what was committed, and nothing else.
    pub(crate) async fn assert_followed(&self) {
        let deadline = Instant::now() + PATIENCE;
        let equal = |handle: &Handle| self.audit.read(|world, _| handle.read(|it| it == world));
        loop {
            let led = self.engines.leader().is_some_and(|it| equal(&it));
            let followed = self.engines.count() == 1 || self.engines.standby().is_some_and(|it| equal(&it));
            if led && followed {
                return;
            }
            assert!(Instant::now() < deadline, "an engine shows something else than what is committed");
            sleep(LOOK).await;
        }
    }
}
