//! How long attempts take: of each role the middle and the slow end, from history, from a person, or assumed. The length of one
//! attempt is drawn from that.

use std::collections::BTreeMap;

use rebar_model::{BuiltinAction, Phase, PhaseSpec, RoleName, RoleSpec, Runner, Span};
use serde::Serialize;

use crate::{
    chance::Chance,
    limits::{LONGEST_DRAW, TICK},
};

/// Of the standard normal distribution 19 of 20 lie below this.
const Z95: f64 = 1.644_853_6;

/// What is known of the lengths of attempts.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    known: BTreeMap<RoleName, Estimate>,
}

/// How long the attempts of a role take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Half of them take less.
    pub median: Span,
    /// 19 of 20 take less.
    pub p95: Span,
    /// How that is known.
    pub basis: Basis,
}

/// How a length of time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Basis {
    /// From attempts of the past.
    History {
        /// How many.
        attempts: usize,
    },
    /// A person said it.
    Given,
    /// Nobody knows; by the kind of runner.
    Assumed,
}

impl Durations {
    /// Takes over what attempts of the past say; the fewest that count are three.
    pub fn learn(&mut self, role: RoleName, mut lengths: Vec<Span>) {
        const FEWEST: usize = 3;
        if lengths.len() < FEWEST {
            return;
        }
        lengths.sort_unstable();
        let basis = Basis::History { attempts: lengths.len() };
        self.known.insert(role, Estimate { median: quantile(&lengths, 50), p95: quantile(&lengths, 95), basis });
    }

    /// Takes over what a person says.
    pub fn give(&mut self, role: RoleName, median: Span, p95: Span) {
        self.known.insert(role, Estimate { median, p95: p95.max(median), basis: Basis::Given });
    }

    /// The roles that something was said about.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.known.iter().filter(|(_, it)| it.basis == Basis::Given).map(|(role, _)| role)
    }

    /// How long the attempts of a role take.
    pub fn of(&self, name: &RoleName, role: &RoleSpec) -> Estimate {
        self.known.get(name).copied().unwrap_or_else(|| assumed(role))
    }
}

/// The smallest of sorted values that so many percent are not above; the default where there is none.
pub fn quantile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// What is assumed where nobody knows. The author's time-outs say what is far too long.
fn assumed(role: &RoleSpec) -> Estimate {
    let (median, p95) = match &role.runner {
        Runner::Builtin { action: BuiltinAction::NodeReboot } => (60, 150),
        Runner::Builtin { action: BuiltinAction::WaitHttp | BuiltinAction::WaitTcp } => (5, 30),
        Runner::Builtin { .. } => (1, 3),
        Runner::Noop {} => (0, 0),
        Runner::Script { .. }
        | Runner::Ansible { .. }
        | Runner::Chef { .. }
        | Runner::Puppet { .. }
        | Runner::Salt { .. }
        | Runner::Wasm { .. } => (20, 60),
    };
    let timeouts = [Phase::Apply, Phase::Verify].iter().filter_map(|it| role.phases.get(*it));
    let patience =
        timeouts.map(|it| it.timeout.unwrap_or(PhaseSpec::DEFAULT_TIMEOUT)).fold(Span::default(), Span::plus);
    let longest =
        if role.runner.on_agent() && patience > Span::default() { scaled(patience, 0.4) } else { Span::from_secs(p95) };
    let p95 = Span::from_secs(p95).min(longest);
    Estimate { median: Span::from_secs(median).min(scaled(p95, 0.5)), p95, basis: Basis::Assumed }
}

impl Estimate {
    /// The length of one attempt: of the lognormal distribution with this middle and this slow end.
    pub(crate) fn draw(&self, chance: Chance, of: &[&dyn std::fmt::Display]) -> Span {
        let (median, p95) = (millis(self.median).max(1.0), millis(self.p95).max(1.0));
        let sigma = (p95 / median).ln().max(0.0) / Z95;
        let drawn = median * (sigma * chance.normal("duration", of)).exp();
        scaled(Span::from_millis(1), drawn.min(LONGEST_DRAW * p95))
    }
}

/// A span times a factor, at most the longest span.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
pub(crate) fn scaled(span: Span, factor: f64) -> Span {
    Span::from_millis((millis(span) * factor).round() as u64)
}

/// The next multiple of the tick, and at least one.
pub(crate) fn ticks(span: Span) -> Span {
    Span::from_millis(span.as_millis().div_ceil(TICK.as_millis()).max(1) * TICK.as_millis())
}

#[expect(clippy::cast_precision_loss, reason = "lengths of time are far below 2^53 ms")]
fn millis(span: Span) -> f64 {
    span.as_millis() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_middle_and_the_slow_end_that_they_are_drawn_from() {
        let estimate = Estimate { median: Span::from_secs(20), p95: Span::from_secs(60), basis: Basis::Given };
        let mut drawn: Vec<u64> = (0..4_000).map(|it| estimate.draw(Chance::new(3), &[&it]).as_millis()).collect();
        drawn.sort_unstable();
        assert!((19_000..21_000).contains(&drawn[2_000]), "{}", drawn[2_000]);
        assert!((55_000..65_000).contains(&drawn[3_800]), "{}", drawn[3_800]);
        assert!(drawn[3_999] <= 240_000);
    }

    #[test]
    fn no_draw_is_longer_than_the_longest() {
        // So wide that some of a thousand would be far longer.
        let estimate = Estimate { median: Span::from_secs(1), p95: Span::from_secs(1_000), basis: Basis::Given };
        let longest = scaled(estimate.p95, LONGEST_DRAW);
        let drawn: Vec<Span> = (0..1_000).map(|it| estimate.draw(Chance::new(3), &[&it])).collect();
        assert_eq!(drawn.iter().max(), Some(&longest));
        assert!(drawn.iter().filter(|it| **it == longest).count() > 1, "only a bound makes two draws equal");
        assert!(drawn.iter().any(|it| *it > estimate.p95 && *it < longest), "what is below it stays as it was drawn");
    }

    #[test]
    fn quantiles_are_values_that_there_are() {
        assert_eq!([quantile(&[1, 2], 50), quantile(&[1, 2], 95), quantile(&[7], 50), quantile(&[], 50)], [1, 2, 7, 0]);
    }

    #[test]
    fn history_says_more_than_assumptions_and_a_person_more_than_history() {
        let role: RoleName = "web".parse().unwrap();
        let spec: RoleSpec =
            serde_json::from_value(serde_json::json!({"scope": "node", "runner": {"type": "script"}})).unwrap();
        let mut durations = Durations::default();
        durations.learn(role.clone(), vec![Span::from_secs(1); 2]);
        assert_eq!(durations.of(&role, &spec).basis, Basis::Assumed, "two attempts are no history");
        durations.learn(role.clone(), (1..=100).map(Span::from_secs).collect());
        let known = durations.of(&role, &spec);
        assert_eq!((known.median, known.p95), (Span::from_secs(50), Span::from_secs(95)));
        durations.give(role.clone(), Span::from_secs(9), Span::from_secs(5));
        assert_eq!(
            durations.of(&role, &spec),
            Estimate { median: Span::from_secs(9), p95: Span::from_secs(9), basis: Basis::Given }
        );
    }
}
