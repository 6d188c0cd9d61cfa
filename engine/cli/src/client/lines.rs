//! Lines of an answer that does not end, as they come: NDJSON and server-sent events are made of them.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::Client;
use crate::failure::{Failure, Trouble};

/// The longest line, in bytes.
const MAX_LINE: usize = 16 << 20;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// Lines as they come.
pub struct Lines {
    client: Client,
    chunks: Chunks,
    buffer: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(client: &Client, response: reqwest::Response) -> Self {
        let chunks: Chunks = Box::pin(response.bytes_stream());
        Self { client: client.clone(), chunks, buffer: Vec::new(), ended: false }
    }

    /// The next line without its break; none at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(text(&line)));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then(|| text(&rest)));
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(self.client.trouble(&error)),
                None => self.ended = true,
            }
            if self.buffer.len() > MAX_LINE {
                return Err(Failure::new(Trouble::Strange, "the engine sends a line without an end"));
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}
