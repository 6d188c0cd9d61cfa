//! A package that uses every key of both schemas, and one that it uses. Both are without errors, and what only warns is listed here.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use rebar_manifest::{Diagnostic, Package, Shelf, lint, read_all, render};
use rebar_model::Workload;

use crate::{
    catalog::folder,
    keys::{Keys, forms},
};

/// The package with every key.
pub fn full() -> Package {
    folder(&path("full"))
}

/// The package that it uses.
pub fn base() -> Package {
    folder(&path("base"))
}

/// The package that it uses, as an engine has it.
pub fn imported() -> Vec<Arc<Workload>> {
    read_all(&[base()]).unwrap()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/packages").join(name)
}

/// What the linter says, drawn.
fn said(package: &Package, shelf: Shelf<'_>) -> String {
    lint(package, shelf).iter().map(|it| render(it, package)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_of_the_format_is_used() {
    let package = full();
    for form in forms() {
        let mut used = Keys::new();
        for (_, file) in package.files().filter(|(path, _)| path.rsplit('/').next() == Some(form.name())) {
            form.used(&serde_saphyr::from_str(std::str::from_utf8(&file.bytes).unwrap()).unwrap(), &mut used);
        }
        let mut left = form.keys();
        for (object, keys) in &mut left {
            keys.retain(|it| !used.get(object).is_some_and(|used| used.contains(it)));
        }
        // A workload has no node: its parameters and outputs cannot come from one.
        if form.name() == "workload.yaml" {
            left.entry("from".to_owned()).or_default().remove("node");
        }
        left.retain(|_, keys| !keys.is_empty());
        assert!(left.is_empty(), "{} has more keys: {left:?}", form.name());
    }
}

#[test]
fn it_is_without_errors() {
    let (package, there) = (full(), imported());
    let found = lint(&package, Shelf::Whole(&there));
    assert!(!found.iter().any(Diagnostic::is_error), "{}", said(&package, Shelf::Whole(&there)));
    let warned: BTreeSet<(String, String)> =
        found.iter().map(|it| (it.code.to_string(), it.place.file.clone())).collect();
    let expected = [
        ("RB1407", "roles/banner/role.yaml"),
        ("RB1407", "roles/front/role.yaml"),
        ("RB1407", "roles/index/role.yaml"),
        ("RB1407", "roles/limits/role.yaml"),
        ("RB1407", "roles/smoke/role.yaml"),
        ("RB1606", "workload.yaml"),
        ("RB1901", "workload.yaml"),
    ];
    let expected = expected.map(|(code, file)| (code.to_owned(), file.to_owned()));
    assert_eq!(warned, BTreeSet::from(expected), "{}", said(&package, Shelf::Whole(&there)));
    assert_eq!(said(&base(), Shelf::EMPTY), "");
}
