//! Packages that use others: what is at hand, what is taken over, what clashes, and what is remembered.

use std::sync::Arc;

use rebar_manifest::{Diagnostic, File, Package, Severity, Shelf, lint, read, read_all, render, uses};
use rebar_model::Workload;

use crate::every_key::{base, full, imported};

const WORKLOAD: &str = "workload.yaml";

/// A package with one text of a file replaced; the text has to be there.
fn with(mut package: Package, path: &str, from: &str, to: &str) -> Package {
    let text = String::from_utf8(package.get(path).unwrap().bytes.clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    package.insert(path, File::text(text.replacen(from, to, 1))).unwrap();
    package
}

/// A version of the used package.
fn version(text: &str) -> Package {
    with(base(), WORKLOAD, "version: 1.3.0", &format!("version: {text}"))
}

fn said(package: &Package, found: &[Diagnostic]) -> String {
    found.iter().map(|it| render(it, package)).collect::<Vec<_>>().join("\n")
}

/// The errors of a package are these: `CODE FILE:LINE WORDS`, with all of the words in the rendered text.
fn errors(package: &Package, there: &[Arc<Workload>], expected: &[(&str, &str, &str)]) {
    let mut found = lint(package, Shelf::Whole(there));
    found.retain(Diagnostic::is_error);
    let all = said(package, &found);
    assert_eq!(found.len(), expected.len(), "{all}");
    for (code, place, words) in expected {
        let hit = found.iter().find(|it| {
            it.code.to_string() == *code
                && format!("{}:{}", it.place.file, it.place.line) == *place
                && render(it, package).contains(words)
        });
        assert!(hit.is_some(), "no {code} at {place} with {words:?} in\n{all}");
    }
}

#[test]
fn roles_and_parameters_are_taken_over() {
    let there = imported();
    let import = read(&full(), &there).unwrap_or_else(|found| panic!("{}", said(&full(), &found)));
    let workload = import.workload;
    assert_eq!(workload.digest, full().digest(), "a package is its files, whatever it uses");
    let names: Vec<&str> = workload.roles.keys().map(rebar_model::RoleName::as_str).collect();
    assert!(names.contains(&"clock") && names.contains(&"disk"), "{names:?}");
    let disk = &workload.roles[&"disk".parse().unwrap()];
    assert_eq!(disk.content, there[0].roles[&"disk".parse().unwrap()].content);
    assert!(!import.archives.contains_key(&disk.content), "its archive is there since it was imported");
    let bind = disk.manifest.spec.bind.clone().unwrap();
    assert!(bind.groups.is_empty() && bind.implicit, "a group that is not there says nothing: {bind:?}");
    assert!(workload.spec.inputs.contains_key(&"time_server".parse().unwrap()));
    assert!(!workload.spec.groups.contains_key(&"machine".parse().unwrap()), "groups stay where they are");
    let taken: Vec<String> = workload.taken.iter().map(rebar_model::Taken::reference).collect();
    assert_eq!(taken, ["ground@1.3.0"]);
    assert_eq!(workload.taken[0].digest, base().digest());
}

#[test]
fn the_highest_version_that_fits_is_taken() {
    let versions = ["1.2.0", "1.10.0", "1.4.0", "2.0.0", "1.11.0-rc.1"].map(version);
    let there: Vec<Arc<Workload>> = versions.iter().map(|it| Arc::new(read(it, &[]).unwrap().workload)).collect();
    assert_eq!(read(&full(), &there).unwrap().workload.taken[0].reference(), "ground@1.10.0");
    assert_eq!(uses(&full())[0].workload.as_str(), "ground");
}

#[test]
fn what_is_not_there_is_said() {
    errors(&full(), &[], &[("RB1208", "workload.yaml:16", "rebar workload import DIR")]);
    let old = Arc::new(read(&version("1.0.0"), &[]).unwrap().workload);
    errors(&full(), &[old], &[("RB1208", "workload.yaml:16", "imported versions are ground@1.0.0")]);
    errors(
        &with(full(), WORKLOAD, "version: \"^1.2\"", "version: latest"),
        &imported(),
        &[("RB1108", "workload.yaml:16", "^1")],
    );
    let twice = with(full(), WORKLOAD, "  inputs:\n", "    - {workload: ground, version: \"*\"}\n  inputs:\n");
    errors(&twice, &imported(), &[("RB1209", "workload.yaml:17", "used twice")]);
}

#[test]
fn without_what_it_uses_a_package_is_looked_at_as_far_as_can_be() {
    let package = full();
    let found = lint(&package, Shelf::EMPTY);
    assert!(!found.iter().any(Diagnostic::is_error), "{}", said(&package, &found));
    for (code, words) in [
        ("RB1208", "ground"),
        ("RB1201", "there is no role `disk`"),
        ("RB1201", "there is no role `clock`"),
        ("RB1203", "time_server"),
        ("RB1206", "`time`"),
    ] {
        let hit = found.iter().find(|it| it.code.to_string() == code && it.message.contains(words));
        let hit = hit.unwrap_or_else(|| panic!("no {code} {words} in\n{}", said(&package, &found)));
        assert_eq!(hit.severity, Severity::Warning);
        assert!(hit.help.as_deref().is_some_and(|it| it.contains("--with DIR")), "{hit:?}");
    }
    // What the package has itself is still known for certain.
    let wrong = with(package, "roles/smoke/role.yaml", "output: fqdn", "output: fqd");
    assert!(lint(&wrong, Shelf::EMPTY).iter().any(|it| it.is_error() && it.code.to_string() == "RB1202"));
}

#[test]
fn a_name_comes_from_one_side() {
    let there = imported();
    let mut both = full();
    for (path, file) in base().below("roles/clock") {
        both.insert(&format!("roles/clock/{path}"), file.clone()).unwrap();
    }
    errors(&both, &there, &[("RB1209", "roles/clock/role.yaml:3", "and so has ground@1.3.0")]);

    let other = with(version("3.0.0"), WORKLOAD, "name: ground", "name: other");
    let there = read_all(&[base(), other]).unwrap();
    let two = with(full(), WORKLOAD, "  inputs:\n", "    - {workload: other, version: \"3\"}\n  inputs:\n");
    errors(
        &two,
        &there,
        &[
            ("RB1209", "workload.yaml:17", "`clock` comes from other@3.0.0 and from ground@1.3.0"),
            ("RB1209", "workload.yaml:17", "`disk` comes from other@3.0.0 and from ground@1.3.0"),
            ("RB1209", "workload.yaml:17", "define `time_server`"),
        ],
    );
}

#[test]
fn the_own_definition_of_a_parameter_holds() {
    let own = "    audit:";
    let package = with(
        full(),
        WORKLOAD,
        own,
        &format!("    time_server: {{schema: {{type: string}}, default: own.example.org}}\n{own}"),
    );
    let found = lint(&package, Shelf::Whole(&imported()));
    let hit = found.iter().find(|it| it.code.to_string() == "RB1210").unwrap();
    assert!(!hit.is_error() && hit.place.line == 27 && hit.notes.len() == 1, "{hit:?}");
    let workload = read(&package, &imported()).unwrap().workload;
    let parameter = &workload.spec.inputs[&"time_server".parse().unwrap()];
    assert_eq!(parameter.default, Some("own.example.org".into()));
    assert!(parameter.from.is_none());

    // Whether it fits the roles that read it is for the author to see; planning refuses values that do not.
    let wrong = with(package, WORKLOAD, "{type: string}, default: own.example.org", "{type: integer}, default: 1");
    let found = lint(&wrong, Shelf::Whole(&imported()));
    let hit = found.iter().find(|it| it.code.to_string() == "RB1210").unwrap();
    assert!(hit.label.as_deref().is_some_and(|it| it.contains("integer does not fit string")), "{hit:?}");
}

#[test]
fn references_reach_into_what_is_taken_over() {
    let there = imported();
    let storage = "roles/storage/role.yaml";
    errors(
        &with(full(), storage, "output: path", "output: pth"),
        &there,
        &[("RB1202", "roles/storage/role.yaml:27", "did you mean `path`?")],
    );
    errors(
        &with(full(), storage, "role: disk", "role: disc"),
        &there,
        &[("RB1201", "roles/storage/role.yaml:27", "did you mean `disk`?")],
    );
    errors(
        &with(full(), storage, "path: {schema: {type: string}", "path: {schema: {type: integer}"),
        &there,
        &[("RB1301", "roles/storage/role.yaml:27", "string")],
    );
    errors(
        &with(full(), WORKLOAD, "time_server: time.example.org}", "time_server: 7}"),
        &there,
        &[("RB1304", "workload.yaml:46", "topology small")],
    );
    errors(
        &with(full(), WORKLOAD, "roles: [clock, front]", "roles: [clok, front]"),
        &there,
        &[("RB1201", "workload.yaml:44", "did you mean `clock`?")],
    );
}

#[test]
fn a_circle_through_what_is_taken_over_is_found() {
    let waits = with(base(), "roles/disk/role.yaml", "  provides:", "  after: [storage]\n  provides:");
    // Alone it is harmless: there is no such role.
    let found = lint(&waits, Shelf::EMPTY);
    assert!(found.iter().all(|it| it.code.to_string() == "RB1502"), "{}", said(&waits, &found));
    errors(
        &full(),
        &read_all(&[waits]).unwrap(),
        &[("RB1501", "workload.yaml:16", "disk (of ground@1.3.0) runs after storage")],
    );
}

#[test]
fn groups_that_used_roles_read_have_to_be_there() {
    let clock = "roles/clock/role.yaml";
    for source in ["{group: machine, field: names}", "{expr: \"group['machine']\"}", "{expr: group.machine}"] {
        let reads = with(
            base(),
            clock,
            "  inputs:\n",
            &format!("  inputs:\n    all: {{schema: {{type: array, items: {{type: string}}}}, from: {source}}}\n"),
        );
        errors(&full(), &read_all(&[reads]).unwrap(), &[("RB1211", "workload.yaml:16", "reads the group `machine`")]);
    }
}

#[test]
fn packages_are_read_in_the_order_in_which_they_need_each_other() {
    let found = read_all(&[full(), base()]).unwrap();
    let names: Vec<String> = found.iter().map(|it| it.reference()).collect();
    assert_eq!(names, ["ground@1.3.0", "depot@0.4.0"]);
    let (at, found) = read_all(&[base(), full(), version("x")]).unwrap_err();
    assert_eq!(at, 2, "{}", said(&version("x"), &found));
    let (at, found) = read_all(&[full()]).unwrap_err();
    assert!(at == 0 && found.iter().any(|it| it.is_error() && it.code.to_string() == "RB1208"));
}

#[test]
fn what_a_used_workload_uses_comes_along() {
    let site = "apiVersion: rebar.dev/v1\nkind: Workload\nmetadata: {name: site, version: 0.1.0, summary: s, license: MIT}\nspec:\n  uses: [{workload: depot, version: '*'}]\n  groups:\n    front: {summary: f, roles: [clock]}\n    store: {summary: s}\n";
    let mut package = Package::default();
    package.insert(WORKLOAD, File::text(site)).unwrap();
    let there = read_all(&[full(), base()]).unwrap();
    let import = read(&package, &there).unwrap_or_else(|found| panic!("{}", said(&package, &found)));
    assert!(import.workload.roles.contains_key(&"disk".parse().unwrap()));
    assert_eq!(import.workload.taken.len(), 1);
    assert!(import.archives.is_empty());
}
