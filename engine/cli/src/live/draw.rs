//! Showing work as it goes on: frames on a terminal, lines in a pipe, records for programs, or nothing.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use rebar_api::types::DeploymentStatus;
use rebar_model::Standing;

use super::{
    Follow, Until,
    canvas::Canvas,
    tracker::{Counts, Happening},
};
use crate::{
    app::App,
    args::Progress,
    failure::Failure,
    output::Output,
    screen::{Look, Tone, bars, bars::Frame, status, tone, words},
    terminal,
};

/// How long nothing may be said in a pipe.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The height of a terminal that does not tell.
const ROWS: usize = 24;

/// Shows work as it goes on.
pub struct Draw {
    output: Output,
    as_data: bool,
    rehearsed: bool,
    how: How,
}

enum How {
    Bars { canvas: Canvas, above: String },
    Plain { said: Instant, greeted: bool },
    Records,
    Nothing,
}

impl Draw {
    /// As flags and terminal say.
    pub fn new(app: &App, follow: &Follow) -> Self {
        let as_data = follow.as_data;
        let how = match app.output.progress {
            Progress::Bar => How::Bars { canvas: Canvas::default(), above: String::new() },
            Progress::Plain | Progress::Auto => How::Plain { said: Instant::now(), greeted: false },
            Progress::Ndjson => How::Records,
            Progress::None if as_data => How::Plain { said: Instant::now(), greeted: false },
            Progress::None => How::Nothing,
        };
        let rehearsed = matches!(follow.until, Until::Over { .. });
        Self { output: app.output.clone(), as_data, rehearsed, how }
    }

    /// Shows something that happened.
    pub fn happening(&mut self, seconds: i64, happening: &Happening, log: &[String]) -> Result<(), Failure> {
        match &mut self.how {
            How::Bars { above, .. } => {
                // Failures stay above the frame with their log; everything else is in it.
                if happening.standing == Standing::Failed {
                    above.push_str(&line(seconds, happening, log, &self.output.talk_look));
                }
                Ok(())
            }
            How::Plain { said, .. } => {
                *said = Instant::now();
                self.say(|look| line(seconds, happening, log, look))
            }
            How::Records => self.output.line(happening),
            How::Nothing => Ok(()),
        }
    }

    /// Shows how things stand.
    pub fn status(
        &mut self,
        seconds: i64,
        status: &DeploymentStatus,
        counts: Counts,
        news: Option<&str>,
    ) -> Result<(), Failure> {
        match &mut self.how {
            How::Bars { .. } => {
                let rehearsed = self.rehearsed;
                self.frame(&Frame { status, seconds, age: 0, silent: None, news, rehearsed });
            }
            How::Plain { said, greeted } => {
                let first = !std::mem::replace(greeted, true);
                if !first && said.elapsed() < HEARTBEAT {
                    return Ok(());
                }
                *said = Instant::now();
                return self.say(|look| {
                    if first {
                        greeting(seconds, status, counts, look)
                    } else {
                        heartbeat(seconds, status, counts, look)
                    }
                });
            }
            How::Records | How::Nothing => {}
        }
        Ok(())
    }

    /// Moves the clocks.
    pub fn beat(&mut self, frame: &Frame<'_>) {
        if matches!(self.how, How::Bars { .. }) {
            self.frame(frame);
        }
    }

    /// Says something about the way to the engine.
    pub fn note(&mut self, seconds: i64, text: &str) {
        match &mut self.how {
            How::Bars { .. } | How::Nothing => {}
            How::Plain { .. } | How::Records => self.output.say(&format!("{} {text}", stamp(seconds))),
        }
    }

