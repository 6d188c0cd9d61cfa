//! Whether a failure is tried again, and when.

use rebar_model::{AttemptKind, Failure, FailureKind, Phase, Retries, RetryReason, RoleSpec, Span};

/// How often a transient failure is tried again where the role says nothing.
pub const DEFAULT_RETRIES: u32 = 5;
const DEFAULT_INITIAL: Span = Span::from_secs(1);
const DEFAULT_FACTOR: f64 = 2.0;
const DEFAULT_MAX_DELAY: Span = Span::from_secs(60);

/// How long to wait before the next try; none if there is none. `tries` counts the tries that failed before this one.
pub fn back_off(role: &RoleSpec, kind: AttemptKind, failure: &Failure, tries: u32) -> Option<Span> {
    if role.destructive && failure.kind != FailureKind::Tempfail {
        return None;
    }
    let reason = failure.kind.retry_reason()?;
    let phase = failure.phase.unwrap_or(match kind {
        AttemptKind::Undo => Phase::Undo,
        AttemptKind::Apply | AttemptKind::Replace => Phase::Apply,
    });
    let policy = role.phases.get(phase).and_then(|it| it.retries.as_ref());
    let max = policy.map_or(DEFAULT_RETRIES, |it| it.max);
    if tries >= max || !reasons(policy).contains(&reason) {
        return None;
    }
    Some(failure.retry_after.unwrap_or_else(|| delay(policy, tries)))
}

fn reasons(policy: Option<&Retries>) -> Vec<RetryReason> {
    policy.and_then(|it| it.reasons.clone()).unwrap_or_else(|| vec![RetryReason::Tempfail, RetryReason::AgentLost])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the delay is capped far below where this matters"
)]
fn delay(policy: Option<&Retries>, tries: u32) -> Span {
    let initial = policy.and_then(|it| it.initial).unwrap_or(DEFAULT_INITIAL);
    let factor = policy.and_then(|it| it.factor).unwrap_or(DEFAULT_FACTOR);
    let longest = policy.and_then(|it| it.max_delay).unwrap_or(DEFAULT_MAX_DELAY);
    let grown = initial.as_millis() as f64 * factor.powi(i32::try_from(tries).unwrap_or(i32::MAX));
    if grown.is_finite() { Span::from_millis(grown as u64).min(longest) } else { longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest() {
        let policy = Retries {
            max: 9,
            initial: Some(Span::from_secs(2)),
            factor: Some(3.0),
            max_delay: Some(Span::from_secs(20)),
            reasons: None,
        };
        let delays: Vec<_> = (0..4).map(|tries| delay(Some(&policy), tries).to_string()).collect();
        assert_eq!(delays, ["2s", "6s", "18s", "20s"]);
    }
}
