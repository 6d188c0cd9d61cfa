//! Writes the logs of attempts: takes what is waiting, makes it durable at once, and tells each sender up to where.

use rebar_model::AttemptId;
use rebar_ports::{LogChunk, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{limits::MAX_LOG_QUEUE, shared::SharedRef};

/// A piece of a log, and who waits for it to be durable.
pub(crate) struct LogPiece {
    pub chunk: LogChunk,
    pub reply: oneshot::Sender<Result<u64, StoreError>>,
}

/// Writes logs until cancelled.
pub(crate) async fn run(shared: SharedRef, mut queue: mpsc::Receiver<LogPiece>, stop: CancellationToken) {
    let mut waiting = Vec::with_capacity(MAX_LOG_QUEUE);
    loop {
        let count = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            count = queue.recv_many(&mut waiting, MAX_LOG_QUEUE) => count,
        };
        if count == 0 {
            return;
        }
        let (chunks, replies): (Vec<_>, Vec<_>) = waiting.drain(..).map(|it| (it.chunk, it.reply)).unzip();
        let ends: Vec<(AttemptId, u64)> = chunks.iter().map(|it| (it.attempt, it.offset + it.bytes)).collect();
        let written = shared.ports.logs.append(&chunks).await;
        if let Err(error) = &written {
            tracing::error!(%error, "logs cannot be written");
        }
        for (reply, (_, end)) in replies.into_iter().zip(ends) {
            let answer = match &written {
                Ok(()) => Ok(end),
                Err(error) => Err(StoreError::Unavailable(error.to_string().into())),
            };
            // A session that ended meanwhile offers the piece again.
            let _ = reply.send(answer);
        }
        shared.log_ticks.send_modify(|it| *it += 1);
    }
}
