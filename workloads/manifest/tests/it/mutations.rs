//! One mistake at a time in a good package: each is found with its code, at its place, with the right advice.

use rebar_manifest::{Diagnostic, File, Package, Shelf, lint, render};

use crate::good;

/// A change of one text, and what has to be found: `CODE LINE WORDS`, all words in the rendered text.
fn check(path: &str, from: &str, to: &str, expected: &[(&str, usize, &str)]) {
    check_package(&good::mutated(path, from, to), path, expected);
}

fn check_package(package: &Package, path: &str, expected: &[(&str, usize, &str)]) {
    let found = lint(package, Shelf::EMPTY);
    let all: Vec<String> = found.iter().map(|it| render(it, package)).collect();
    let all = all.join("\n");
    // Line 0 stands for a consequence in another file.
    for (code, line, words) in expected.iter().filter(|it| it.1 > 0) {
        let hit = |it: &&Diagnostic| it.code.to_string() == *code && it.place.file == path && it.place.line == *line;
        let text = found.iter().filter(hit).map(|it| render(it, package)).find(|it| it.contains(words));
        assert!(text.is_some(), "no {code} at {path}:{line} with {words:?} in\n{all}");
    }
    let codes: Vec<String> = expected.iter().map(|it| it.0.to_owned()).collect();
    let others: Vec<&Diagnostic> = found.iter().filter(|it| !codes.contains(&it.code.to_string())).collect();
    assert!(others.is_empty(), "more than {codes:?} in\n{all}");
}

const WORKLOAD: &str = "workload.yaml";
const MEMBER: &str = "roles/member/role.yaml";
const FIRST: &str = "roles/first/role.yaml";
const KEY_RUNNER: &str = "  runner: {type: script}";
const CERT: &str = "roles/cert/role.yaml";
const NAMES: &str = "roles/names/role.yaml";
const USER: &str = "roles/user/role.yaml";

#[test]
fn notation() {
    check(MEMBER, "  requires:\n", "  requires: ]\n", &[("RB1003", 8, "cannot be read")]);
    check(MEMBER, "  scope: node\n", "\tscope: node\n", &[("RB1007", 5, "indent with spaces")]);
    check(MEMBER, "  scope: node\n", "  scope: node\n  scope: leader\n", &[("RB1004", 6, "first written here")]);
    check(MEMBER, "{LANG: C}", "&env {LANG: C}", &[("RB1005", 24, "anchors")]);
    check(MEMBER, "env: {LANG: C}", "<<: {LANG: C}", &[("RB1005", 24, "merge keys")]);
    check(MEMBER, "user: root", "user: !!str root", &[("RB1005", 7, "tags")]);
    check(
        USER,
        "undo: {run: undo.sh, timeout: 1m}\n",
        "undo: {run: undo.sh, timeout: 1m}\n---\nkind: Role\n",
        &[("RB1006", 13, "one document")],
    );
}

#[test]
fn documents() {
    let mut package = good::package();
    package.remove("roles/user/role.yaml");
    check_package(&package, "roles/user/undo.sh", &[("RB1001", 1, "roles/user/role.yaml")]);
    let mut package = good::package();
    package.insert("roles/extra.yaml", File::text("kind: Role")).unwrap();
    check_package(&package, "roles/extra.yaml", &[("RB1006", 1, "roles/extra/role.yaml")]);
    let mut package = good::package();
    package.insert(USER, File { bytes: b"kind: \xff".to_vec(), executable: false }).unwrap();
    check_package(&package, USER, &[("RB1002", 1, "UTF-8")]);
    let mut package = good::package();
    package.insert(USER, File::text("# nothing\n")).unwrap();
    check_package(&package, USER, &[("RB1001", 1, "empty")]);
    let mut package = good::package();
    package.insert(USER, File::text("a".repeat(2 << 20))).unwrap();
    check_package(&package, USER, &[("RB1009", 1, "larger")]);
    let found = lint(&Package::default(), Shelf::EMPTY);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].code.to_string(), "RB1001");
    check(USER, "kind: Role", "kind: role", &[("RB1008", 2, "kind: Role")]);
    check(USER, "rebar.dev/v1", "rebar.dev/v2", &[("RB1008", 1, "rebar.dev/v1")]);
}

