//! The contents that are being sent at this moment, each once in memory however many nodes want it. A fleet that is upgraded asks for
//! the same few thousand times.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use rebar_model::Digest;
use rebar_ports::{AgentDoor, DoorError};
use tokio::sync::OnceCell;

use crate::limits::CONTENTS;

/// A content in memory; empty where the engine has none of that digest.
type Shared = Arc<OnceCell<Option<Bytes>>>;

/// Why there is no content to be sent.
#[derive(Debug)]
pub(crate) enum NoContent {
    /// The engine does not have it.
    Unknown,
    /// As many different ones as may be are in memory.
    Busy,
    /// The engine could not be asked.
    Door(DoorError),
}

/// A content for as long as it is sent.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    _shared: Shared,
}

/// The contents that are being sent.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    open: Mutex<BTreeMap<Digest, Weak<OnceCell<Option<Bytes>>>>>,
}

impl Contents {
    /// A content, read from the engine unless it is being sent to somebody already.
    pub(crate) async fn get(&self, door: &dyn AgentDoor, digest: Digest) -> Result<Content, NoContent> {
        let shared = self.share(digest).ok_or(NoContent::Busy)?;
        let read = || async { door.content(digest).await.map(|it| it.map(Bytes::from)) };
        let bytes = shared.get_or_try_init(read).await.map_err(NoContent::Door)?.clone();
        bytes.map(|bytes| Content { bytes, _shared: shared }).ok_or(NoContent::Unknown)
    }

    fn share(&self, digest: Digest) -> Option<Shared> {
        let mut open = self.lock();
        if let Some(shared) = open.get(&digest).and_then(Weak::upgrade) {
            return Some(shared);
        }
        open.retain(|_, content| content.strong_count() > 0);
        if open.len() >= CONTENTS {
            return None;
        }
        let shared = Shared::default();
        open.insert(digest, Arc::downgrade(&shared));
        Some(shared)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Weak<OnceCell<Option<Bytes>>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_memory_once_and_not_too_many_are() {
        let contents = Contents::default();
        let digest = |number: usize| Digest::of(number.to_string().as_bytes());
        let mut open: Vec<Shared> = (0..CONTENTS).filter_map(|it| contents.share(digest(it))).collect();
        assert_eq!(open.len(), CONTENTS);
        let again = contents.share(digest(0));
        assert!(again.is_some_and(|it| Arc::ptr_eq(&it, &open[0])));
        assert!(contents.share(digest(CONTENTS)).is_none());
        open.pop();
        assert!(contents.share(digest(CONTENTS)).is_some(), "what nobody is sent any more makes room");
    }
}
