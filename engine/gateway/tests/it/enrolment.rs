//! A token against an identity that then works, and every way in which that fails.

use rcgen::{CertificateParams, KeyPair};
use rebar_ports::Identity;
use rebar_proto::v1::{EnrolRequest, EnrolResponse, RenewRequest, enrolment_client::EnrolmentClient};
use tonic::{Code, Status};

use crate::fixture::Fixture;

fn request() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    // A name in the request is not trusted.
    let params = CertificateParams::new(vec!["root.nodes.rebar".to_owned()]).unwrap();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, pem)
}

async fn enrol(fixture: &Fixture, token: &str, csr_pem: &str) -> Result<EnrolResponse, Status> {
    let mut client = EnrolmentClient::new(fixture.channel(None).await.unwrap());
    let request = EnrolRequest { token: token.into(), csr_pem: csr_pem.into() };
    client.enrol(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_token_buys_an_identity_that_can_be_renewed() {
    let fixture = Fixture::start().await;
    let (key, csr_pem) = request();
    let response = enrol(&fixture, "for-n7", &csr_pem).await.unwrap();
    assert_eq!(response.node, "n7");
    let identity = Identity { chain_pem: response.certificate_pem, key_pem: key.serialize_pem() };
    let mut agent = fixture.agent_with(&identity).await;
    let (key, csr_pem) = request();
    let early = agent.client.renew(RenewRequest { csr_pem: csr_pem.clone() }).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    assert_eq!(agent.hello(0).await.unwrap().node, "n7");
    let bad = agent.client.renew(RenewRequest { csr_pem: "x".into() }).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
    let renewed = agent.client.renew(RenewRequest { csr_pem }).await.unwrap().into_inner();
    let fresh = Identity { chain_pem: renewed.certificate_pem, key_pem: key.serialize_pem() };
    assert_eq!(fixture.agent_with(&fresh).await.hello(0).await.unwrap().node, "n7");
}

#[tokio::test]
async fn bad_tokens_and_requests_are_refused() {
    let fixture = Fixture::start().await;
    let (_, good) = request();
    for (token, code, word) in [
        ("who", Code::PermissionDenied, "not known"),
        ("used", Code::FailedPrecondition, "used already"),
        ("expired", Code::FailedPrecondition, "expired"),
    ] {
        let status = enrol(&fixture, token, &good).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(word), "{status:?}");
    }
    let asked = fixture.door.calls().len();
    let other_pem = KeyPair::generate().unwrap().serialize_pem();
    let long = "x".repeat(20_000);
    for (token, csr) in
        [("", good.as_str()), (&"t".repeat(300), &good), ("for-n1", "x"), ("for-n1", &other_pem), ("for-n1", &long)]
    {
        assert_eq!(enrol(&fixture, token, csr).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let huge = "x".repeat(100_000);
    assert_eq!(enrol(&fixture, "for-n1", &huge).await.unwrap_err().code(), Code::OutOfRange);
    // A mangled request does not use up the token.
    assert_eq!(fixture.door.calls().len(), asked);
}

#[tokio::test]
async fn a_token_has_a_bounded_length() {
    let fixture = Fixture::start().await;
    let (_, csr) = request();
    let of = |length: usize| "t".repeat(length);
    // As `src/limits.rs` has it.
    assert_eq!(enrol(&fixture, &of(256), &csr).await.unwrap_err().code(), Code::PermissionDenied, "it is looked up");
    assert_eq!(enrol(&fixture, &of(257), &csr).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_headers_of_a_call_are_bounded() {
    let fixture = Fixture::start().await;
    let (_, csr_pem) = request();
    let ask = async |length: usize| {
        let mut client = EnrolmentClient::new(fixture.channel(None).await.unwrap());
        let mut call = tonic::Request::new(EnrolRequest { token: "who".into(), csr_pem: csr_pem.clone() });
        call.metadata_mut().insert("x-long", "x".repeat(length).parse().unwrap());
        client.enrol(call).await.unwrap_err().code()
    };
    assert_eq!(ask(15 * 1024).await, Code::PermissionDenied, "it is heard");
    assert_ne!(ask(17 * 1024).await, Code::PermissionDenied);
}
