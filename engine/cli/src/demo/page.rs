//! A look at the page of the demo as its users see it: the name from Rebar's DNS server, the page from the load balancer.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hickory_net::{
    client::{Client, ClientHandle},
    runtime::TokioRuntimeProvider,
    udp::UdpClientStream,
};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

/// What was found.
pub(super) struct Page {
    pub address: IpAddr,
    pub text: String,
}

/// Asks the DNS server for the name, and what is there for the page.
pub(super) async fn fetch(server: Ipv4Addr, name: &str, port: u16) -> Result<Page> {
    let address = resolve(SocketAddr::from((server, 53)), name).await?;
    // The client wants to know its cryptography even for plain HTTP; if somebody chose already, all the better.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .resolve(name, SocketAddr::new(address, port))
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let answer = client.get(format!("http://{name}:{port}/")).send().await.context("the page cannot be fetched")?;
    ensure!(answer.status().is_success(), "the page answers {}", answer.status());
    Ok(Page { address, text: answer.text().await? })
}

async fn resolve(server: SocketAddr, name: &str) -> Result<IpAddr> {
    let stream = UdpClientStream::builder(server, TokioRuntimeProvider::new()).build();
    let (mut client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let background = tokio::spawn(background);
    let answer = client.query(Name::from_ascii(format!("{name}."))?, DNSClass::IN, RecordType::A).await;
    background.abort();
    let answer = answer.with_context(|| format!("{server} does not answer"))?;
    let address = answer.answers.iter().find_map(|it| match &it.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    });
    address.with_context(|| format!("{server} has no address for {name}"))
}
