//! What `rebar workload init` makes is a package without mistakes, under every name.

use rebar_manifest::{Package, Shelf, lint, read, render, scaffold};
use rebar_model::WorkloadName;

#[test]
fn a_new_workload_is_clean() {
    for name in ["hello", "a", "role", "my-first-2"] {
        let files = scaffold(&WorkloadName::new(name).unwrap());
        for path in [".rebar/role.json", ".rebar/workload.json", ".gitignore", "README.md", "workload.yaml"] {
            assert!(files.contains_key(path), "{path}");
        }
        let package = Package::from_files(files).unwrap();
        let found: Vec<String> = lint(&package, Shelf::EMPTY).iter().map(|it| render(it, &package)).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
        let import = read(&package, &[]).unwrap();
        assert_eq!(import.workload.metadata.name.as_str(), name);
        assert_eq!(import.workload.roles.len(), 2);
    }
}

#[test]
fn its_documents_point_to_their_schemas() {
    let files = scaffold(&WorkloadName::new("hello").unwrap());
    for (path, schema) in
        [("workload.yaml", ".rebar/workload.json"), ("roles/server/role.yaml", "../../.rebar/role.json")]
    {
        let text = String::from_utf8(files[path].bytes.clone()).unwrap();
        assert_eq!(text.lines().next(), Some(format!("# yaml-language-server: $schema={schema}").as_str()), "{path}");
    }
}
