//! The door with the engine's real authority: what that writes into certificates is what the door looks for.

use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use rebar_gateway::{Gateway, GatewayConfig};
use rebar_ports::{Authority, Identity, memory::Memory};
use rebar_proto::v1::{EnrolRequest, FetchRequest, agent_client::AgentClient, enrolment_client::EnrolmentClient};
use rebar_services::{AuthorityConfig, EngineAuthority};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    door::FakeDoor,
    fixture::{FakeClock, channel},
};

#[tokio::test]
async fn an_identity_of_the_real_authority_opens_the_door() {
    #[expect(clippy::disallowed_methods, reason = "the client in this test verifies certificates at the real time")]
    let now = Timestamp::now();
    let authority = EngineAuthority::start(AuthorityConfig::default(), &Memory::default(), now).await.unwrap();
    let ca_pem = authority.ca_pem().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let config = GatewayConfig { sans: vec!["127.0.0.1".into()], ..GatewayConfig::default() };
    tokio::spawn(Gateway::serve(listener, FakeDoor::new(), Arc::new(authority), FakeClock::at(now), config, stop));

    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(vec![]).unwrap().serialize_request(&key).unwrap();
    let mut enrolment = EnrolmentClient::new(channel(address, &ca_pem, None).await.unwrap());
    let request = EnrolRequest { token: "for-n1".into(), csr_pem: request.pem().unwrap() };
    let response = enrolment.enrol(request).await.unwrap().into_inner();
    assert_eq!((response.node.as_str(), &response.ca_pem), ("n1", &ca_pem));
    let identity = Identity { chain_pem: response.certificate_pem, key_pem: key.serialize_pem() };
    let mut agent = AgentClient::new(channel(address, &ca_pem, Some(&identity)).await.unwrap());
    let answer = agent.fetch(FetchRequest { digest: "0".repeat(64), offset: 0 }).await.unwrap_err();
    assert_eq!(answer.code(), Code::NotFound, "{answer:?}");
}
