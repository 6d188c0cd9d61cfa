//! How work ended, always the same five lines: the result, the counts, the time, who must act, and what to do next.

use rebar_api::types::DeploymentStatus;
use rebar_model::Standing;

use super::{Look, Tone, status, words};

/// How work ended.
#[derive(Debug)]
pub struct Summary<'a> {
    /// How the deployment stands; none when it is gone.
    pub status: Option<&'a DeploymentStatus>,
    /// Its name.
    pub name: &'a str,
    /// How long it was followed, in seconds.
    pub seconds: i64,
    /// The slowest attempt, and how long it took.
    pub slowest: Option<(String, i64)>,
    /// What needs a person, in one line.
    pub person: Option<String>,
}

/// Draws how work ended.
pub fn render(summary: &Summary<'_>, look: &Look) -> String {
    let slowest =
        summary.slowest.as_ref().map(|(address, seconds)| format!(", slowest {address} {}", words::duration(*seconds)));
    let took = format!("{}{}", words::duration(summary.seconds), slowest.unwrap_or_default());
    let (result, states, next) = match summary.status {
        None => {
            let result = look.paint(Tone::Good, &format!("{} {} is gone", look.pick("✓", "ok"), summary.name));
            (result, "nothing is left of it".to_owned(), "rebar status".to_owned())
        }
        Some(status) => (result(status, look), status::counts(&status.counts), next(status)),
    };
    let person = summary.person.as_deref().unwrap_or("nobody has to act");
    let label = |text: &str| look.paint(Tone::Quiet, text);
    format!(
        "{result}\n  {}  {states}\n  {}  {took}\n  {}  {person}\n  {}  {next}\n",
        label("states"),
        label("took  "),
        label("person"),
        label("next  ")
    )
}

fn result(status: &DeploymentStatus, look: &Look) -> String {
    let active = status.counts.get(&Standing::Active).copied().unwrap_or(0);
    let total: usize = status.counts.values().sum();
    let (sign, tone, what) = if status.active {
        (look.pick("✓", "ok"), Tone::Good, "is active")
    } else if status.counts.get(&Standing::Failed).copied().unwrap_or(0) > 0 {
        (look.pick("✗", "FAIL"), Tone::Bad, "is not active, something failed")
    } else if status.needs_person {
        (look.pick("!", "BLOCK"), Tone::Person, "is not active, a person has to act")
    } else {
        (look.pick("·", "."), Tone::Quiet, "is not active yet")
    };
    format!("{} {active} of {total}", look.paint(tone, &format!("{sign} {} {what}:", status.name)))
}

fn next(status: &DeploymentStatus) -> String {
    let name = &status.name;
    if status.active {
        format!("rebar deployment outputs {name}")
    } else if status.breaker.why.is_some() {
        format!("rebar breaker show {name}")
    } else if status.paused.is_some() {
        format!("rebar deployment resume {name}")
    } else if status.needs_person {
        format!("rebar explain {name}    then  rebar retry {name} --failed")
    } else {
        format!("rebar watch {name}")
    }
}
