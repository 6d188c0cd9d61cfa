//! What a measurement needs of the machine: clock, chance, the CPU time and memory of this process. The product has its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use rebar_ports::{Clock, Entropy};

/// Ticks a second of `/proc/self/stat`: fixed for user space on Linux, proc(5).
const TICKS: f64 = 100.0;

/// The time of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the engine asks")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep(left).await;
    }
}

/// The kernel's random numbers.
#[derive(Debug, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 32] {
        rand::random()
    }
}

/// A stop-watch for wall and CPU time.
pub struct Watch {
    started: Instant,
    cpu: f64,
}

impl Watch {
    /// Starts it.
    pub fn start() -> Result<Self> {
        Ok(Self { started: Instant::now(), cpu: cpu_seconds()? })
    }

    /// Seconds since the start, of the wall and of the CPU.
    pub fn seconds(&self) -> Result<(f64, f64)> {
        Ok((self.started.elapsed().as_secs_f64(), cpu_seconds()? - self.cpu))
    }
}

/// The CPU seconds of this process so far.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("/proc/self/stat has no command")?.1;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|it| it.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/self/stat has no times")?;
    Ok((user + system) / TICKS)
}

/// The memory of this process now, in MiB.
pub fn memory_mb() -> Result<f64> {
    memory_mb_of(std::process::id())
}

/// The memory of a process now, in MiB.
pub fn memory_mb_of(process: u32) -> Result<f64> {
    status_mb(process, "VmRSS:")
}

/// The most memory that this process had so far, in MiB.
pub fn peak_memory_mb() -> Result<f64> {
    status_mb(std::process::id(), "VmHWM:")
}

fn status_mb(process: u32, key: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix(key)).context("the status of a process lacks a line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// A quantile of some values; 0 of none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or_default()
}
