//! Where handshakes are carried out: on a thread of their own. They are the only long work at the door that is done for who is not in
//! yet, and hundreds of them at once would stand before every message of those who are, and before the engine itself.

use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Starts the thread; what is spawned on it ends when this is cancelled.
pub(crate) fn open(stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("rebar-handshakes".to_owned()).spawn(move || runtime.block_on(stop.cancelled()))?;
    Ok(handle)
}
