//! The phases of an attempt, one after another: what each exit means, when apply is skipped, when the machine must reboot first.

use std::time::Duration;

use rebar_proto::v1::{AttemptKind, Dispatch, Failed, FailureKind, Phase, PhaseWork, RebootPolicy, Succeeded};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    disk::{
        durable,
        layout::AttemptDir,
        status::{self, Status},
    },
    error::Error,
    supervise::{
        MAX_REBOOTS,
        control::{Control, Reboot, one_line},
        environment::phase_name,
        log::Log,
        outputs::{self, Watch},
        process::{self, Bounds, Ended as ProcessEnded},
        target::{self, Targets},
    },
};

/// A phase without a limit of its own.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);
/// "Not now": the exit code of sysexits(3) for a temporary failure.
const EX_TEMPFAIL: i32 = 75;
/// The check's word for "not so yet".
const NOT_CONVERGED: i32 = 1;

/// How an attempt ended, or that it has not.
#[derive(Debug)]
pub(crate) enum Ended {
    Succeeded(Succeeded),
    Failed(Failed),
    Reboot,
}

/// What a phase leads to.
enum Next {
    GoOn,
    Converged,
    Fail(Failed),
}

/// Where between the phases the files of the role's templates are removed and written.
struct Places {
    remove: Option<usize>,
    write: Option<usize>,
}

impl Places {
    fn of(dispatch: &Dispatch) -> Self {
        let find = |wanted: &[Phase]| dispatch.phases.iter().position(|work| wanted.contains(&work.phase()));
        let forward = find(&[Phase::Apply, Phase::Verify]).unwrap_or(dispatch.phases.len());
        let after_undo = find(&[Phase::Undo]).map_or(forward, |undo| undo + 1);
        match dispatch.kind() {
            AttemptKind::Apply => Self { remove: None, write: Some(forward) },
            AttemptKind::Replace => Self { remove: Some(after_undo), write: Some(forward) },
            AttemptKind::Undo => Self { remove: Some(after_undo), write: None },
        }
    }
}

/// Runs the phases from where the status says.
pub(crate) async fn run(
    dir: &AttemptDir,
    dispatch: &Dispatch,
    mut status: Status,
    log: &mut Log,
    cancelled: &CancellationToken,
) -> Result<Ended, Error> {
    let inputs = inputs(dir, dispatch)?;
    learn_secrets(dir, dispatch, &inputs, log);
    let places = Places::of(dispatch);
    // Before anything is touched: a template that cannot be rendered must not be found out half-way.
    let targets = match places.write.map(|_| Targets::render(dir, dispatch, &inputs)).transpose() {
        Ok(targets) => targets.unwrap_or_default(),
        Err(error) => return Ok(Ended::Failed(file_failure(Phase::Apply, &error))),
    };
    for index in status.phase..=dispatch.phases.len() {
        if places.remove == Some(index)
            && let Err(error) = target::remove(&dispatch.templates)
        {
            return Ok(Ended::Failed(file_failure(Phase::Undo, &error)));
        }
        if places.write == Some(index)
            && !status.converged
            && let Err(error) = targets.write()
        {
            return Ok(Ended::Failed(file_failure(Phase::Apply, &error)));
        }
        let Some(work) = dispatch.phases.get(index) else { break };
        if work.phase() == Phase::Apply && status.converged {
            continue;
        }
        if status.phase != index {
            status.phase = index;
            status::write(dir, &status)?;
        }
        log.forget_last_line();
        match phase(dir, (dispatch, work), &mut status, log, cancelled).await? {
            Next::GoOn => {}
            Next::Converged => status.converged = true,
            Next::Fail(failed) => return Ok(Ended::Failed(failed)),
        }
        if work.phase() == Phase::Check && !targets.are_so()? {
            status.converged = false;
            if let Err(error) = targets.show_difference(dir) {
                tracing::warn!(%error, "difference not shown");
            }
        }
        match wish(dir, dispatch, work)? {
            Ok(Reboot::No) => {}
            Ok(Reboot::Next) => return reboot(dir, work.phase(), index + 1, status),
            Ok(Reboot::Again) => return reboot(dir, work.phase(), index, status),
            Err(failed) => return Ok(Ended::Failed(failed)),
        }
    }
    if is_reboot_alone(dispatch, &status) {
        return reboot(dir, Phase::Unspecified, 0, status);
    }
    finish(dir, dispatch, &status, log)
}

/// The inputs, where the attempt itself needs them.
fn inputs(dir: &AttemptDir, dispatch: &Dispatch) -> Result<Map<String, Value>, Error> {
    if dispatch.secret_inputs.is_empty() && dispatch.templates.is_empty() {
        return Ok(Map::new());
    }
    let path = dir.inputs();
    let bytes = durable::read(&path)?.unwrap_or_default();
    serde_json::from_slice(&bytes)
        .map_err(|_| Error::Broken { path, reason: "the inputs are not one JSON object".to_owned() })
}

