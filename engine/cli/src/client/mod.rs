//! The way to the engine: HTTPS under the pinned CA, a token, problems as failures. One noun a file says which routes there are;
//! nothing here knows about screens.

mod agent;
mod attempt;
mod breaker;
mod deployment;
mod event;
mod inside;
mod lines;
mod node;
mod parameter;
mod service;
mod tls;
mod token;
mod version;
mod workload;

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rebar_api::types::{Page, Problem};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

pub use event::EventStream;
use inside::Inside;
pub use lines::Lines;
pub use tls::{Trust, ca_fingerprint};

use crate::{
    config::Target,
    failure::{Failure, Trouble},
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// How long an answer may take when the engine makes machines or takes in packages first.
const LONG_ANSWER: Duration = Duration::from_secs(60 * 60);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The most items of one page.
const PAGE: u32 = 1_000;
/// The most pages of one list; more is an engine that goes round in circles.
const MAX_PAGES: usize = 10_000;
/// The name in the engine's certificate, whatever host is dialled.
const SERVER_NAME: &str = "engine.rebar";

/// The way to the engine.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The engine of a rehearsal, which no wire leads to.
    inside: Option<Arc<Inside>>,
    base: Url,
    /// Where the user said that the engine is.
    shown: String,
    /// Prints every request.
    tells: bool,
}

impl Client {
    /// A client for an engine; nothing is sent yet.
    pub async fn connect(target: &Target, verbosity: u8) -> Result<Self, Failure> {
        let trust = Trust::Pem(target.ca.clone());
        let mut client = Self::open(&target.url, &trust, Some(&target.token)).await?;
        client.tells = verbosity > 1;
        Ok(client)
    }

    /// A client with a trust of its own, and a token or none.
    pub async fn open(url: &str, trust: &Trust, token: Option<&str>) -> Result<Self, Failure> {
        let base = parse(url.trim_end_matches('/'))?;
        let shown = shown(&base);
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = base.port_or_known_default().unwrap_or(443);
        let unknown = |error: io::Error| {
            Failure::new(Trouble::Unreachable, format!("{shown}: the name `{host}` is not known: {error}"))
                .fix("look at the address in `rebar context list`, or at REBAR_URL")
        };
        let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), port)).await.map_err(unknown)?.collect();
        Self::build(url, trust, token, &addresses)
    }

    /// A client that dials these addresses.
    fn build(url: &str, trust: &Trust, token: Option<&str>, addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let base = parse(url.trim_end_matches('/'))?;
        let (shown, port) = (shown(&base), base.port_or_known_default().unwrap_or(443));
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust.config()?)
            .https_only(true)
            .no_proxy()
            .resolve_to_addrs(SERVER_NAME, addresses)
            .connect_timeout(CONNECT)
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rebar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Trouble::Strange, format!("no HTTPS: {error}")))?;
        let mut dialled = base;
        // The name in the certificate is the engine's, not that of the machine that it happens to run on.
        let named = dialled.set_host(Some(SERVER_NAME)).is_ok() && dialled.set_port(Some(port)).is_ok();
        debug_assert!(named, "an https URL takes a host and a port");
        Ok(Self { http, inside: None, base: dialled, shown, tells: false })
    }

    /// Where the user said that the engine is.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// A request below `/api/v1`; each part is escaped.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.clear().extend(["api", "v1"]).extend(path);
        }
        if self.tells {
            anstream::eprintln!("{method} {}{}", self.shown, url.path());
        }
        self.http.request(method, url)
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.take(self.request(Method::GET, path).timeout(ANSWER)).await
    }

    async fn get_with<T: DeserializeOwned, Q: Serialize>(&self, path: &[&str], query: &Q) -> Result<T, Failure> {
        self.take(self.request(Method::GET, path).query(query).timeout(ANSWER)).await
    }

    async fn post<T: DeserializeOwned, B: Serialize>(&self, path: &[&str], body: &B) -> Result<T, Failure> {
        self.take(self.request(Method::POST, path).json(body).timeout(ANSWER)).await
    }

    /// Every item of a list, page by page.
    async fn all<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<Vec<T>, Failure> {
        let page = |token: Option<String>| {
            let mut query: Vec<(&str, String)> = query.to_vec();
            query.push(("limit", PAGE.to_string()));
            query.extend(token.map(|it| ("page_token", it)));
            async move { self.get_with(path, &query).await }
        };
        let endless = || Failure::new(Trouble::Strange, format!("the list of {} does not end", path.join("/")));
        gathered(page).await?.ok_or_else(endless)
    }

    /// Sends a request and reads its answer.
    async fn take<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.trouble(&error))?;
        // An answer without a body is what a command that returns nothing expects.
        let body: &[u8] = if body.is_empty() || status == StatusCode::NO_CONTENT { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| {
            Failure::new(Trouble::Strange, format!("{} answers something else than expected: {error}", self.shown))
                .fix("compare the versions with `rebar version`")
        })
    }

    /// Sends a request; a refusal is a failure.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let start = Instant::now();
        let response = match &self.inside {
            Some(inside) => inside.send(request.build().map_err(|error| self.trouble(&error))?).await?,
            None => request.send().await.map_err(|error| self.trouble(&error))?,
        };
        let status = response.status();
        if self.tells {
            anstream::eprintln!("  {status} after {} ms", start.elapsed().as_millis());
        }
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.into(),
            Err(_) => Problem {
                status: status.as_u16(),
                detail: format!("{} answers {status}", self.shown),
                ..Problem::default()
            }
            .into(),
        })
    }

    /// What a transport error means.
    fn trouble(&self, error: &reqwest::Error) -> Failure {
        let root = root_of(error);
        if let Some(tls) = tls::trouble(&root) {
            return Failure::new(Trouble::Untrusted, format!("{}: {tls}", self.shown))
                .fix("log in again with the CA of that engine: rebar login URL --token-file FILE --ca-file FILE");
        }
        let what =
            if error.is_timeout() { "did not answer in time".to_owned() } else { format!("cannot be reached: {root}") };
        Failure::new(Trouble::Unreachable, format!("{} {what}", self.shown))
            .fix("is the engine running there (`rebar serve`)? `rebar context list` shows where you are logged in")
    }
}

