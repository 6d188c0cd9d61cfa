//! What is generated is committed, and what has a number has a page.

use std::{collections::BTreeSet, fs, path::PathBuf};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_openapi_document_is_committed() {
    let mut text = serde_json::to_string_pretty(&rebar_api::openapi()).unwrap();
    text.push('\n');
    let path = docs().join("openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is not up to date: run UPDATE_OPENAPI=1 cargo nextest run -p rebar-api"
    );
}

#[test]
fn every_number_of_this_door_has_a_page() {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/error.rs")).unwrap();
    let codes: BTreeSet<_> = source.match_indices("\"RB40").map(|(at, _)| source[at + 1..at + 7].to_owned()).collect();
    let pages: BTreeSet<_> = fs::read_dir(docs().join("errors"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter_map(|it| it.strip_suffix(".md").filter(|it| it.starts_with("RB40")).map(str::to_owned))
        .collect();
    assert_eq!(codes, pages);
    for code in codes {
        let page = fs::read_to_string(docs().join(format!("errors/{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        let title = page.lines().next().unwrap().split_once(": ").unwrap().1;
        assert!(source.contains(&format!("\"{title}\"")), "{code} is titled otherwise: {title}");
    }
}
