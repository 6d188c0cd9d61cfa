//! Content comes in chunks, from any place on.

use rebar_model::Digest;
use rebar_proto::{MAX_CHUNK, v1::FetchRequest};
use tonic::{Code, Status};

use crate::fixture::{Agent, Fixture};

async fn fetch(agent: &mut Agent, digest: &str, offset: u64) -> Result<Vec<Vec<u8>>, Status> {
    let request = FetchRequest { digest: digest.into(), offset };
    let mut stream = agent.client.fetch(request).await?.into_inner();
    let mut chunks = Vec::new();
    while let Some(response) = stream.message().await? {
        chunks.push(response.chunk);
    }
    Ok(chunks)
}

#[tokio::test]
async fn content_is_fetched_whole_and_in_part() {
    let fixture = Fixture::start().await;
    let bytes: Vec<u8> = (0..=250).cycle().take(MAX_CHUNK * 5 / 2).collect();
    let digest = Digest::of(&bytes);
    fixture.door.blobs.lock().unwrap().insert(digest, bytes.clone());
    let mut agent = fixture.agent("n1").await;
    let digest = digest.to_string();
    let chunks = fetch(&mut agent, &digest, 0).await.unwrap();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_CHUNK, MAX_CHUNK, MAX_CHUNK / 2]);
    assert_eq!(chunks.concat(), bytes);
    assert_eq!(fetch(&mut agent, &digest, 1000).await.unwrap().concat(), bytes[1000..]);
    let end = bytes.len() as u64;
    assert!(fetch(&mut agent, &digest, end).await.unwrap().is_empty());
    for (digest, offset, code) in [
        (digest.as_str(), end + 1, Code::OutOfRange),
        ("x", 0, Code::InvalidArgument),
        (&Digest::of(b"other").to_string(), 0, Code::NotFound),
    ] {
        assert_eq!(fetch(&mut agent, digest, offset).await.unwrap_err().code(), code);
    }
}
