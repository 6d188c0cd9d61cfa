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
            let end = self.buffer.iter().position(|it| *it == b'\n');
            if end.unwrap_or(self.buffer.len()) > MAX_LINE {
                return Err(Failure::new(Trouble::Strange, "the engine sends a line without an end"));
            }
            if let Some(end) = end {
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
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::client::Trust;

    /// An answer that comes in these pieces.
    async fn answer(pieces: Vec<String>) -> Lines {
        let client = Client::open("https://127.0.0.1:1", &Trust::fingerprint(&"0".repeat(64)).unwrap(), None).await;
        let body = reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
        Lines::new(&client.unwrap(), http::Response::new(body).into())
    }

    #[tokio::test]
    async fn a_line_is_as_long_as_it_may_be() {
        let longest = "x".repeat(MAX_LINE);
        let mut lines = answer(vec![longest.clone(), "\nnext".to_owned()]).await;
        assert_eq!(lines.next().await.unwrap().as_deref(), Some(longest.as_str()));
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("next"));
        assert_eq!(lines.next().await.unwrap(), None);
        for end in ["x\n", "x"] {
            let failure = answer(vec![longest.clone(), end.to_owned()]).await.next().await.unwrap_err();
            assert_eq!(failure.code.as_deref(), Some(Trouble::Strange.code()));
        }
    }

    #[tokio::test]
    async fn many_lines_may_come_in_one_piece() {
        let line = "x".repeat(MAX_LINE / 8);
        let mut lines = answer(vec![format!("{line}\n").repeat(9)]).await;
        for _ in 0..9 {
            assert_eq!(lines.next().await.unwrap().as_deref(), Some(line.as_str()));
        }
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