    /// Takes the frame off the screen.
    pub fn clear(&mut self) {
        if let How::Bars { canvas, .. } = &mut self.how {
            // A screen that cannot be cleared is left as it is.
            let _ = canvas.clear();
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let How::Bars { canvas, above } = &mut self.how else { return };
        let (columns, rows) = terminal::size().unwrap_or((self.output.talk_look.width, ROWS));
        let look = Look { width: columns, ..self.output.talk_look };
        let lines = bars::render(frame, &look, rows.saturating_sub(1));
        // A frame that cannot be drawn is no reason to stop following.
        let _ = canvas.draw(&std::mem::take(above), &lines, columns);
    }

    /// Prints a line, where this command's data goes.
    fn say(&self, text: impl FnOnce(&Look) -> String) -> Result<(), Failure> {
        if self.as_data {
            self.output.print(&text(&self.output.look))
        } else {
            self.output.say(&text(&self.output.talk_look));
            Ok(())
        }
    }
}

/// The time since the start.
fn stamp(seconds: i64) -> String {
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// One line about what happened, with the log of what failed.
pub fn line(seconds: i64, happening: &Happening, log: &[String], look: &Look) -> String {
    let width = happening.total.to_string().len();
    let word = match happening.standing {
        Standing::Active => "ok",
        Standing::Failed => "FAIL",
        Standing::Removed => "undone",
        other => other.word(),
    };
    let place = format!("[{:>width$}/{}]", happening.done, happening.total);
    let phase = happening.phase.map(|it| format!(" {it}")).unwrap_or_default();
    let took = happening.seconds.map(|it| format!("  {}", words::duration(it))).unwrap_or_default();
    let why = happening.why.as_ref().map(|it| format!("  {it}")).unwrap_or_default();
    let mut out = format!(
        "{} {place} {} {}{phase}{took}{why}\n",
        stamp(seconds),
        look.paint(tone(happening.standing), &format!("{word:<7}")),
        happening.address
    );
    for text in log {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "      | {}", look.paint(Tone::Quiet, text));
    }
    if let (Standing::Failed, Some(attempt)) = (happening.standing, happening.attempt) {
        let what = if log.is_empty() { "the log" } else { "all of it" };
        let _ = writeln!(out, "      | ({what}: rebar logs {attempt})");
    }
    out
}

fn greeting(seconds: i64, status: &DeploymentStatus, counts: Counts, look: &Look) -> String {
    format!(
        "{} {} {}  {}  {} to go\n",
        stamp(seconds),
        status.name,
        status.workload.reference,
        status::state(status, look),
        words::count(counts.total - counts.done, "node-role")
    )
}

fn heartbeat(seconds: i64, status: &DeploymentStatus, counts: Counts, look: &Look) -> String {
    let mut running: Vec<_> =
        status.node_roles.iter().filter(|it| matches!(it.standing, Standing::Running | Standing::Undoing)).collect();
    running.sort_by_key(|it| it.since);
    let oldest = running.first().map(|it| {
        let time = it.since.map(|since| format!(" {}", words::between(since, status.at))).unwrap_or_default();
        format!("; oldest {}{time}", it.address)
    });
    let text = format!(
        "{} still at it: {} of {} done, {} running{}",
        stamp(seconds),
        counts.done,
        counts.total,
        running.len(),
        oldest.unwrap_or_default()
    );
    look.paint(Tone::Quiet, &text) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_brings_its_log() {
        let happening = Happening {
            at: jiff::Timestamp::UNIX_EPOCH,
            address: "kubelet@n1".to_owned(),
            standing: Standing::Failed,
            phase: Some(rebar_model::Phase::Verify),
            seconds: Some(180),
            why: Some("exit code 1".to_owned()),
            attempt: Some(rebar_model::AttemptId(7)),
            done: 21,
            total: 54,
        };
        let log = ["node not Ready".to_owned()];
        assert_eq!(
            line(432, &happening, &log, &Look::plain(80)),
            "07:12 [21/54] FAIL    kubelet@n1 verify  3m00s  exit code 1\n      | node not Ready\n      | (all of it: rebar logs a-7)\n"
        );
    }
}
