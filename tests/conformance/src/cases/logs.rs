//! Logs: appended once, read in order.

use anyhow::{Result, ensure};
use rebar_model::{AttemptId, Phase};
use rebar_ports::LogChunk;

use super::at;
use crate::suite::Subject;

fn chunk(attempt: u64, offset: u64, text: &str) -> LogChunk {
    LogChunk {
        attempt: AttemptId(attempt),
        offset,
        phase: (offset > 0).then_some(Phase::Apply),
        at: at(offset),
        text: text.to_owned(),
        bytes: text.len() as u64,
        lost: u64::from(offset == 6),
    }
}

pub(crate) async fn appended_once(subject: Subject) -> Result<()> {
    let logs = subject.open().await?.logs;
    ensure!(logs.end(AttemptId(1)).await? == 0);
    logs.append(&[]).await?;
    let (first, second) = (chunk(1, 0, "hello\n"), chunk(1, 6, "world\0\u{fffd}\n"));
    logs.append(&[first.clone(), second.clone()]).await?;
    // What the agent was not sure of comes again, with something new behind it; and once with other words.
    let third = chunk(1, second.offset + second.bytes, "end\n");
    logs.append(&[second.clone(), third.clone(), third.clone()]).await?;
    logs.append(&[chunk(1, 0, "HELLO\n")]).await?;
    ensure!(logs.read(AttemptId(1), 0, 10).await? == [first, second, third.clone()]);
    ensure!(logs.end(AttemptId(1)).await? == third.offset + third.bytes);
    let again = subject.open().await?.logs;
    ensure!(again.end(AttemptId(1)).await? == third.offset + third.bytes, "it is not durable");
    Ok(())
}

pub(crate) async fn read_in_order(subject: Subject) -> Result<()> {
    let logs = subject.open().await?.logs;
    let chunks: Vec<_> = (0..600).map(|place| chunk(7, place * 5, "line\n")).collect();
    let shuffled: Vec<_> = chunks.iter().rev().cloned().collect();
    logs.append(&shuffled).await?;
    logs.append(&[chunk(8, 0, "another\n")]).await?;
    ensure!(logs.read(AttemptId(7), 0, 1_000).await? == chunks);
    ensure!(logs.read(AttemptId(7), 0, 3).await? == chunks[..3]);
    ensure!(logs.read(AttemptId(7), 10, 2).await? == chunks[2..4]);
    ensure!(logs.read(AttemptId(7), 11, 1).await? == chunks[3..4], "from the next chunk on");
    ensure!(logs.read(AttemptId(7), u64::MAX, 1).await?.is_empty());
    ensure!(logs.read(AttemptId(9), 0, 1).await?.is_empty());
    ensure!(logs.end(AttemptId(7)).await? == 3_000);
    ensure!(logs.end(AttemptId(8)).await? == 8);
    Ok(())
}
