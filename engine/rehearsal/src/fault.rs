//! Faults as they are written and understood: `KIND[:WHAT][=AMOUNT][xFACTOR][@WHEN][+FOR]`. What they do is done in `agent.rs`,
//! `service.rs`, `fleet.rs` and `rehearsal.rs`.

use std::{fmt, str::FromStr};

use rebar_model::{GroupName, RoleName, Span, Workload};

use crate::{
    RehearsalError,
    limits::{DOWN_TIME, MAX_FACTOR},
};

/// Something that goes wrong in a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// As it was written.
    pub text: String,
    /// What it is.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Attempts end badly, each with this chance.
    Attempts {
        /// How they end.
        end: End,
        /// Those of one role, or of all.
        role: Option<RoleName>,
        /// How likely it is, in `0..=1`.
        chance: f64,
    },
    /// Nodes are lost for good.
    Lose {
        /// Those of one group, or of all.
        group: Option<GroupName>,
        /// How many.
        amount: Amount,
        /// When, after the plan was accepted.
        at: Span,
    },
    /// Nodes go on working, and nobody hears of them for a while.
    Cut {
        /// Those of one group, or of all.
        group: Option<GroupName>,
        /// How many.
        amount: Amount,
        /// When.
        at: Span,
        /// For how long.
        lasts: Span,
    },
    /// Nodes take longer for everything.
    Slow {
        /// Those of one group, or of all.
        group: Option<GroupName>,
        /// How many.
        amount: Amount,
        /// How many times as long.
        factor: f64,
    },
    /// The engine is killed and started again.
    Restart {
        /// When.
        at: Span,
        /// For how long it is away.
        lasts: Span,
    },
}

/// How an attempt ends badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It fails.
    Fail,
    /// It fails, and asks to be tried again.
    Tempfail,
    /// It hangs until its time-out.
    Hang,
}

/// How many nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// This part of them, in `0..=1`.
    Share(f64),
}

impl Amount {
    /// How many of `all` that are.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a number of nodes"
    )]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count.min(all),
            Self::Share(share) => (all as f64 * share).ceil() as usize,
        }
    }
}

impl Fault {
    /// Refuses a fault that has nothing to hit in a workload.
    pub fn check(&self, workload: &Workload) -> Result<(), RehearsalError> {
        let list = |names: Vec<&str>| names.join(", ");
        let wrong = |detail: String| Err(RehearsalError::Fault { fault: self.text.clone(), detail });
        match &self.kind {
            FaultKind::Attempts { role: Some(role), .. } if !workload.roles.contains_key(role) => {
                let known = list(workload.roles.keys().map(RoleName::as_str).collect());
                wrong(format!("{} has no role `{role}`; it has {known}", workload.reference()))
            }
            FaultKind::Lose { group: Some(group), .. }
            | FaultKind::Cut { group: Some(group), .. }
            | FaultKind::Slow { group: Some(group), .. }
                if !workload.spec.groups.contains_key(group) =>
            {
                let known = list(workload.spec.groups.keys().map(GroupName::as_str).collect());
                wrong(format!("{} has no group `{group}`; it has {known}", workload.reference()))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Fault {
    type Err = RehearsalError;

    fn from_str(text: &str) -> Result<Self, RehearsalError> {
        let kind = parse(text).map_err(|detail| RehearsalError::Fault { fault: text.to_owned(), detail })?;
        Ok(Self { text: text.to_owned(), kind })
    }
}

/// The pieces of a fault.
struct Pieces<'a> {
    what: Option<&'a str>,
    amount: Option<&'a str>,
    factor: Option<&'a str>,
    at: Option<&'a str>,
    lasts: Option<&'a str>,
}

fn parse(text: &str) -> Result<FaultKind, String> {
    let (before, times) = split(text, '@');
    let (at, lasts) = times.map_or((None, None), |it| {
        let (at, lasts) = split(it, '+');
        (Some(at), lasts)
    });
    let (head, amounts) = split(before, '=');
    let (amount, factor) = amounts.map_or((None, None), |it| {
        let (amount, factor) = split(it, 'x');
        (Some(amount), factor)
    });
    let (kind, what) = split(head, ':');
    let pieces = Pieces { what, amount, factor, at, lasts };
    match kind {
        "fail" => attempts(End::Fail, &pieces),
        "tempfail" => attempts(End::Tempfail, &pieces),
        "hang" => attempts(End::Hang, &pieces),
        "lose" => {
            pieces.refuse(kind, &["factor", "length"])?;
            Ok(FaultKind::Lose { group: pieces.group()?, amount: pieces.nodes()?, at: pieces.at(kind)? })
        }
        "cut" => {
            pieces.refuse(kind, &["factor"])?;
            let lasts = pieces.lasts.ok_or("say for how long, as in cut=20%@10m+5m; what never ends is `lose`")?;
            Ok(FaultKind::Cut {
                group: pieces.group()?,
                amount: pieces.nodes()?,
                at: pieces.at(kind)?,
                lasts: span(lasts)?,
            })
        }
        "slow" => {
            pieces.refuse(kind, &["time", "length"])?;
            Ok(FaultKind::Slow { group: pieces.group()?, amount: pieces.nodes()?, factor: pieces.factor()? })
        }
        "engine-restart" => {
            pieces.refuse(kind, &["selector", "amount", "factor"])?;
            let lasts = pieces.lasts.map_or(Ok(DOWN_TIME), span)?;
            Ok(FaultKind::Restart { at: pieces.at(kind)?, lasts })
        }
        other => Err(format!(
            "`{other}` is none of fail, tempfail, hang, lose, cut, slow, engine-restart; `rebar help rehearse` shows them"
        )),
    }
}

fn attempts(end: End, pieces: &Pieces<'_>) -> Result<FaultKind, String> {
    pieces.refuse("such faults", &["factor", "time", "length"])?;
    let role = pieces.what.map(|it| it.parse::<RoleName>().map_err(|error| error.to_string())).transpose()?;
    let amount = pieces.amount.ok_or("say how likely it is, as in fail=5% or fail:web=20%")?;
    let Amount::Share(chance) = amount_of(amount)? else {
        return Err(format!("attempts fail with a chance, so write {amount}%"));
    };
    Ok(FaultKind::Attempts { end, role, chance })
}

impl Pieces<'_> {
    /// Refuses pieces that say nothing of this kind of fault.
    fn refuse(&self, kind: &str, names: &[&str]) -> Result<(), String> {
        let given = [
            ("selector", self.what),
            ("amount", self.amount),
            ("factor", self.factor),
            ("time", self.at),
            ("length", self.lasts),
        ];
        match given.iter().find(|(name, piece)| names.contains(name) && piece.is_some()) {
            Some((name, piece)) => Err(format!("`{}`: {kind} take no {name}", piece.unwrap_or_default())),
            None => Ok(()),
        }
    }

    fn group(&self) -> Result<Option<GroupName>, String> {
        self.what.map(|it| it.parse::<GroupName>().map_err(|error| error.to_string())).transpose()
    }

    fn nodes(&self) -> Result<Amount, String> {
        amount_of(self.amount.ok_or("say how many nodes, as in =10 or =5%")?)
    }

    fn at(&self, kind: &str) -> Result<Span, String> {
        span(self.at.ok_or_else(|| format!("say when, as in {kind}…@5m"))?)
    }

    fn factor(&self) -> Result<f64, String> {
        let text = self.factor.ok_or("say how many times as long everything takes, as in slow=10%x4")?;
        match text.parse::<f64>() {
            Ok(it) if it > 1.0 && it <= MAX_FACTOR => Ok(it),
            _ => Err(format!("`x{text}`: write a factor above 1, and at most {MAX_FACTOR}")),
        }
    }
}

fn amount_of(text: &str) -> Result<Amount, String> {
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.parse::<f64>() {
            Ok(it) if it > 0.0 && it <= 100.0 => Ok(Amount::Share(it / 100.0)),
            _ => Err(format!("`{text}`: write a percentage above 0, and at most 100%")),
        };
    }
    match text.parse::<usize>() {
        Ok(0) | Err(_) => Err(format!("`{text}`: write a whole number above 0, or a percentage")),
        Ok(count) => Ok(Amount::Count(count)),
    }
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error: rebar_model::InvalidSpan| error.to_string())
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> FaultKind {
        text.parse::<Fault>().unwrap().kind
    }

