//! The schemas for editors are generated and committed; they have to agree.

use std::{fs, path::PathBuf};

use rebar_manifest::schema;

fn compare(name: &str, value: &serde_json::Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/{name}.schema.json"));
    let text = schema::to_text(value);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{name}.schema.json differs: run UPDATE_SCHEMAS=1 cargo nextest run -p rebar-manifest");
}

#[test]
fn the_schema_of_workloads_is_current() {
    compare("workload", &schema::workload());
}

#[test]
fn the_schema_of_roles_is_current() {
    compare("role", &schema::role());
}
