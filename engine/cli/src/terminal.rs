//! What the terminal is like. Deciding what to do with that is `output.rs`.

use std::io;

use rustix::termios::tcgetwinsize;

/// Columns and rows of the terminal, if there is one.
pub fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stderr()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    (size.ws_col > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
