//! Asking other resolvers about names that are not ours, for clients that have no other resolver. Nothing is kept: the upstream
//! resolver caches. Only clients of known networks are served, because an open resolver is a weapon.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hickory_net::{
    NetError,
    runtime::TokioRuntimeProvider,
    udp::UdpClientStream,
    xfer::{DnsRequestSender, FirstAnswer},
};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Edns, Header, HeaderCounts, Message, Metadata, ResponseCode};
use hickory_server::{
    server::{Request, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// How many queries may wait for upstream resolvers at once; further ones are answered with SERVFAIL.
const MAX_WAITING: usize = 512;
/// How long one upstream resolver may take before the next is asked.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks other resolvers.
pub(crate) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    clients: Vec<IpNet>,
    waiting: Semaphore,
    /// The place of the one that answered last, which is asked first: one that is away would cost every query its timeout.
    good: AtomicUsize,
}

impl Forwarder {
    /// Asks `upstreams`, one after the other, for clients of some networks.
    pub(crate) fn new(upstreams: Vec<SocketAddr>, clients: Vec<IpNet>) -> Self {
        Self { upstreams, clients, waiting: Semaphore::new(MAX_WAITING), good: AtomicUsize::new(0) }
    }

    /// Whether a client is served.
    pub(crate) fn serves(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.clients.iter().any(|net| net.contains(&client))
    }

    /// Answers a query with what an upstream resolver says.
    pub(crate) async fn answer<R: ResponseHandler>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let answer = self.ask(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        metadata.response_code = answer.as_ref().map_or(ResponseCode::ServFail, |it| it.metadata.response_code);
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().max(512));
            edns
        });
        let (answers, authorities, additionals) =
            answer.map(|it| (it.answers, it.authorities, it.additionals)).unwrap_or_default();
        let message = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            answers.iter(),
            authorities.iter(),
            [],
            additionals.iter(),
        );
        response.send_response(message).await.unwrap_or_else(|error| {
            tracing::debug!(%error, client = %request.src(), "answer could not be sent");
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }

    async fn ask(&self, request: &Request) -> Option<Message> {
        let _place = self.waiting.try_acquire().ok()?;
        let query = request.request_info().ok()?.query.original().clone();
        let mut options = DnsRequestOptions::default();
        options.recursion_desired = request.metadata.recursion_desired;
        options.edns_set_dnssec_ok = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let first = self.good.load(Ordering::Relaxed);
        for place in (first..self.upstreams.len()).chain(0..first) {
            let upstream = &self.upstreams[place];
            let asked = DnsRequest::from_query(query.clone(), options);
            match ask_upstream(*upstream, asked).await {
                Ok(mut answer) => {
                    self.good.store(place, Ordering::Relaxed);
                    answer.signature = None;
                    return Some(answer);
                }
                Err(error) => tracing::debug!(%upstream, name = %query.name, %error, "upstream resolver failed"),
            }
        }
        None
    }
}

/// Asks over UDP, and over TCP if the answer does not fit.
async fn ask_upstream(upstream: SocketAddr, request: DnsRequest) -> Result<Message, NetError> {
    let mut udp =
        UdpClientStream::builder(upstream, TokioRuntimeProvider::new()).with_timeout(Some(UPSTREAM_TIMEOUT)).build();
    let answer = udp.send_message(request.clone()).first_answer().await?.into_message();
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    let bytes = request.to_vec()?;
    let answer = timeout(UPSTREAM_TIMEOUT, ask_tcp(upstream, &bytes))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let answer = Message::from_vec(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(answer)
}

async fn ask_tcp(upstream: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut stream = TcpStream::connect(upstream).await?;
    stream.write_u16(u16::try_from(query.len()).map_err(too_long)?).await?;
    stream.write_all(query).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use hickory_net::{BufDnsStreamHandle, xfer::Protocol};
    use hickory_proto::{
        op::Query,
        rr::{Name, RecordType},
    };
    use hickory_server::server::ResponseHandle;
    use tokio::net::UdpSocket;

    use super::*;

    /// The name for which there is no room.
    const REFUSED: &str = "more.example.";

    /// What a client hears that asks for a name.
    async fn heard(forwarder: &Forwarder, name: &str) -> ResponseCode {
        let client = ([127, 0, 0, 1], 5_353).into();
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        let request = Request::from_bytes(query.to_vec().unwrap(), client, Protocol::Udp).unwrap();
        let (handle, _answers) = BufDnsStreamHandle::new(client);
        forwarder.answer(&request, ResponseHandle::new(client, handle, Protocol::Udp)).await.response_code
    }

    /// The query of a resolver for a name, and from where. It may have been asked for the one before more than once.
    async fn asked(upstream: &UdpSocket, name: &str) -> (Message, SocketAddr) {
        loop {
            let mut bytes = [0; 512];
            let (length, from) = upstream.recv_from(&mut bytes).await.unwrap();
            let query = Message::from_vec(&bytes[..length]).unwrap();
            let asked = query.queries[0].name().to_ascii();
            assert_ne!(asked, REFUSED);
            if asked == name {
                return (query, from);
            }
        }
    }

    #[tokio::test]
    async fn so_many_queries_wait_for_others_at_one_time() {
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let forwarder = Forwarder::new(vec![upstream.local_addr().unwrap()], Vec::new());
        let others = u32::try_from(MAX_WAITING - 1).unwrap();
        let _others = forwarder.waiting.try_acquire_many(others).unwrap();
        // One after the other has the last place.
        for name in ["one.example.", "two.example."] {
            let meanwhile = async {
                let (query, from) = asked(&upstream, name).await;
                assert_eq!(heard(&forwarder, REFUSED).await, ResponseCode::ServFail);
                upstream.send_to(&query.into_response().to_vec().unwrap(), from).await.unwrap();
            };
            let (answered, ()) = tokio::join!(heard(&forwarder, name), meanwhile);
            assert_eq!(answered, ResponseCode::NoError);
        }
    }
}