#[test]
fn shape() {
    check(MEMBER, "  requires:\n", "  requred:\n", &[("RB1101", 8, "did you mean `requires`?")]);
    check(MEMBER, "run: join.sh", "runs: join.sh", &[("RB1101", 21, "did you mean `run`?")]);
    check(MEMBER, "output: cert_pem", "ouput: cert_pem", &[("RB1101", 11, "did you mean `output`?")]);
    check(MEMBER, "capability: store", "capabilty: store", &[("RB1101", 9, "did you mean `capability`?")]);
    check(MEMBER, "timeout: 5m", "timeout: 300", &[("RB1103", 22, "quote it")]);
    check(MEMBER, "timeout: 5m", "timeout: 5 min", &[("RB1105", 22, "as in `90s`")]);
    check(MEMBER, "timeout: 5m", "timeout:", &[("RB1103", 22, "give it a value")]);
    check(MEMBER, "secret: true", "secret: yes", &[("RB1103", 12, "write `true`"), ("RB1302", 12, "secret")]);
    check(MEMBER, "reasons: [tempfail]", "reasons: [tmpfail]", &[("RB1104", 23, "did you mean `tempfail`?")]);
    check(MEMBER, "max: 2", "max: 200", &[("RB1106", 23, "the most is 100")]);
    check(MEMBER, "scope: node", "scope: nodes", &[("RB1104", 5, "did you mean `node`?")]);
    check(MEMBER, "type: script", "type: scrpt", &[("RB1104", 7, "did you mean `script`?")]);
    check(MEMBER, "type: script, user", "type: script, usr", &[("RB1101", 7, "did you mean `user`?")]);
    check(CERT, "pki.cert", "pki.crt", &[("RB1104", 7, "did you mean `pki.cert`?")]);
    check(CERT, "{node: hostname}", "{node: hostname, deployment: domain}", &[("RB1107", 11, "exactly one of")]);
    check(FIRST, "{role: cert}", "{role: cert, capability: store}", &[("RB1107", 8, "stand together")]);
    check(FIRST, "{role: cert}", "{take: all}", &[("RB1107", 8, "one of role, capability")]);
    check(USER, "name: user", "name: User", &[("RB1105", 3, "lower-case")]);
    check(USER, "    fqdn:", "    Fqdn:", &[("RB1105", 9, "underscores")]);
    check(USER, "summary: Use the store", "title: x", &[("RB1102", 3, "`summary` is missing")]);
    check(WORKLOAD, "version: 1.2.0", "version: 1.2", &[("RB1103", 5, "quote it")]);
    check(WORKLOAD, "version: 1.2.0", "version: v1.2.0", &[("RB1108", 5, "1.2.0")]);
    check(WORKLOAD, "'>=0.1, <2'", "latest", &[("RB1108", 9, ">=0.3")]);
    check(USER, "name: user", "name: usr", &[("RB1109", 3, "roles/usr")]);
}

#[test]
fn references() {
    check(CERT, "role: key", "role: kye", &[("RB1201", 10, "did you mean `key`?")]);
    check(CERT, "output: csr", "output: crs", &[("RB1202", 10, "did you mean `csr`?")]);
    check(FIRST, "deployment: size_mb", "deployment: size", &[("RB1203", 11, "parameters are")]);
    check(FIRST, "group: member", "group: members", &[("RB1204", 14, "did you mean `member`?")]);
    check(CERT, "node: hostname", "node: hostnam", &[("RB1205", 11, "did you mean `hostname`?")]);
    check(MEMBER, "capability: store", "capability: stor", &[("RB1206", 9, "did you mean `store`?")]);
    check(FIRST, "{role: cert}", "{role: certs}", &[("RB1201", 8, "did you mean `cert`?")]);
    check(USER, ", from: {role: names, output: fqdn, take: leader}", "", &[("RB1207", 9, "neither")]);
    check(WORKLOAD, "roles: [user]", "roles: [usr]", &[("RB1201", 19, "did you mean `user`?")]);
    check(
        WORKLOAD,
        "groups: {member: 3",
        "groups: {membr: 3",
        &[("RB1204", 22, "did you mean `member`?"), ("RB1802", 22, "needs at least 1")],
    );
    check(WORKLOAD, "inputs: {size_mb: 64}", "inputs: {size: 64}", &[("RB1203", 21, "no parameter `size`")]);
    check(WORKLOAD, "output: fqdn", "output: fqd", &[("RB1202", 16, "did you mean `fqdn`?")]);
    check(USER, "after: [member]", "after: [membr]", &[("RB1502", 7, "did you mean `member`?")]);
}

