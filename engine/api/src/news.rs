//! Tells all requests that history went on: one look-out for the whole door, however many readers wait.

use rebar_model::{Seq, World};
use rebar_orchestrator::Handle;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How far history is known to have gone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct News(watch::Receiver<Seq>);

impl News {
    /// Begins to look out, until cancelled.
    pub fn start(handle: Handle, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (told, news) = watch::channel(handle.read(World::applied));
        tasks.spawn(async move {
            let mut seq = *told.borrow();
            loop {
                tokio::select! {
                    later = handle.past(seq) => seq = later,
                    () = stop.cancelled() => return,
                }
                told.send_replace(seq);
            }
        });
        Self(news)
    }

    /// Resolves when history went past a change, or when the door closes.
    pub async fn past(&self, seq: Seq) {
        let mut news = self.0.clone();
        // An error says that the look-out has ended with the door.
        _ = news.wait_for(|it| *it > seq).await;
    }
}
