//! `/services` and `/version`

use rebar_api::types::{ServiceView, VersionView};
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[tokio::test]
async fn services_say_what_they_have() {
    let fixture = Fixture::start().await;
    let dns: ServiceView = fixture.get("/services/dns").await;
    assert_eq!(dns.listing, json!({"zones": []}));
    for other in ["ipam", "lb", "pki"] {
        let view: ServiceView = fixture.get(&format!("/services/{other}")).await;
        assert_eq!(view.listing, Value::Null, "{other} does not run here");
    }
    assert_eq!(fixture.get::<VersionView>("/version").await.api, "v1");
}
