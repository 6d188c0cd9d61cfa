//! The live view of a deployment on a terminal: a bar a role, what runs, what failed. One frame is a pure function of how things
//! stand; drawing frame after frame is `live/`.

use rebar_api::types::{DeploymentStatus, NodeRoleView};
use rebar_model::{Mode, Standing};

use super::{Look, Tone, status, tone, words};

/// The width of a bar.
const BAR: usize = 32;
/// The most rows of roles; the roles behind them share one row.
const MAX_ROLES: usize = 16;
/// The most rows of what runs, and of what failed.
const MAX_ROWS: usize = 8;

/// One moment of work that is followed.
#[derive(Debug)]
pub struct Frame<'a> {
    /// How things stand.
    pub status: &'a DeploymentStatus,
    /// How long this is being followed, in seconds.
    pub seconds: i64,
    /// How long ago things stood so, in seconds: what runs has run so much longer.
    pub age: i64,
    /// How long the engine has not answered, in seconds.
    pub silent: Option<i64>,
    /// The last news, where there is some.
    pub news: Option<&'a str>,
    /// Whether it is a rehearsal, in which nothing real happens.
    pub rehearsed: bool,
}

/// Some node-roles that share a bar.
struct Row<'a> {
    name: String,
    milestone: bool,
    roles: usize,
    members: Vec<&'a NodeRoleView>,
}

/// Draws one moment, a string a line, at most `height` of them.
pub fn render(frame: &Frame<'_>, look: &Look, height: usize) -> Vec<String> {
    let status = frame.status;
    let most = if height < 2 * MAX_ROLES { MAX_ROWS / 2 } else { MAX_ROWS };
    let mut below = running(status, frame.age, most, look);
    below.extend(broken(status, most, look));
    below.extend(frame.news.map(|it| look.paint(Tone::Quiet, &format!(" news      {it}"))));
    if let Some(seconds) = frame.silent {
        let text = format!(" the engine has not answered for {}; trying again", words::duration(seconds));
        below.push(look.paint(Tone::Person, &text));
    }
    let foot = if frame.rehearsed {
        " Ctrl-C ends the rehearsal; nothing real is touched"
    } else {
        " Ctrl-C detaches; the work goes on"
    };
    below.push(look.paint(Tone::Quiet, foot));
    // Head, titles and two empty lines.
    let room = height.saturating_sub(below.len() + 4).clamp(1, MAX_ROLES);
    let rows = rows(status, room, look);
    let width = rows.iter().map(|it| it.name.len()).max().unwrap_or(0).max("phase".len());
    let titles = format!(
        " {}  {}  {:>7} {:>4} {:>5} {:>5}",
        words::pad("phase", width),
        words::pad("progress", BAR),
        "done",
        "run",
        "wait",
        "fail"
    );
    let mut lines = vec![head(frame, look), String::new(), look.paint(Tone::Quiet, &titles)];
    lines.extend(rows.iter().map(|it| row(it, width, status.mode, look)));
    lines.push(String::new());
    lines.extend(below);
    lines.truncate(height);
    lines
}

fn head(frame: &Frame<'_>, look: &Look) -> String {
    let status = frame.status;
    let open = status.breaker.why.as_ref().map(|it| look.paint(Tone::Bad, &format!("  breaker open: {it}")));
    let held = status.paused.as_ref().map(|it| look.paint(Tone::Change, &format!("  held: {it}"))).unwrap_or_default();
    let rehearsal = if frame.rehearsed { look.paint(Tone::Change, " rehearsal of") } else { String::new() };
    format!(
        "{rehearsal} {}  {}  revision {}  {}{}{held}   {}",
        look.paint(Tone::Strong, status.name.as_str()),
        status.workload.reference,
        status.revision,
        status::state(status, look),
        open.unwrap_or_default(),
        look.paint(Tone::Quiet, &words::clock(frame.seconds))
    )
}

/// The rows: milestones first, then the other roles in the order of the graph, then those of low importance that are done; too many
/// of these share one row.
fn rows<'a>(status: &'a DeploymentStatus, most: usize, look: &Look) -> Vec<Row<'a>> {
    let (shown, folded) = status::fold(status, look);
    let (mut rows, mut others): (Vec<Row<'_>>, Vec<Row<'_>>) = shown
        .into_iter()
        .map(|(role, members)| Row {
            name: role.to_string(),
            milestone: members.iter().any(|it| it.milestone),
            roles: 1,
            members,
        })
        .partition(|it| it.milestone);
    if !folded.is_empty() {
        let (roles, members) = (folded.len(), folded.into_iter().flat_map(|(_, rows)| rows).collect());
        others.push(Row { name: status::folded_name(roles), milestone: false, roles, members });
    }
    if rows.len() + others.len() > most {
        let room = most.saturating_sub(rows.len() + 1);
        // What is not done is worth a row of its own before what is.
        others.sort_by_key(|it| it.members.iter().all(|it| it.standing == Standing::Active));
        let rest = others.split_off(room.min(others.len()));
        let roles = rest.iter().map(|it| it.roles).sum();
        let members = rest.into_iter().flat_map(|it| it.members).collect();
        others.push(Row { name: words::count(roles, "other role"), milestone: false, roles, members });
    }
    rows.append(&mut others);
    rows
}