/// From here on the values of secret inputs do not pass into the log.
fn learn_secrets(dir: &AttemptDir, dispatch: &Dispatch, inputs: &Map<String, Value>, log: &mut Log) {
    let secret = dispatch.secret_inputs.iter().filter_map(|name| inputs.get(name));
    secret.for_each(|value| log.redactor.learn(value));
    log.watch(Watch::new(dir, &dispatch.secret_outputs));
}

/// What is wrong with the files of the role's templates.
fn file_failure(phase: Phase, error: &Error) -> Failed {
    let (phase, kind) = (phase.into(), FailureKind::Setup.into());
    Failed { phase, kind, exit_code: None, message: error.to_string(), retry_after: None }
}

/// The reboot that a phase has earned when it succeeded: what the role asks for, within what its policy lets it.
fn wish(dir: &AttemptDir, dispatch: &Dispatch, work: &PhaseWork) -> Result<Result<Reboot, Failed>, Error> {
    let control = match Control::read(dir)? {
        Ok(control) => control,
        Err(message) => return Ok(Err(failure(work, FailureKind::Error, message))),
    };
    Ok(match (dispatch.reboot(), control.reboot()) {
        (RebootPolicy::Never, Reboot::Next | Reboot::Again) => {
            let name = phase_name(work.phase());
            let message = format!("{name} asked for a reboot, which needs `reboot: allowed` in role.yaml");
            Err(failure(work, FailureKind::Error, message))
        }
        (RebootPolicy::Always, Reboot::No) if work.phase() == Phase::Apply => Ok(Reboot::Next),
        (_, wish) => Ok(wish),
    })
}

/// Whether the attempt is for nothing but a reboot that has not been. Without phases nobody else can have asked for one.
fn is_reboot_alone(dispatch: &Dispatch, status: &Status) -> bool {
    let wanted = dispatch.reboot() == RebootPolicy::Always && dispatch.kind() != AttemptKind::Undo;
    wanted && dispatch.phases.is_empty() && status.reboots == 0
}

/// Runs one phase: once, or for verify until it succeeded often enough.
async fn phase(
    dir: &AttemptDir,
    (dispatch, work): (&Dispatch, &PhaseWork),
    status: &mut Status,
    log: &mut Log,
    cancelled: &CancellationToken,
) -> Result<Next, Error> {
    let limit = clock::from_duration(work.timeout.as_ref()).unwrap_or(DEFAULT_TIMEOUT);
    let (until, limit) = match before_deadline(dispatch) {
        Some(left) if left < limit => (Instant::now() + left, left),
        _ => (Instant::now() + limit, limit),
    };
    let every = clock::from_duration(work.every.as_ref()).filter(|_| work.phase() == Phase::Verify);
    let mut successes = 0;
    let mut last_failure = None;
    loop {
        let bounds = Bounds { until, cancelled };
        let look = |log: &mut Log| progress(dir, status, log);
        let ended = process::run(dir, (dispatch, work), log, bounds, look).await?;
        let control = Control::read(dir)?;
        let retry_after = control.as_ref().ok().and_then(Control::retry_after);
        let next = judge(work, ended, retry_after, limit, log);
        let Some(every) = every else { return Ok(next) };
        successes = if matches!(next, Next::GoOn) { successes + 1 } else { 0 };
        if let ProcessEnded::Exit(code) = ended
            && code != 0
        {
            last_failure = Some(code);
        }
        let is_final = match ended {
            ProcessEnded::Exit(code) => code == EX_TEMPFAIL || retry_after.is_some(),
            ProcessEnded::Cancelled => true,
            ProcessEnded::Signal(_) | ProcessEnded::Timeout => false,
        };
        if is_final || successes >= work.successes.max(1) {
            return Ok(next);
        }
        if Instant::now() + every >= until {
            return Ok(Next::Fail(never_verified(work, last_failure, limit, log)));
        }
        tokio::select! {
            () = sleep(every) => {}
            () = cancelled.cancelled() => return Ok(judge(work, ProcessEnded::Cancelled, None, limit, log)),
        }
    }
}

