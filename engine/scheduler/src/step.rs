//! Drives [`decide`] until nothing follows: one input in, all its changes applied, all its effects collected. The engine, the
//! simulation and the tests step the same way.

use std::collections::VecDeque;

use jiff::Timestamp;
use rebar_model::{Change, World};

use crate::{Effect, Input, Refusal, decide};

/// What one step did to the World.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The changes, in order; they are applied already and have to be committed.
    pub changes: Vec<Change>,
    /// What to do once they are durable.
    pub effects: Vec<Effect>,
}

/// Takes an input to its end. A refused input changes nothing.
pub fn step(world: &mut World, input: Input, now: Timestamp) -> Result<Progress, Refusal> {
    let mut progress = Progress::default();
    let first = decide(world, input, now)?;
    let mut waiting = VecDeque::new();
    let mut take = |world: &mut World, decision: crate::Decision, waiting: &mut VecDeque<Input>| {
        for change in decision.changes {
            // A decision only moves what it found in this World.
            let applied = world.apply(&change);
            debug_assert!(applied.is_ok(), "{applied:?}");
            progress.changes.push(change);
        }
        for effect in decision.effects {
            if effect != Effect::Reconcile || !progress.effects.contains(&effect) {
                progress.effects.push(effect);
            }
        }
        waiting.extend(decision.next);
    };
    take(world, first, &mut waiting);
    while let Some(follow) = waiting.pop_front() {
        // A follow-up was asked for by a decision on this World; one that is refused has become moot.
        if let Ok(decision) = decide(world, follow, now) {
            take(world, decision, &mut waiting);
        }
    }
    Ok(progress)
}
