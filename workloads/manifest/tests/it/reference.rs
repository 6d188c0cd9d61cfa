//! The page about the authoring format has every key of the schemas and no other, with examples that the schemas allow, and the ports
//! of the builtin actions as they are.

use std::{collections::BTreeSet, fs, path::PathBuf};

use rebar_model::{BuiltinAction, BuiltinPort};
use serde_json::{Value, json};

use crate::keys::{Keys, forms};

/// A row of a table: its cells, without what is around them.
type Row<'a> = Vec<&'a str>;

fn page() -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/authoring-format.md")).unwrap()
}

/// The tables of keys, with the objects that they are about.
fn tables(page: &str) -> Vec<(&str, Vec<Row<'_>>)> {
    let marked = page.split("<!-- keys: ").skip(1);
    marked.map(|it| it.split_once(" -->").unwrap()).map(|(object, rest)| (object, rows(rest))).collect()
}

/// The rows of the first table of a text, without its head.
fn rows(text: &str) -> Vec<Row<'_>> {
    let lines = text.lines().skip_while(|it| !it.starts_with('|')).take_while(|it| it.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between back-ticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let page = page();
    let mut written = Keys::new();
    for (object, rows) in tables(&page) {
        let keys = rows.iter().map(|row| code(row[0])[0].to_owned());
        let before = written.insert(object.to_owned(), keys.collect());
        assert!(before.is_none(), "{object} has two tables");
    }
    let mut wanted = Keys::new();
    for form in forms() {
        for (object, keys) in form.keys() {
            wanted.entry(object).or_default().extend(keys);
        }
    }
    assert_eq!(written, wanted);
}

#[test]
fn every_example_is_allowed() {
    let page = page();
    let forms = forms();
    for (object, rows) in tables(&page) {
        for row in rows {
            assert_eq!(row.len(), 4, "{object}: {row:?}");
            assert!(row.iter().all(|it| !it.is_empty()), "{object}: {row:?}");
            let (key, example) = (code(row[0])[0], code(row[3])[0]);
            let value: Value = serde_saphyr::from_str(example).unwrap_or_else(|error| panic!("{example}: {error}"));
            let value = value.get(key).unwrap_or_else(|| panic!("{object}: {example} has no {key}"));
            let schemas: Vec<Value> = forms.iter().flat_map(|it| it.schemas(object, key)).collect();
            let allows = |schema: &Value| jsonschema::draft202012::is_valid(schema, value);
            assert!(schemas.iter().any(allows), "{object}: {example}");
            // Of `from` one source is required, whichever.
            let required = object != "from" && forms.iter().any(|it| it.requires(object, key));
            assert_eq!(row[2] == "required", required, "{object}.{key}");
        }
    }
}

#[test]
fn every_choice_is_named() {
    let page = page();
    let named: BTreeSet<&str> = page.lines().flat_map(code).collect();
    for form in forms() {
        let missing: Vec<String> = form.choices().into_iter().filter(|it| !is_named(&named, it)).collect();
        assert!(missing.is_empty(), "{} allows {missing:?}", form.name());
    }
}

/// Whether a value stands alone, or as the whole value of an example.
fn is_named(named: &BTreeSet<&str>, value: &str) -> bool {
    named.iter().any(|it| *it == value || it.split_once(": ").is_some_and(|(_, it)| it == value))
}

#[test]
fn the_ports_of_builtin_actions_are_these() {
    let page = page();
    let rows = rows(page.split("### Builtin actions").nth(1).unwrap());
    let choices: BTreeSet<String> = forms()[1].choices().into_iter().filter(|it| it.contains('.')).collect();
    let named: BTreeSet<String> = rows.iter().map(|row| code(row[0])[0].to_owned()).collect();
    assert_eq!(named, choices);
    for row in rows {
        let action: BuiltinAction = serde_json::from_value(json!(code(row[0])[0])).unwrap();
        let Some(ports) = action.ports() else {
            assert!(row[1].ends_with("not in this version"), "{row:?}");
            continue;
        };
        let names = |ports: &[BuiltinPort]| ports.iter().map(|it| it.name.to_owned()).collect::<BTreeSet<_>>();
        let written = |cell: &str| code(cell).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(written(row[2]), names(ports.inputs), "{row:?}");
        assert_eq!(written(row[3]), names(ports.outputs), "{row:?}");
        for port in ports.inputs {
            assert_eq!(row[2].contains(&format!("[`{}`]", port.name)), !port.required, "{row:?}");
        }
    }
}
