//! Default deny: every method of the protocol against every kind of client certificate.

use protox::prost_reflect::prost_types::FileDescriptorSet;
use rebar_gateway::OPEN_METHODS;
use rebar_ports::Identity;
use rebar_proto::v1::Heartbeat;
use tonic::{Code, IntoStreamingRequest, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::{
    ca::{Ca, Validity},
    fixture::Fixture,
};

/// Every method that the protocol declares, so that a new one cannot be forgotten here.
fn methods() -> Vec<String> {
    let set: FileDescriptorSet =
        protox::compile(["rebar/agent/v1/agent.proto"], [concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto")]).unwrap();
    let mut methods = Vec::new();
    for file in set.file.iter().filter(|it| it.package().starts_with("rebar.")) {
        for service in &file.service {
            for method in &service.method {
                methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    methods
}

/// Calls a method with one empty message, whatever its types are.
async fn call(fixture: &Fixture, identity: Option<&Identity>, method: &str) -> Status {
    let Ok(channel) = fixture.channel(identity).await else { return Status::unavailable("no connection") };
    let mut grpc = Grpc::new(channel);
    if grpc.ready().await.is_err() {
        return Status::unavailable("no connection");
    }
    let codec = ProstCodec::<Heartbeat, Heartbeat>::default();
    let request = tokio_stream::iter([Heartbeat {}]).into_streaming_request();
    let path: PathAndQuery = method.parse().unwrap();
    match grpc.streaming(request, path, codec).await {
        Err(status) => status,
        Ok(answer) => answer.into_inner().message().await.err().unwrap_or_else(|| Status::ok("answered")),
    }
}

#[tokio::test]
async fn nothing_but_enrolment_answers_without_a_nodes_certificate() {
    let fixture = Fixture::start().await;
    let methods = methods();
    assert_eq!(methods.len(), 4, "{methods:?}");
    assert!(OPEN_METHODS.iter().all(|it| methods.iter().any(|method| method == it)));
    let (good, nobody) = (fixture.ca.agent("n1", Validity::Long), fixture.ca.nobody());
    let server = fixture.ca.server("n1");
    let (expired, foreign) = (fixture.ca.agent("n1", Validity::Until(2025)), Ca::new().agent("n1", Validity::Long));
    for method in methods.iter().map(String::as_str).chain(["/rebar.agent.v1.Agent/Unknown", "/", "/x.Y/Z"]) {
        let open = OPEN_METHODS.contains(&method);
        for stranger in [None, Some(&nobody)] {
            let status = call(&fixture, stranger, method).await;
            assert_eq!(status.code() == Code::Unauthenticated, !open, "{method}: {status:?}");
        }
        // These do not get through the handshake.
        for (what, refused) in [("expired", &expired), ("foreign", &foreign), ("server", &server)] {
            let status = call(&fixture, Some(refused), method).await;
            let reached = matches!(status.code(), Code::Ok | Code::InvalidArgument | Code::Unimplemented);
            assert!(!reached, "{what} {method}: {status:?}");
        }
        let status = call(&fixture, Some(&good), method).await;
        let known = methods.iter().any(|it| it == method);
        let expected = match method.rsplit('/').next() {
            Some("Renew") => Code::FailedPrecondition,
            _ if known => Code::InvalidArgument,
            _ => Code::Unimplemented,
        };
        assert_eq!(status.code(), expected, "{method}: {status:?}");
    }
    assert_eq!(fixture.door.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let fixture = Fixture::start().await;
    let mut agent = fixture.agent_with(&fixture.ca.agent("n1", Validity::Until(2026))).await;
    agent.hello(0).await.unwrap();
    fixture.clock.set("2027-01-01T12:00:00Z");
    assert_ne!(agent.end().await.code(), Code::Ok);
    fixture.door.saw("n1 disconnected 1").await;
    fixture.welcomed("n2").await;
}

#[tokio::test]
async fn strangers_do_not_stay() {
    let limits = rebar_gateway::Limits {
        anonymous: std::time::Duration::from_millis(200),
        handshake: std::time::Duration::from_millis(200),
        anonymous_connections: 1,
        ..Default::default()
    };
    let fixture = Fixture::with(limits).await;
    // One that never begins its handshake is sent away.
    let mut mute = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
    let mut nothing = Vec::new();
    _ = tokio::io::AsyncReadExt::read_to_end(&mut mute, &mut nothing).await;
    assert!(nothing.is_empty());
    // One that stays silent gives up its place, and meanwhile keeps no node out.
    let stranger = fixture.channel(None).await.unwrap();
    fixture.welcomed("n1").await;
    let place_is_free = async {
        loop {
            let status = call(&fixture, None, OPEN_METHODS[0]).await;
            // A connection that is not let in shows as either, by the moment at which it is closed.
            if !matches!(status.code(), Code::Unavailable | Code::Unknown) {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(std::time::Duration::from_secs(20), place_is_free).await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    drop(stranger);
}

#[tokio::test]
async fn connections_of_nodes_are_limited() {
    let fixture = Fixture::with(rebar_gateway::Limits { connections: 1, ..Default::default() }).await;
    let agent = fixture.welcomed("n1").await;
    let other = fixture.ca.agent("n2", Validity::Long);
    let method = "/rebar.agent.v1.Agent/Renew";
    let status = call(&fixture, Some(&other), method).await;
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status:?}");
    drop(agent);
    fixture.door.saw("n1 disconnected 1").await;
    let place_is_free = async {
        while matches!(call(&fixture, Some(&other), method).await.code(), Code::Unavailable | Code::Unknown) {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), place_is_free).await.unwrap();
}