#[test]
fn values() {
    check(
        FIRST,
        "size_mb: {schema: {type: integer}",
        "size_mb: {schema: {type: string}",
        &[("RB1301", 11, "declared here")],
    );
    check(
        NAMES,
        "schema: {type: array, items: {type: string}}",
        "schema: {type: string}",
        &[("RB1301", 9, "declare an array"), ("RB1703", 9, "array")],
    );
    check(NAMES, "take: all", "take: byNode", &[("RB1301", 9, "object")]);
    check(
        FIRST,
        "mode: {schema: {enum: [fast, safe]}",
        "mode: {schema: {enum: [fast]}",
        &[("RB1301", 12, "not allowed")],
    );
    check(MEMBER, "take: leader}, secret: true", "take: leader}", &[("RB1302", 12, "add `secret: true`")]);
    check(
        FIRST,
        "from: {deployment: password}, secret: true",
        "from: {expr: params.password}",
        &[("RB1302", 13, "password")],
    );
    check(
        WORKLOAD,
        "{type: string}, secret: true",
        "{type: string}, secret: true, default: x",
        &[("RB1303", 14, "take the default away")],
    );
    check(WORKLOAD, "default: 256", "default: 32", &[("RB1304", 12, "minimum")]);
    check(WORKLOAD, "default: store.test", "default: 1.10", &[("RB1304", 11, "quote it")]);
    check(WORKLOAD, "inputs: {size_mb: 64}", "inputs: {size_mb: 1}", &[("RB1304", 21, "topology dev")]);
    check(USER, "{type: string}", "{type: strng}", &[("RB1305", 9, "did you mean `string`?")]);
    check(USER, "{type: string}", "{type: string, patern: x}", &[("RB1305", 9, "did you mean `pattern`?")]);
    check(USER, "{type: string}", "{type: string, pattern: '('}", &[("RB1305", 9, "not valid")]);
    check(MEMBER, "params.mode == 'safe'", "params.mode = 'safe'", &[("RB1306", 6, "CEL")]);
    check(MEMBER, "params.mode == 'safe'", "param.mode == 'safe'", &[("RB1307", 6, "did you mean `params`?")]);
    check(MEMBER, "params.mode == 'safe'", "deployment.mode == 'safe'", &[("RB1307", 6, "params.mode")]);
    check(MEMBER, "params.mode == 'safe'", "params.mod == 'safe'", &[("RB1203", 6, "did you mean `mode`?")]);
    check(WORKLOAD, "node.memory_mb >= 512", "memory_mb >= 512", &[("RB1307", 18, "node")]);
}

#[test]
fn places() {
    check(MEMBER, "output: remote, take: leader", "output: remote", &[("RB1401", 15, "write `take: leader`")]);
    check(MEMBER, "capability: store, take: leader", "capability: store", &[("RB1401", 9, "take: leader")]);
    check(NAMES, ", take: all", "", &[("RB1402", 9, "take: all"), ("RB1301", 9, "string")]);
    check(
        USER,
        "role: names, output: fqdn, take: leader",
        "role: member, output: address, take: one",
        &[("RB1403", 9, "max: 1")],
    );
    check(NAMES, "{expr: \"'store.' + params['domain']\"}", "{node: name}", &[("RB1404", 8, "scope `node`")]);
    check(USER, "scope: node", "scope: deployment", &[("RB1405", 6, "leader")]);
    check(USER, "scope: node", "scope: node\n  runsOn: engine", &[("RB1405", 6, "engine runs none")]);
    check(USER, "role: names, output: fqdn, take: leader", "role: member, output: address", &[("RB1406", 9, "user")]);
}

#[test]
fn order() {
    let package =
        good::mutated("roles/key/role.yaml", KEY_RUNNER, &format!("{KEY_RUNNER}\n  requires: [{{role: member}}]"));
    check_package(
        &package,
        CERT,
        &[("RB1501", 10, "cert → key → member → cert"), ("RB1501", 10, "roles/key/role.yaml:7:21")],
    );
    check(CERT, "  runsOn: engine", "  runsOn: engine\n  after: [member]", &[("RB1501", 7, "runs after")]);
    check(
        MEMBER,
        "take: leader}\n  inputs",
        "take: leader}\n    - {role: member, take: all}\n  inputs",
        &[("RB1501", 10, "member → member")],
    );
}