    #[test]
    fn faults_are_understood() {
        let (name, mins) = (|it: &str| it.parse().unwrap(), |it: u64| Span::from_secs(it * 60));
        assert_eq!(kind("fail=5%"), FaultKind::Attempts { end: End::Fail, role: None, chance: 0.05 });
        assert_eq!(
            kind("tempfail:docker-engine=20%"),
            FaultKind::Attempts { end: End::Tempfail, role: Some("docker-engine".parse().unwrap()), chance: 0.2 }
        );
        assert_eq!(kind("lose=10@5m"), FaultKind::Lose { group: None, amount: Amount::Count(10), at: mins(5) });
        assert_eq!(
            kind("cut:worker=20%@10m+5m"),
            FaultKind::Cut { group: Some(name("worker")), amount: Amount::Share(0.2), at: mins(10), lasts: mins(5) }
        );
        assert_eq!(kind("slow=10%x4"), FaultKind::Slow { group: None, amount: Amount::Share(0.1), factor: 4.0 });
        assert_eq!(kind("engine-restart@7m"), FaultKind::Restart { at: mins(7), lasts: DOWN_TIME });
        assert_eq!(kind("engine-restart@7m+1m"), FaultKind::Restart { at: mins(7), lasts: mins(1) });
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_to_write() {
        let cases = [
            ("fail=101%", "at most 100%"),
            ("fail=0%", "above 0"),
            ("fail=5", "write 5%"),
            ("fail", "how likely"),
            ("fail=5%@3m", "take no time"),
            ("lose=10", "say when"),
            ("lose=0@5m", "above 0"),
            ("lose=10@5m+1m", "take no length"),
            ("lose=ten@5m", "whole number"),
            ("cut=20%@10m", "for how long"),
            ("slow=10%", "how many times"),
            ("slow=10%x1", "above 1"),
            ("engine-restart", "say when"),
            ("engine-restart=2@7m", "take no amount"),
            ("lose=10@soon", "not a length of time"),
            ("explode=5%", "none of fail"),
            ("", "none of fail"),
        ];
        for (text, hint) in cases {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.to_string().contains(hint), "{text}: {error}");
            assert_eq!(error.code(), "RB7001");
        }
    }

    #[test]
    fn a_node_is_slower_by_so_much_at_most() {
        let slow = |factor: f64| format!("slow=1x{factor}").parse::<Fault>().map(|it| it.kind);
        let slowest = FaultKind::Slow { group: None, amount: Amount::Count(1), factor: MAX_FACTOR };
        assert_eq!(slow(MAX_FACTOR), Ok(slowest));
        let error = slow(MAX_FACTOR + 0.5).unwrap_err();
        assert_eq!(error.code(), "RB7001");
        assert!(error.to_string().contains("at most 1000"), "{error}");
    }

    #[test]
    fn a_share_of_nodes_is_at_least_one() {
        assert_eq!([Amount::Share(0.05).of(3), Amount::Share(1.0).of(3), Amount::Count(9).of(3)], [1, 3, 3]);
    }
}
