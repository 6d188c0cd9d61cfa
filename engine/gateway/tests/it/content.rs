//! Content comes in chunks, from any place on.

use rebar_gateway::Limits;
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

#[tokio::test]
async fn so_many_are_sent_at_one_time() {
    let fixture = Fixture::with(Limits { fetches: 1, ..Limits::default() }).await;
    // More than fits into what may be on its way: the transfer stands until somebody reads it.
    let bytes = vec![7; 32 * 1024 * 1024];
    let digest = Digest::of(&bytes);
    fixture.door.blobs.lock().unwrap().insert(digest, bytes);
    let mut agent = fixture.agent("n1").await;
    let request = FetchRequest { digest: digest.to_string(), offset: 0 };
    let mut first = agent.client.fetch(request).await.unwrap().into_inner();
    assert!(first.message().await.unwrap().is_some());
    let mut other = fixture.agent("n2").await;
    let refused = fetch(&mut other, &digest.to_string(), 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(first);
    let mut tries = 0;
    // The door sees that nobody reads any more a moment after that is so.
    while let Err(refused) = fetch(&mut other, &digest.to_string(), 0).await {
        assert_eq!(refused.code(), Code::ResourceExhausted);
        tries += 1;
        assert!(tries < 10_000, "a place that was left is never given again");
    }
}