/// The items of all pages, each asked for with the token of the one before; none where they do not end.
async fn gathered<T, F: Future<Output = Result<Page<T>, Failure>>>(
    mut page: impl FnMut(Option<String>) -> F,
) -> Result<Option<Vec<T>>, Failure> {
    let (mut items, mut token) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = page(token).await?;
        items.extend(page.items);
        token = page.next_page_token;
        if token.is_none() {
            return Ok(Some(items));
        }
    }
    Ok(None)
}

/// The innermost cause of an error, in words.
fn root_of(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// How a token is shown to an engine.
fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| Failure::new(Trouble::NoContext, "the token holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An address as people are shown it.
fn shown(base: &Url) -> String {
    base.as_str().trim_end_matches('/').to_owned()
}

/// An address as people give it.
fn parse(url: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        Failure::new(Trouble::Argument, format!("`{url}` is not the address of an engine: {why}"))
            .fix("write https://HOST:8092")
    };
    let full = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let parsed = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
    match parsed.scheme() {
        "https" if parsed.host().is_some() => Ok(parsed),
        "https" => Err(wrong("it names no host")),
        other => Err(wrong(&format!("engines speak https, not {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::Seq;

    use super::*;

    #[test]
    fn addresses_of_engines_are_https() {
        assert_eq!(parse("localhost:8092").unwrap().as_str(), "https://localhost:8092/");
        for bad in ["http://x", "ftp://x", "https://", "a b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_list_has_so_many_pages() {
        let of = async |pages: usize| {
            let mut asked = Vec::new();
            let list = gathered(|token| {
                asked.push(token);
                let next_page_token = (asked.len() < pages).then(|| asked.len().to_string());
                std::future::ready(Ok(Page { items: vec![asked.len()], next_page_token, revision: Seq(0) }))
            });
            let list = list.await.unwrap();
            (list, asked)
        };
        let (list, asked) = of(MAX_PAGES).await;
        assert_eq!(list, Some((1..=MAX_PAGES).collect()));
        assert_eq!((&asked[0], asked[1].as_deref()), (&None, Some("1")));
        let (list, asked) = of(MAX_PAGES + 1).await;
        assert_eq!((list, asked.len()), (None, MAX_PAGES));
    }

    #[tokio::test]
    async fn nobody_at_home_is_said_so() {
        let trust = Trust::fingerprint(&"0".repeat(64)).unwrap();
        let client = Client::open("https://127.0.0.1:1", &trust, None).await.unwrap();
        let failure = client.get::<serde_json::Value>(&["version"]).await.unwrap_err();
        assert_eq!(failure.exit, crate::Exit::Unreachable);
        assert!(failure.message.starts_with("https://127.0.0.1:1 cannot be reached"), "{failure}");
    }
}