fn row(row: &Row<'_>, width: usize, mode: Mode, look: &Look) -> String {
    let count = |wanted: &[Standing]| row.members.iter().filter(|it| wanted.contains(&it.standing)).count();
    let wiping = mode != Mode::Converging;
    let done = if wiping { count(&[Standing::Removed]) } else { count(&[Standing::Active]) };
    let run = count(&[Standing::Running, Standing::Undoing]);
    let fail = count(&[Standing::Failed, Standing::Blocked]);
    let total = row.members.len();
    let wait = total.saturating_sub(done + run + fail);
    let number = |number: usize| if number == 0 { String::new() } else { number.to_string() };
    let fail_text = format!("{:>5}", number(fail));
    let failed = if fail > 0 { look.paint(Tone::Bad, &fail_text) } else { fail_text };
    let name = words::pad(&row.name, width);
    let name = if row.milestone { look.paint(Tone::Strong, &name) } else { name };
    let line = format!(
        " {name}  {}  {:>7} {:>4} {:>5} {failed}",
        bar(done, run, total, look),
        format!("{done}/{total}"),
        number(run),
        number(wait)
    );
    line.trim_end().to_owned()
}

/// A bar: what is done full, what runs light.
fn bar(done: usize, run: usize, total: usize, look: &Look) -> String {
    let cells = |number: usize| (number * BAR).checked_div(total).unwrap_or(0);
    let full = cells(done);
    let light = cells(done + run).saturating_sub(full).max(usize::from(run > 0 && full < BAR));
    let rest = BAR.saturating_sub(full + light);
    let full = look.pick("█", "#").repeat(full);
    let light = look.pick("░", "-").repeat(light);
    let rest = look.pick("·", ".").repeat(rest);
    format!("{}{}{}", look.paint(Tone::Good, &full), look.paint(Tone::Busy, &light), look.paint(Tone::Quiet, &rest))
}

/// What runs: address, phase, time, and what the role says about itself.
fn running(status: &DeploymentStatus, age: i64, most: usize, look: &Look) -> Vec<String> {
    let all: Vec<&NodeRoleView> =
        status.node_roles.iter().filter(|it| matches!(it.standing, Standing::Running | Standing::Undoing)).collect();
    let width = all.iter().take(most).map(|it| it.address.len()).max().unwrap_or(0);
    let mut lines: Vec<String> = all
        .iter()
        .take(most)
        .enumerate()
        .map(|(number, it)| {
            let label = look.paint(Tone::Quiet, if number == 0 { " running   " } else { "           " });
            let phase = match (it.progress.as_ref().and_then(|it| it.phase), it.standing) {
                (Some(phase), _) => phase.to_string(),
                (None, Standing::Undoing) => "undo".to_owned(),
                (None, _) => String::new(),
            };
            let time =
                it.since.map(|since| words::clock(status.at.duration_since(since).as_secs() + age)).unwrap_or_default();
            let says = it.progress.as_ref().map(said).unwrap_or_default();
            format!(
                "{label}{}  {} {time:>5}{says}",
                look.paint(Tone::Busy, &words::pad(&it.address, width)),
                words::pad(&phase, 6)
            )
        })
        .collect();
    if all.len() > most {
        lines.push(format!("           +{}", all.len() - most));
    }
    lines
}

/// What a role says about itself.
fn said(progress: &rebar_api::types::ProgressView) -> String {
    match (progress.percent, progress.text.as_str()) {
        (0, "") => String::new(),
        (0, text) => format!("  {text}"),
        (percent, "") => format!("  {percent} %"),
        (percent, text) => format!("  {percent} % {text}"),
    }
}

/// What failed or waits for a person; it stays on the screen.
fn broken(status: &DeploymentStatus, most: usize, look: &Look) -> Vec<String> {
    let of = |wanted: Standing| status.node_roles.iter().filter(move |it| it.standing == wanted);
    let all: Vec<&NodeRoleView> = of(Standing::Failed).chain(of(Standing::Blocked)).collect();
    let mut lines: Vec<String> = all
        .iter()
        .take(most)
        .map(|it| {
            let word = look.paint(tone(it.standing), &format!(" {:<9}", it.standing.word()));
            format!("{word} {}  {}", it.address, it.why.as_deref().unwrap_or_default())
        })
        .collect();
    if all.len() > most {
        lines.push(format!("           +{} (rebar explain {})", all.len() - most, status.name));
    }
    lines
}
