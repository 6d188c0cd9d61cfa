//! `/events`: nothing is lost and nothing comes twice, however often a reader comes back.

use rebar_api::types::{EventView, EventsQuery, Page};
use rebar_model::World;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fixture::{Fixture, PATIENCE, sent};

/// A stream of events.
struct Stream {
    response: Response,
    buffer: String,
}

impl Stream {
    async fn open(fixture: &Fixture, query: &EventsQuery, last: Option<u64>) -> Self {
        let mut request = fixture.request(Method::GET, "/events").query(query).header("Accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = sent(request).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    async fn next(&mut self) -> EventView {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|it| it.strip_prefix(name)).map(str::trim);
                let parsed = field("data:").map(|data| {
                    let view: EventView = serde_json::from_str(data).unwrap();
                    assert_eq!(field("id:"), Some(view.seq.to_string().as_str()));
                    assert_eq!(field("event:"), Some(view.kind.as_str()));
                    view
                });
                self.buffer.drain(..self.buffer.len() - rest.len());
                match parsed {
                    Some(view) => return view,
                    None => continue,
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time").unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap());
        }
    }
}

async fn set(fixture: &Fixture, path: &str, value: Value) {
    let _: Value = fixture.send(Method::PUT, &format!("/parameters/{path}"), json!({"value": value}), 200).await;
}

#[tokio::test]
async fn a_list_is_walked_without_gaps() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let page: Page<EventView> = fixture.get(&format!("/events?since={since}&limit=5")).await;
        seen.extend(page.items.iter().map(|it| it.seq.0));
        let Some(next) = page.next_page_token else { break };
        since = next.parse().unwrap();
    }
    let head = fixture.handle.read(World::applied).0;
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
    let last: Page<EventView> = fixture.get("/events?since=-3").await;
    assert_eq!(last.items.iter().map(|it| it.seq.0).collect::<Vec<_>>(), [head - 2, head - 1, head]);
    let none: Page<EventView> = fixture.get("/events?since=now").await;
    assert!(none.items.is_empty());
    fixture.refused(fixture.request(Method::GET, "/events?since=yesterday"), 400, "RB4002").await;
}

#[tokio::test]
async fn events_say_what_happened() {
    let fixture = Fixture::start().await;
    let _agent = fixture.active_demo().await;
    let page: Page<EventView> = fixture.get("/events?limit=1000").await;
    let of =
        |kind: &str| page.items.iter().filter(|it| it.kind == kind).map(|it| it.summary.as_str()).collect::<Vec<_>>();
    assert_eq!(of("workload-imported"), ["workload web@1.0.0 was imported"]);
    assert_eq!(of("revision-accepted"), ["deployment demo is at revision 1: 2 node-roles change"]);
    assert!(of("node-role-moved").contains(&"demo/server@n1 is active"), "{:?}", of("node-role-moved"));
    assert!(of("attempt-put").contains(&"demo/server@n1#1 succeeded: apply, well"), "{:?}", of("attempt-put"));
    assert_eq!(of("parameter-set"), ["parameter password is (secret) at deployment/demo"]);
    let accepted = page.items.iter().find(|it| it.kind == "revision-accepted").unwrap();
    assert_eq!((accepted.by.0.as_str(), accepted.change["change"].as_str()), ("ana", Some("revision-accepted")));
}

#[tokio::test]
async fn a_stream_resumes_where_it_was() {
    let fixture = Fixture::start().await;
    let start = fixture.handle.read(World::applied).0;
    let query = EventsQuery { since: Some("now".to_owned()), ..EventsQuery::default() };
    let mut stream = Stream::open(&fixture, &query, None).await;
    set(&fixture, "global/a", json!(1)).await;
    assert_eq!(stream.next().await.seq.0, start + 1);
    // More than one read of the store, while nobody listens and while somebody does.
    drop(stream);
    for value in 0..300 {
        set(&fixture, "global/a", json!(value)).await;
    }
    // What the header says counts, not what the address says.
    let mut stream = Stream::open(&fixture, &query, Some(start + 1)).await;
    for expected in start + 2..=start + 301 {
        assert_eq!(stream.next().await.seq.0, expected);
    }
    let (event, ()) = tokio::join!(stream.next(), set(&fixture, "global/a", json!("last")));
    assert_eq!((event.seq.0, event.summary.as_str()), (start + 302, "parameter a is last at global"));
}

#[tokio::test]
async fn a_stream_of_one_deployment_skips_the_others() {
    let fixture = Fixture::start().await;
    let _agent = fixture.demo().await;
    let query = EventsQuery {
        since: Some("now".to_owned()),
        deployment: Some("demo".parse().unwrap()),
        ..EventsQuery::default()
    };
    let mut stream = Stream::open(&fixture, &query, None).await;
    for round in 0..3 {
        set(&fixture, "global/a", json!(round)).await;
        set(&fixture, "deployment/demo/greeting", json!(round.to_string())).await;
        let event = stream.next().await;
        assert_eq!(event.summary, format!("parameter greeting is {round} at deployment/demo"));
        assert_eq!(event.deployment.as_ref().map(ToString::to_string).as_deref(), Some("demo"));
    }
    let page: Page<EventView> = fixture.get("/events?deployment=demo&limit=1000").await;
    assert!(page.items.iter().all(|it| it.deployment == query.deployment));
}
