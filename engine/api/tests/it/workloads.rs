//! `/workloads`

use rebar_api::types::{Page, WorkloadSummary, WorkloadView};
use rebar_manifest::{File, Package};
use rebar_model::Digest;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

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

/// A package that uses the one of the fixture.
fn user(requirement: &str) -> Package {
    let text = format!(
        "apiVersion: rebar.dev/v1\nkind: Workload\nmetadata: {{name: shop, version: 1.0.0, summary: A shop, license: MIT}}\n\
         spec:\n  uses: [{{workload: web, version: '{requirement}'}}]\n  groups:\n    web: {{summary: Serve, roles: [server, client]}}\n"
    );
    Package::from_files([("workload.yaml".to_owned(), File::text(text))]).unwrap()
}

#[tokio::test]
async fn what_a_package_uses_is_taken_over_and_remembered() {
    let fixture = Fixture::start().await;
    let request = fixture.request(Method::POST, "/workloads").body(user("^1").to_tar());
    let problem = fixture.refused(request, 422, "RB4010").await;
    let missing = &problem.errors[0];
    assert_eq!((missing.code.as_str(), missing.line), ("RB1208", Some(5)), "{missing:?}");
    assert!(missing.help.as_deref().is_some_and(|it| it.contains("rebar workload import DIR")), "{missing:?}");

    fixture.import(&package("1.0.0")).await;
    fixture.import(&package("1.2.0")).await;
    assert_eq!(fixture.import(&user("^1")).await.status(), StatusCode::CREATED);
    let shop: WorkloadView = fixture.get("/workloads/shop@1.0.0").await;
    let web: WorkloadView = fixture.get("/workloads/web@1.2.0").await;
    assert_eq!(shop.workload.roles, web.workload.roles);
    assert_eq!(shop.workload.spec.inputs, web.workload.spec.inputs);
    let used: Vec<(&str, Digest)> = shop.summary.uses.iter().map(|it| (it.reference.as_str(), it.digest)).collect();
    assert_eq!(used, [("web@1.2.0", web.summary.digest)]);

    // A newer version changes nothing of what is there, and neither does the package once more.
    fixture.import(&package("1.9.0")).await;
    assert_eq!(fixture.import(&user("^1")).await.status(), StatusCode::OK);
    assert_eq!(fixture.get::<WorkloadView>("/workloads/shop@1.0.0").await, shop);
    // Nor is what was taken needed any longer.
    fixture.delete("/workloads/web@1.2.0").await;
    assert_eq!(fixture.import(&user("^1")).await.status(), StatusCode::OK);
    assert_eq!(fixture.get::<WorkloadView>("/workloads/shop@1.0.0").await, shop);
    // Another content under the same version stays refused.
    fixture.refused(fixture.request(Method::POST, "/workloads").body(user("^1.1").to_tar()), 409, "RB2002").await;
}

#[tokio::test]
async fn used_roles_run_as_if_they_were_the_packages_own() {
    let fixture = Fixture::start().await;
    let agent = fixture.agent("n1").await;
    fixture.import(&package("1.0.0")).await;
    fixture.import(&user("*")).await;
    let body = json!({"name": "demo", "workload": "shop@1.0.0", "groups": {"web": ["n1"]},
        "parameters": {"password": "hunter2"}});
    let _: Value = fixture.post("/deployments", body, 201).await;
    fixture.activate(agent).await;
}
