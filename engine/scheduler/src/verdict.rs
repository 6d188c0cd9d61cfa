//! Says why a node-role stands where it stands, from the very judgement that the scheduler acts on.

use jiff::Timestamp;
use rebar_model::{Freshness, NodeRole, Reason, Standing, State, Verdict, WhoActs, World};

use crate::judge::{Judgement, judge, unmet};

/// Why a node-role stands where it stands; none if there is no such node-role.
pub fn verdict(world: &World, id: &rebar_model::NodeRoleId, now: Timestamp) -> Option<Verdict> {
    let node_role = world.node_role(id)?;
    let Judgement { mut reasons, .. } = judge(world, node_role, now);
    if let State::Active { freshness } = node_role.status.state {
        match freshness {
            Freshness::Stale => reasons.push(Reason::InputsChanged),
            Freshness::Suspect if reasons.is_empty() => {
                reasons.extend(unmet(world, node_role));
            }
            _ => {}
        }
    }
    let standing = standing(node_role, &reasons);
    Some(Verdict { id: id.clone(), standing, who: who(standing, &reasons), reasons })
}

fn standing(node_role: &NodeRole, reasons: &[Reason]) -> Standing {
    let held = reasons.iter().any(|it| matches!(it, Reason::Paused { .. } | Reason::BreakerOpen { .. }));
    let blocked = reasons.iter().any(needs_a_person);
    match &node_role.status.state {
        State::Waiting | State::Queued { .. } if held => Standing::Held,
        State::Waiting | State::Queued { .. } if blocked => Standing::Blocked,
        State::Waiting => Standing::Waiting,
        State::Queued { .. } => Standing::Queued,
        State::Running { .. } => Standing::Running,
        State::Active { freshness: Freshness::Stale } => Standing::Stale,
        State::Active { .. } => Standing::Active,
        State::Failed { .. } => Standing::Failed,
        State::Undoing { .. } => Standing::Undoing,
        State::Removed => Standing::Removed,
    }
}

fn needs_a_person(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamFailed { .. }
            | Reason::InputMissing { .. }
            | Reason::NodeAway { .. }
            | Reason::NodeMaintenance { .. }
            | Reason::Failed { .. }
    )
}

fn who(standing: Standing, reasons: &[Reason]) -> WhoActs {
    match standing {
        Standing::Failed | Standing::Blocked | Standing::Held | Standing::Proposed => WhoActs::You,
        Standing::Removed => WhoActs::Nobody,
        Standing::Active if reasons.is_empty() => WhoActs::Nobody,
        Standing::Active if reasons.iter().any(needs_a_person) => WhoActs::You,
        _ => WhoActs::Rebar,
    }
}
