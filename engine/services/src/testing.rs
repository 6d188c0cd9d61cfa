//! What the tests of all services need: resources in one line, and a clock that stands still.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rebar_model::{Ident, Resource, ResourceId, ResourceKind, Span};
use rebar_ports::{Clock, Observed};

/// A resource of `test/<owner>`.
pub(crate) fn resource(owner: &str, kind: ResourceKind) -> Resource {
    Resource { owner: id(owner).0, kind, observed: BTreeMap::new() }
}

/// The id of the resource of `test/<owner>`.
pub(crate) fn id(owner: &str) -> ResourceId {
    ResourceId(format!("test/{owner}").parse().unwrap())
}

/// An output of a resource that is ready.
pub(crate) fn output(observed: &Observed, owner: &str, name: &str) -> String {
    let outputs = observed.ready.get(&id(owner)).unwrap_or_else(|| panic!("{owner} is not ready: {observed:?}"));
    match &outputs[&Ident::new(name).unwrap()] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A clock that stands still until it is set.
pub(crate) struct Still(Mutex<Timestamp>);

impl Still {
    /// A clock at a time of our days, because libraries under test look at the real one.
    pub(crate) fn at(second: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::from_second(second).unwrap())))
    }

    pub(crate) fn advance(&self, span: Span) {
        let mut now = self.0.lock().unwrap();
        *now = span.after(*now);
    }
}

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending::<()>().await;
    }
}
