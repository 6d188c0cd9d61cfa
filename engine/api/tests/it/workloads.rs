//! `/workloads`

use rebar_api::types::{Page, WorkloadSummary, WorkloadView};
use rebar_manifest::{File, Package};
use reqwest::{Method, StatusCode};

use crate::fixture::{Fixture, package, sent};

#[tokio::test]
async fn versions_live_side_by_side() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.import(&package("1.0.0")).await.status(), StatusCode::CREATED);
    let again = fixture.import(&package("1.0.0")).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.headers()["location"], "/api/v1/workloads/web@1.0.0");
    let by_name: WorkloadView = fixture.get("/workloads/web").await;
    assert_eq!(fixture.import(&package("1.1.0")).await.status(), StatusCode::CREATED);
    let page: Page<WorkloadSummary> = fixture.get("/workloads?limit=1").await;
    assert_eq!(page.items.len(), 1);
    let rest: Page<WorkloadSummary> =
        fixture.get(&format!("/workloads?page_token={}", page.next_page_token.unwrap())).await;
    assert_eq!((rest.items.len(), rest.next_page_token), (1, None));
    let by_digest: WorkloadView = fixture.get(&format!("/workloads/{}", by_name.summary.digest)).await;
    let by_reference: WorkloadView = fixture.get("/workloads/web@1.0.0").await;
    assert_eq!((&by_digest, &by_reference), (&by_name, &by_name));
    assert_eq!(by_name.workload.roles.len(), 2);
    let ambiguous = fixture.refused(fixture.request(Method::GET, "/workloads/web"), 422, "RB4019").await;
    assert!(ambiguous.detail.contains("web@1.0.0, web@1.1.0") || ambiguous.detail.contains("web@1.1.0, web@1.0.0"));
    fixture.refused(fixture.request(Method::GET, "/workloads/web@2.0.0"), 404, "RB2001").await;
    fixture.delete("/workloads/web@1.1.0").await;
    fixture.refused(fixture.request(Method::DELETE, "/workloads/web@1.1.0"), 404, "RB2001").await;
}

#[tokio::test]
async fn one_version_has_one_content() {
    let fixture = Fixture::start().await;
    fixture.import(&package("1.0.0")).await;
    let mut other = package("1.0.0");
    other.insert("README.md", File::text("# other\n")).unwrap();
    fixture.refused(fixture.request(Method::POST, "/workloads").body(other.to_tar()), 409, "RB2002").await;
}

#[tokio::test]
async fn every_mistake_comes_with_its_place() {
    let fixture = Fixture::start().await;
    let mut wrong = package("1.0.0");
    let text = String::from_utf8(wrong.get("roles/server/role.yaml").unwrap().bytes.clone()).unwrap();
    wrong.insert("roles/server/role.yaml", File::text(text.replace("  scope: node", "  scoop: node"))).unwrap();
    wrong.remove("roles/client/apply.sh");
    let request = fixture.request(Method::POST, "/workloads").body(wrong.to_tar());
    let problem = fixture.refused(request, 422, "RB4010").await;
    let unknown = problem.errors.iter().find(|it| it.code == "RB1101").expect("the unknown key");
    assert_eq!(
        (unknown.file.as_deref(), unknown.line, unknown.column),
        (Some("roles/server/role.yaml"), Some(5), Some(3))
    );
    assert!(unknown.label.as_deref().is_some_and(|it| it.contains("scope")), "{unknown:?}");
    assert!(problem.errors.iter().any(|it| it.code == "RB1602"), "{problem:?}");
    assert!(fixture.get::<Page<WorkloadSummary>>("/workloads").await.items.is_empty());
}

#[tokio::test]
async fn what_is_no_package_is_refused() {
    let fixture = Fixture::start().await;
    let refuse = async |body: Vec<u8>, code: &str| {
        fixture.refused(fixture.request(Method::POST, "/workloads").body(body), 422, code).await
    };
    refuse(vec![7; 4096], "RB4011").await;
    refuse(Package::default().to_tar(), "RB4010").await;
    // Larger than other bodies may be, and still read.
    let mut large = package("1.0.0");
    large.insert("roles/server/data", File { bytes: vec![0; 3 << 20], executable: false }).unwrap();
    assert_eq!(fixture.import(&large).await.status(), StatusCode::CREATED);
    let used = sent(fixture.request(Method::GET, "/workloads/web@1.0.0")).await;
    assert_eq!(used.status(), StatusCode::OK);
}