/// What is left until nobody wants the attempt any more.
fn before_deadline(dispatch: &Dispatch) -> Option<Duration> {
    let left = clock::from_timestamp(dispatch.deadline.as_ref()?).saturating_sub(clock::now_ms());
    Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

/// What the end of a process means.
fn judge(work: &PhaseWork, ended: ProcessEnded, retry_after: Option<Duration>, limit: Duration, log: &Log) -> Next {
    let name = phase_name(work.phase());
    let (kind, exit_code, what) = match ended {
        ProcessEnded::Cancelled => (FailureKind::Cancelled, None, format!("{name} was cancelled")),
        ProcessEnded::Timeout => (FailureKind::Timeout, None, format!("{name} was killed after {}", seconds(limit))),
        ProcessEnded::Exit(EX_TEMPFAIL) => {
            (FailureKind::Tempfail, Some(EX_TEMPFAIL), format!("{name} asked for another try"))
        }
        ProcessEnded::Exit(code) if retry_after.is_some() => {
            (FailureKind::Tempfail, Some(code), format!("{name} asked for another try"))
        }
        ProcessEnded::Exit(0) if work.phase() == Phase::Check => return Next::Converged,
        ProcessEnded::Exit(NOT_CONVERGED) if work.phase() == Phase::Check => return Next::GoOn,
        ProcessEnded::Exit(0) => return Next::GoOn,
        ProcessEnded::Exit(code) => (FailureKind::Error, Some(code), format!("{name} ended with exit code {code}")),
        ProcessEnded::Signal(signal) => (FailureKind::Error, None, format!("{name} was killed by signal {signal}")),
    };
    let message = with_last_line(what, log);
    let retry_after = retry_after.map(clock::duration);
    Next::Fail(Failed { exit_code, retry_after, ..failure(work, kind, message) })
}

/// A verify that was repeated until its time was over.
fn never_verified(work: &PhaseWork, exit_code: Option<i32>, limit: Duration, log: &Log) -> Failed {
    let wanted = work.successes.max(1);
    let what = format!("verify did not succeed {wanted} times in a row within {}", seconds(limit));
    Failed { exit_code, ..failure(work, FailureKind::Timeout, with_last_line(what, log)) }
}

fn failure(work: &PhaseWork, kind: FailureKind, message: String) -> Failed {
    Failed { phase: work.phase, kind: kind.into(), exit_code: None, message, retry_after: None }
}

/// The role's last words tell more than its exit code. They come out of the log, so there is no secret in them.
fn with_last_line(what: String, log: &Log) -> String {
    match log.last_line() {
        line if line.is_empty() => what,
        line => format!("{what}: {line}"),
    }
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// Shows the agent how far the role says it is.
fn progress(dir: &AttemptDir, status: &mut Status, log: &mut Log) {
    let Ok(Ok(Control { progress: Some(said), .. })) = Control::read(dir) else { return };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let percent = said.percent.clamp(0.0, 100.0) as u32;
    let now = Some(status::Progress { percent, text: one_line(&log.without_secrets(&said.text)) });
    if status.progress == now {
        return;
    }
    status.progress = now;
    if let Err(error) = status::write(dir, status) {
        tracing::warn!(%error, "progress not shown");
    }
    log.knock();
}

/// Makes everything that the attempt needs after the boot durable. The agent reboots the machine, since it knows what else runs.
fn reboot(dir: &AttemptDir, phase: Phase, resume: usize, status: Status) -> Result<Ended, Error> {
    if status.reboots >= MAX_REBOOTS {
        let message = format!("the role asked for more than {MAX_REBOOTS} reboots");
        let (phase, kind) = (phase.into(), FailureKind::Error.into());
        return Ok(Ended::Failed(Failed { phase, kind, exit_code: None, message, retry_after: None }));
    }
    if let Some(inputs) = durable::read(&dir.inputs())? {
        durable::write(&dir.inputs_over_reboot(), &inputs)?;
    }
    if let Ok(control) = Control::read(dir)? {
        Control { reboot: None, ..control }.write(dir)?;
    }
    // What the role wrote without waiting for the disk must be there after the boot as well.
    rustix::fs::sync();
    let status = Status { resume: Some(resume), reboots: status.reboots + 1, ..status };
    status::write_durably(dir, &status)?;
    Ok(Ended::Reboot)
}

fn finish(dir: &AttemptDir, dispatch: &Dispatch, status: &Status, log: &mut Log) -> Result<Ended, Error> {
    let outputs_json = match outputs::read(dir)? {
        Ok(outputs) => outputs,
        Err(message) => {
            let phase = dispatch.phases.last().map_or(Phase::Unspecified.into(), |work| work.phase);
            let kind = FailureKind::BadOutputs.into();
            return Ok(Ended::Failed(Failed { phase, kind, exit_code: None, message, retry_after: None }));
        }
    };
    let note = Control::read(dir)?.ok().and_then(|control| control.note).unwrap_or_default();
    let note = one_line(&log.without_secrets(&note));
    Ok(Ended::Succeeded(Succeeded { outputs_json, converged: status.converged, note }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::layout::State;

    #[test]
    fn a_role_may_ask_for_so_many_reboots() {
        let state = tempfile::tempdir().expect("directory");
        let root = state.path().join("attempts/1");
        std::fs::create_dir_all(root.join("io")).expect("directory");
        let dir = State::at(state.path()).expect("state").attempt(1);
        let after = |reboots| reboot(&dir, Phase::Apply, 1, Status { reboots, ..Status::default() }).expect("written");
        assert!(matches!(after(MAX_REBOOTS - 1), Ended::Reboot));
        let Ended::Failed(failed) = after(MAX_REBOOTS) else { panic!("one more than may be") };
        assert!(failed.message.contains("more than 10 reboots"), "{}", failed.message);
    }
}
