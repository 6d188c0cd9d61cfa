//! One mistake at a time in the package that uses every key: each is found with its code, at its place, with the right advice.

use rebar_manifest::{Diagnostic, File, Package, Shelf, lint, render};

use crate::every_key::{full, imported};

const WORKLOAD: &str = "workload.yaml";
const STORAGE: &str = "roles/storage/role.yaml";
const UPSTREAM: &str = "roles/upstream/role.yaml";
const REGISTRAR: &str = "roles/registrar/role.yaml";
const KERNEL: &str = "roles/kernel/role.yaml";
const FRONT: &str = "roles/front/role.yaml";
const TEMPLATE: &str = "{templates/depot.conf.tera: /etc/depot/depot.conf}";

/// A change of one text, and what has to be found more than before: `CODE LINE WORDS`.
fn check(path: &str, from: &str, to: &str, expected: &[(&str, usize, &str)]) {
    let mut package = full();
    let text = String::from_utf8(package.get(path).unwrap().bytes.clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    package.insert(path, File::text(text.replacen(from, to, 1))).unwrap();
    check_package(&package, path, expected);
}

fn check_package(package: &Package, path: &str, expected: &[(&str, usize, &str)]) {
    let there = imported();
    let before: Vec<String> = lint(&full(), Shelf::Whole(&there)).into_iter().map(|it| it.message).collect();
    let mut found = lint(package, Shelf::Whole(&there));
    found.retain(|it| !before.contains(&it.message));
    let all: Vec<String> = found.iter().map(|it| render(it, package)).collect();
    let all = all.join("\n");
    for (code, line, words) in expected {
        let hit = |it: &&Diagnostic| {
            let place = it.place.file == path && it.place.line == *line && it.place.column >= 1;
            it.code.to_string() == *code && place && render(it, package).contains(words)
        };
        assert!(found.iter().any(|it| hit(&it)), "no {code} at {path}:{line} with {words:?} in\n{all}");
    }
    assert_eq!(found.len(), expected.len(), "more than {expected:?} in\n{all}");
}

#[test]
fn rollouts() {
    check(WORKLOAD, "order: [store, front]", "order: [stor]", &[("RB1204", 48, "did you mean `store`?")]);
    check(STORAGE, "order: [store]", "order: [sture]", &[("RB1204", 62, "did you mean `store`?")]);
    check(WORKLOAD, "quorum: {role: storage", "quorum: {role: stora", &[("RB1201", 52, "did you mean `storage`?")]);
    check(WORKLOAD, "minActive: 51%", "minActive: 510%", &[("RB1105", 52, "such as `10%`")]);
    check(WORKLOAD, "minActive: 51%", "minActive: -1", &[("RB1106", 52, "the least is 0")]);
    check(WORKLOAD, "minActive: 51%", "minActive: [1]", &[("RB1103", 52, "a whole number or a text")]);
    check(WORKLOAD, "failureDomain: node.labels.rack", "failureDomain: rack", &[("RB1903", 51, "node.labels.rack")]);
    check(WORKLOAD, "selector: node.labels.rack == 'a'", "selector: node.labels.rack =", &[("RB1306", 49, "CEL")]);
    check(WORKLOAD, "selector: node.labels.rack == 'a'", "selector: params.audit", &[("RB1307", 49, "node")]);
    check(WORKLOAD, "after: \"group:store\"", "after: \"group:stor\"", &[("RB1204", 57, "did you mean `store`?")]);
    check(WORKLOAD, "after: \"role:front\"", "after: \"role:frnt\"", &[("RB1201", 58, "did you mean `front`?")]);
    check(WORKLOAD, "after: \"role:front\"", "after: \"wave:1\"", &[("RB1105", 58, "`role:NAME`")]);
}

#[test]
fn gates() {
    check(WORKLOAD, "type: role, role: smoke", "type: role, role: smok", &[("RB1201", 55, "did you mean `smoke`?")]);
    check(WORKLOAD, "type: role, role: smoke", "type: role", &[("RB1902", 55, "add `role`")]);
    check(
        WORKLOAD,
        "url: \"https://depot.example.org/health\", expr: status == 200",
        "expr: status =",
        &[("RB1902", 56, "add `url`"), ("RB1306", 56, "over the answer")],
    );
    check(WORKLOAD, "query: depot_lost_files, expr: value == 0", "timeout: 1m", &[("RB1902", 57, "add `query`")]);
    check(
        WORKLOAD,
        "approvers: [platform]",
        "url: \"https://a\", query: q, expr: a, role: smoke",
        &[
            ("RB1606", 58, "`url` has no effect"),
            ("RB1606", 58, "`query` has no effect"),
            ("RB1606", 58, "`expr` has no effect"),
            ("RB1606", 58, "`role` has no effect"),
        ],
    );
    check(
        WORKLOAD,
        "type: role, role: smoke",
        "type: role, role: smoke, approvers: [a]",
        &[("RB1606", 55, "approvers")],
    );
}

#[test]
fn that_rollouts_are_not_followed_is_said_once() {
    let found = lint(&full(), Shelf::Whole(&imported()));
    let idle: Vec<&Diagnostic> = found.iter().filter(|it| it.code.to_string() == "RB1901").collect();
    assert_eq!(idle.len(), 1);
    assert_eq!((idle[0].place.file.as_str(), idle[0].place.line, idle[0].notes.len()), (WORKLOAD, 47, 1));
    let mut package = full();
    let text = String::from_utf8(package.get(WORKLOAD).unwrap().bytes.clone()).unwrap();
    let (start, end) = (text.find("  rollout:").unwrap(), text.find("  form:").unwrap());
    package.insert(WORKLOAD, File::text(text[..start].to_owned() + &text[end..])).unwrap();
    let found = lint(&package, Shelf::Whole(&imported()));
    let idle = found.iter().find(|it| it.code.to_string() == "RB1901").unwrap();
    assert_eq!((idle.place.file.as_str(), idle.place.line, idle.notes.len()), (STORAGE, 61, 0));
}

#[test]
fn versions_of_rebar() {
    check(WORKLOAD, "engine: \">=0.1, <2\"", "engine: \">=77\"", &[("RB1212", 14, "this is 0.")]);
    check(WORKLOAD, "engine: \">=0.1, <2\"", "engine: new", &[("RB1108", 14, "requirement")]);
}

#[test]
fn forms() {
    check(WORKLOAD, "fields: [domain,", "fields: [domian,", &[("RB1203", 60, "did you mean `domain`?")]);
    check(WORKLOAD, "[join_key, audit,", "[join_key, domain,", &[("RB1803", 61, "shown here first")]);
    check(WORKLOAD, "[join_key, audit,", "[audit, audit,", &[("RB1803", 61, "twice")]);
}

#[test]
fn parameters() {
    check(
        WORKLOAD,
        "default: true}",
        "from: {role: name, output: fqdn, take: leader}}",
        &[("RB1308", 27, "from: {secret: NAME}")],
    );
    check(WORKLOAD, "default: true}", "from: {group: store, field: count}}", &[("RB1308", 27, "site alone")]);
    check(WORKLOAD, "from: {site: dns.domain}", "from: {site: dns..domain}", &[("RB1105", 18, "dns.domain")]);
    check(WORKLOAD, "from: {site: dns.domain}", "from: {site: Dns}", &[("RB1105", 18, "name of a parameter")]);
    check(STORAGE, "from: {site: dns.zone}", "from: {site: .zone}", &[("RB1105", 37, "path into the site")]);
    check(
        WORKLOAD,
        "from: {secret: depot_key}, secret: true}\n    mirror",
        "from: {secret: depot_key}}\n    mirror",
        &[("RB1302", 25, "add `secret: true`")],
    );
    check(
        STORAGE,
        "from: {secret: depot_key}, secret: true",
        "from: {secret: depot_key}",
        &[("RB1302", 38, "add `secret: true`")],
    );
    check(
        WORKLOAD,
        "{secret: depot_key}, secret: true}\n    mirror",
        "{secret: depot_key}, secret: true, default: x}\n    mirror",
        &[("RB1303", 25, "literal default")],
    );
    check(STORAGE, "node.name\"}", "group['stor'][0]\"}", &[("RB1204", 39, "did you mean `store`?")]);
}

#[test]
fn platforms() {
    check(
        STORAGE,
        "platforms: {os: [debian, ubuntu], arch: [amd64, arm64], init: [systemd]}",
        "platforms: {}",
        &[("RB1106", 25, "is empty")],
    );
    check(STORAGE, "os: [debian, ubuntu]", "os: []", &[("RB1106", 25, "is empty")]);
    check(STORAGE, "init: [systemd]", "init: []", &[("RB1106", 25, "is empty")]);
    check(STORAGE, "arch: [amd64, arm64]", "arch: [x86]", &[("RB1104", 25, "amd64, arm64")]);
}

#[test]
fn templates() {
    let named = |path: &str, target: &str| format!("{{{path}: {target}}}");
    check(
        STORAGE,
        TEMPLATE,
        &named("templates/depot.cnf.tera", "/etc/x"),
        &[("RB1010", 47, "did you mean `templates/depot.conf.tera`?")],
    );
    check(STORAGE, TEMPLATE, &named("../scrub/apply.sh", "/etc/x"), &[("RB1010", 47, "without `..`")]);
    check(STORAGE, TEMPLATE, &named("/etc/passwd", "/etc/x"), &[("RB1010", 47, "relative path")]);
    for target in ["etc/x", "/etc/../x", "/etc//x", "/etc/", "/", "/./x"] {
        let to = named("templates/depot.conf.tera", target);
        check(STORAGE, TEMPLATE, &to, &[("RB1609", 47, "absolute path of a file")]);
    }
    check(STORAGE, TEMPLATE, "{templates/depot.conf.tera: /a, check.sh: /a}", &[("RB1610", 47, "both rendered to /a")]);
    check("roles/scrub/role.yaml", "{type: script}", "{type: script, templates: {check.sh: /a}}", &[]);
    let mut package = full();
    let text = String::from_utf8(package.get("roles/scrub/role.yaml").unwrap().bytes.clone()).unwrap();
    let text =
        text.replace("{type: script}", "{type: script, templates: {check.sh: /a}}").replace("apply: ", "verify: ");
    package.insert("roles/scrub/role.yaml", File::text(text)).unwrap();
    check_package(
        &package,
        "roles/scrub/role.yaml",
        &[("RB1611", 8, "before which they are rendered"), ("RB1606", 10, "there is no `apply`")],
    );
    for (bytes, code) in [(vec![0xff], "RB1002"), (vec![b'x'; 300 << 10], "RB1009")] {
        let mut package = full();
        package.insert("roles/storage/templates/depot.conf.tera", File { bytes, executable: false }).unwrap();
        check_package(&package, STORAGE, &[(code, 47, "the template")]);
    }
    let many: Vec<String> = (0..65).map(|at| format!("t{at}: /etc/t{at}")).collect();
    let mut package = full();
    let text = String::from_utf8(package.get(STORAGE).unwrap().bytes.clone()).unwrap();
    package.insert(STORAGE, File::text(text.replace(TEMPLATE, &format!("{{{}}}", many.join(", "))))).unwrap();
    (0..65).for_each(|at| package.insert(&format!("roles/storage/t{at}"), File::text("x")).unwrap());
    check_package(&package, STORAGE, &[("RB1106", 47, "65 templates")]);
}

#[test]
fn files_that_keys_name() {
    check(WORKLOAD, "icon: depot.svg", "icon: depot.sgv", &[("RB1010", 12, "did you mean `depot.svg`?")]);
    check(WORKLOAD, "icon: depot.svg", "icon: /depot.svg", &[("RB1010", 12, "relative path")]);
    check(STORAGE, "icon: storage.svg", "icon: ../../depot.svg", &[("RB1010", 7, "inside of roles/storage/")]);
    check(FRONT, "playbook: front.yml", "playbook: front.yaml", &[("RB1010", 8, "did you mean `front.yml`?")]);
    for (role, from, to, words) in [
        ("index", "cookbooks: cookbooks", "cookbooks: books", "roles/index/books/"),
        ("limits", "manifest: limits.pp", "manifest: limit.pp", "did you mean `limits.pp`?"),
        ("limits", "modulepath: modules", "modulepath: ../storage", "without `..`"),
        ("banner", "state: banner.sls", "state: baner.sls", "did you mean `banner.sls`?"),
    ] {
        let (path, line) = (format!("roles/{role}/role.yaml"), if role == "index" { 8 } else { 7 });
        check(&path, from, to, &[("RB1010", line, words)]);
    }
    check("roles/smoke/role.yaml", "module: smoke.wasm", "module: smoke.wsm", &[("RB1010", 6, "smoke.wasm")]);
}

#[test]
fn runners_that_are_missing() {
    check(
        UPSTREAM,
        "action: wait.http",
        "action: wait.tcp",
        &[("RB1701", 6, "address"), ("RB1701", 6, "port"), ("RB1702", 8, "url"), ("RB1702", 10, "url")],
    );
    check(KERNEL, "node.reboot", "os.install", &[("RB1407", 7, "`os.install`")]);
    check(KERNEL, "node.reboot", "bmc.power", &[("RB1407", 7, "`bmc.power`")]);
    // Their phases may run an entry point; everything else of a phase is looked at.
    check(FRONT, "run: front-answers, timeout: 1m", "run: front-answers", &[("RB1601", 17, "timeout")]);
    check(FRONT, "run: front.yml, timeout: 10m", "run: front.yml, timeout: 10m, every: 1s", &[("RB1606", 16, "every")]);
}

#[test]
fn stand_ins() {
    let why = "stands in for something outside";
    check(
        UPSTREAM,
        "{type: builtin, action: wait.http}",
        "{type: script}",
        &[("RB1405", 6, why), ("RB1608", 4, "neither")],
    );
    check("roles/name/role.yaml", "scope: deployment", "scope: service", &[("RB1405", 7, why)]);
    check("roles/smoke/role.yaml", "scope: deployment", "scope: service", &[("RB1405", 6, why)]);
    check(REGISTRAR, "scope: service", "scope: service\n  runsOn: agent", &[("RB1405", 6, "no agent")]);
    check(
        REGISTRAR,
        "    zone: {schema: {type: string}}",
        "    zon: {schema: {type: string}}",
        &[("RB1704", 10, "did you mean `zone`?")],
    );
    check(
        REGISTRAR,
        "    zone: {schema: {type: string}}",
        "    zone: {schema: {type: integer}}",
        &[("RB1704", 10, "does not fit integer")],
    );
    check(
        REGISTRAR,
        "{schema: {type: string}, from: {deployment: domain}}",
        "{schema: {type: string}, from: {deployment: join_key}, secret: true}",
        &[("RB1302", 10, "add `secret: true`")],
    );
    // A noop of any scope.
    check(REGISTRAR, "scope: service", "scope: deployment", &[]);
    check(REGISTRAR, "scope: service\n", "scope: deployment\n  protect: true\n", &[("RB1606", 6, "could be lost")]);
}

#[test]
fn reboots() {
    check(KERNEL, "  scope: node\n  bind: {groups: [store]}", "  scope: deployment", &[("RB1405", 6, "no node")]);
    check(KERNEL, "scope: node", "scope: node\n  runsOn: engine", &[("RB1405", 6, "the engine runs none")]);
    check(KERNEL, "scope: node", "scope: node\n  runsOn: agent", &[]);
    check(KERNEL, "scope: node", "scope: leader", &[]);
    check(KERNEL, "scope: node", "scope: node\n  reboot: always", &[]);
    check("roles/name/role.yaml", "runsOn: engine", "runsOn: agent", &[("RB1405", 6, "agents do not have")]);
    check("roles/name/role.yaml", "runsOn: engine", "reboot: always", &[("RB1606", 6, "node.reboot")]);
    check(
        "roles/smoke/role.yaml",
        "scope: deployment",
        "scope: leader\n  bind: {groups: [front]}\n  runsOn: agent",
        &[("RB1405", 7, "agents do not have")],
    );
    check(FRONT, "scope: node", "scope: node\n  runsOn: engine", &[("RB1405", 6, "the engine runs none")]);
}
