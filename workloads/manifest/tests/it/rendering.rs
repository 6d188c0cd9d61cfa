//! How diagnostics look, and what `-o json` gives.

use rebar_manifest::{File, Package, Shelf, lint, render};

use crate::good;

fn all(package: &Package) -> String {
    lint(package, Shelf::EMPTY).iter().map(|it| render(it, package)).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(all(&good::mutated("roles/member/role.yaml", "  requires:\n", "  requred:\n")));
}

#[test]
fn a_cycle_names_each_edge() {
    let package = good::mutated(
        "roles/key/role.yaml",
        "  runner: {type: script}",
        "  runner: {type: script}\n  requires: [{role: member}]",
    );
    insta::assert_snapshot!(all(&package));
}

#[test]
fn a_type_mismatch_shows_both_ends() {
    insta::assert_snapshot!(all(&good::mutated("roles/names/role.yaml", "take: all", "take: any")));
}

#[test]
fn malformed_yaml() {
    insta::assert_snapshot!(all(&good::mutated("workload.yaml", "  groups:\n", "  groups: {\n")));
}

#[test]
fn a_key_written_twice() {
    insta::assert_snapshot!(all(&good::mutated(
        "roles/user/role.yaml",
        "  scope: node\n",
        "  scope: node\n  scope: node\n"
    )));
}

#[test]
fn a_long_line_is_cut() {
    let long = format!("summary: Use the store {}", "and more ".repeat(10));
    let package = good::mutated("roles/user/role.yaml", "summary: Use the store", &format!("{long}, sumary: x"));
    insta::assert_snapshot!(all(&package));
}

#[test]
fn a_line_is_shown_whole_up_to_a_width() {
    // As `src/render.rs` has it.
    const WIDEST: usize = 120;
    let shown = |width: usize| {
        let line = format!("oops: {}", "x".repeat(width - "oops: ".len()));
        let mut package = good::package();
        let text = String::from_utf8(package.get("workload.yaml").unwrap().bytes.clone()).unwrap();
        package.insert("workload.yaml", File::text(format!("{text}{line}\n"))).unwrap();
        let all = all(&package);
        let shown = all.lines().find_map(|it| it.split_once(" │ oops"));
        (line, format!("oops{}", shown.expect("the line of the mistake").1))
    };
    let (line, seen) = shown(WIDEST);
    assert_eq!(seen, line);
    let (line, seen) = shown(WIDEST + 1);
    assert_eq!(seen, format!("{}…", &line[..WIDEST]));
}

#[test]
fn json_has_the_same() {
    let package = good::mutated("roles/user/role.yaml", "run: use.sh", "run: uses.sh");
    insta::assert_snapshot!(serde_json::to_string_pretty(&lint(&package, Shelf::EMPTY)).unwrap());
}
