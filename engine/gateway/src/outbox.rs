//! What is on its way to one agent: a queue that is bounded in messages and bytes and never waits. What belongs into it is decided
//! in `session`.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use prost::Message;
use rebar_proto::v1::EngineMessage;
use tokio::sync::mpsc;
use tonic::Status;

use crate::limits::OUTBOUND_BYTES;

/// The agent does not read as fast as the engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The end that the session writes to.
pub(crate) struct Outbox {
    queue: mpsc::Sender<EngineMessage>,
    shared: Arc<Shared>,
}

/// The end that the connection reads from: the answer of the `Session` call.
pub struct OutStream {
    queue: mpsc::Receiver<EngineMessage>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    last: Mutex<Option<Status>>,
}

/// A queue for at most so many messages.
pub(crate) fn channel(messages: usize) -> (Outbox, OutStream) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    let shared = Arc::new(Shared::default());
    (Outbox { queue: sender, shared: shared.clone() }, OutStream { queue: receiver, shared })
}

impl Outbox {
    /// Puts a message into the queue. What nobody reads any more is dropped: the end of the stream is noticed by its reader.
    pub(crate) fn push(&self, message: EngineMessage) -> Result<(), Full> {
        let size = message.encoded_len();
        let before = self.shared.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > OUTBOUND_BYTES {
            return Err(Full);
        }
        match self.queue.try_send(message) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Full),
            Err(mpsc::error::TrySendError::Closed(_)) | Ok(()) => Ok(()),
        }
    }

    /// Ends the stream with a reason. What is still queued is not sent: all of it would be said again in the next session.
    pub(crate) fn end(self, status: Status) {
        *self.shared.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }
}

impl Stream for OutStream {
    type Item = Result<EngineMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.queue.poll_recv(context);
        if let Some(status) = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Poll::Ready(Some(Err(status)));
        }
        next.map(|message| {
            let message = message?;
            self.shared.bytes.fetch_sub(message.encoded_len(), Ordering::Relaxed);
            Some(Ok(message))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use rebar_proto::v1::{Ping, Welcome, engine_message::Body};

    use super::*;

    fn message(body: Body) -> EngineMessage {
        EngineMessage { body: Some(body) }
    }

    #[test]
    fn the_queue_is_bounded_in_messages_and_bytes() {
        let (outbox, mut stream) = channel(2);
        assert_eq!(outbox.push(message(Body::Ping(Ping {}))), Ok(()));
        assert_eq!(outbox.push(message(Body::Ping(Ping {}))), Ok(()));
        assert_eq!(outbox.push(message(Body::Ping(Ping {}))), Err(Full));
        assert!(stream.next().now_or_never().flatten().is_some_and(|it| it.is_ok()));

        let (outbox, _stream) = channel(2);
        let large = Welcome { epoch: 1, node: "n".repeat(OUTBOUND_BYTES) };
        assert_eq!(outbox.push(message(Body::Welcome(large))), Err(Full));
    }

    #[test]
    fn the_end_comes_before_what_is_queued() {
        let (outbox, mut stream) = channel(2);
        assert_eq!(outbox.push(message(Body::Ping(Ping {}))), Ok(()));
        outbox.end(Status::aborted("over"));
        let first = stream.next().now_or_never().flatten();
        assert!(matches!(first, Some(Err(status)) if status.message() == "over"));
    }
}