#[test]
fn phases() {
    check(USER, "{run: use.sh, timeout: 1m}", "{run: use.sh}", &[("RB1601", 11, "gets 10m")]);
    check(USER, "run: use.sh", "run: uses.sh", &[("RB1602", 11, "did you mean `use.sh`?")]);
    check(USER, "run: use.sh", "run: ../key/apply.sh", &[("RB1602", 11, "not in roles/user/")]);
    check(USER, "    undo: {run: undo.sh, timeout: 1m}\n", "", &[("RB1604", 10, "add `undo")]);
    check(USER, "    apply: {run: use.sh, timeout: 1m}\n", "", &[("RB1608", 10, "apply.sh")]);
    check(MEMBER, "successes: 2}\n    undo: {run: leave.sh, timeout: 1m}", "successes: 2}", &[("RB1604", 18, "undo")]);
    check(
        USER,
        "apply: {run: use.sh, timeout: 1m}",
        "apply: {run: use.sh, timeout: 1m, every: 1s}",
        &[("RB1606", 11, "verify")],
    );
    check(NAMES, "  outputs:", "  phases: {apply: {run: x.sh}}\n  outputs:", &[("RB1606", 10, "does not run them")]);
    check(MEMBER, "LANG: C", "REBAR_INPUTS: C", &[("RB1607", 24, "REBAR_")]);
    check(MEMBER, "LANG: C", "LANG: \"${x}\"", &[("RB1607", 24, "rebar-input")]);
    check(
        USER,
        "apply: {run: use.sh, timeout: 1m}\n    undo: {run: undo.sh, timeout: 1m}",
        "undo: {run: undo.sh, timeout: 1m}\n    apply: {run: use.sh, timeout: 1m}",
        &[("RB1605", 12, "order")],
    );
    for (script, words) in [("echo\n", "begin it with"), ("#!/bin/sh\r\necho\r\n", "Windows")] {
        let mut package = good::package();
        package.insert("roles/user/use.sh", File::script(script)).unwrap();
        check_package(&package, USER, &[("RB1603", 11, words)]);
    }
}

#[test]
fn builtins() {
    check(
        CERT,
        "    usages: {schema: {type: array, items: {type: string}}, default: [server]}\n",
        "",
        &[("RB1701", 7, "usages")],
    );
    check(CERT, "    csr:", "    crs:", &[("RB1701", 7, "signing request"), ("RB1702", 10, "did you mean `csr`?")]);
    check(CERT, "cert_pem: {schema", "cert: {schema", &[("RB1702", 15, "outputs of pki.cert"), ("RB1202", 0, "")]);
    check(
        CERT,
        "cert_pem: {schema: {type: string}}",
        "cert_pem: {schema: {type: object}}",
        &[("RB1703", 15, "string"), ("RB1301", 0, "")],
    );
}

#[test]
fn groups() {
    check(
        WORKLOAD,
        "min: 1, max: 7",
        "min: 8, max: 7",
        &[("RB1801", 18, "at least 8"), ("RB1802", 21, "needs at least 8"), ("RB1802", 22, "")],
    );
    check(WORKLOAD, "min: 1, max: 7", "min: 2, max: 2", &[("RB1801", 18, "odd"), ("RB1802", 21, "at least 2")]);
    check(WORKLOAD, "{member: 3", "{member: 4", &[("RB1802", 22, "odd number")]);
    check(WORKLOAD, "{member: 3", "{member: 9", &[("RB1802", 22, "at most 7")]);
    check(
        WORKLOAD,
        "    password: ",
        "    spare: {schema: {type: string}, default: x}\n    password: ",
        &[("RB1504", 14, "spare")],
    );
    check("roles/user/role.yaml", "  after: [member]\n", "", &[]);
    let mut package = good::mutated(WORKLOAD, ", roles: [user]", "");
    package.insert("note.txt", File::text("x")).unwrap();
    check_package(&package, USER, &[("RB1503", 3, "bind")]);
}

#[test]
fn all_mistakes_at_once() {
    let mut package = good::mutated(MEMBER, "  requires:\n", "  requred:\n");
    for (path, from, to) in [
        (CERT, "role: key", "role: kye"),
        (WORKLOAD, "default: 256", "default: 1"),
        (USER, "  scope: node", "\tscope: node"),
    ] {
        let text = String::from_utf8(package.get(path).unwrap().bytes.clone()).unwrap();
        package.insert(path, File::text(text.replacen(from, to, 1))).unwrap();
    }
    let mut found: Vec<String> = lint(&package, Shelf::EMPTY)
        .iter()
        .map(|it| format!("{} {}:{}", it.code, it.place.file, it.place.line))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "RB1007 roles/user/role.yaml:5",
            "RB1101 roles/member/role.yaml:8",
            "RB1201 roles/cert/role.yaml:10",
            "RB1304 workload.yaml:12",
        ]
    );
}
