//! A package without mistakes that uses most of the format: groups, a leader, a role without a node, builtin actions, secrets,
//! capabilities, soft order, expressions. The mutations break it in one place each.

use rebar_manifest::{File, Package, Shelf, lint, read};

/// Its files.
pub const FILES: &[(&str, &str)] = &[
    ("workload.yaml", WORKLOAD),
    ("README.md", "# store\n"),
    ("roles/ca/role.yaml", CA),
    ("roles/key/role.yaml", KEY),
    ("roles/key/apply.sh", "#!/bin/sh\n"),
    ("roles/key/undo.sh", "#!/bin/sh\n"),
    ("roles/cert/role.yaml", CERT),
    ("roles/first/role.yaml", FIRST),
    ("roles/first/init.sh", "#!/bin/sh\n"),
    ("roles/member/role.yaml", MEMBER),
    ("roles/member/check.sh", "#!/bin/sh\n"),
    ("roles/member/join.sh", "#!/bin/sh\n"),
    ("roles/member/ready.sh", "#!/bin/sh\n"),
    ("roles/member/leave.sh", "#!/bin/sh\n"),
    ("roles/names/role.yaml", NAMES),
    ("roles/user/role.yaml", USER),
    ("roles/user/use.sh", "#!/bin/sh\n"),
    ("roles/user/undo.sh", "#!/bin/sh\n"),
];

const WORKLOAD: &str = "\
apiVersion: rebar.dev/v1
kind: Workload
metadata:
  name: store
  version: 1.2.0
  summary: A replicated store and its users
  license: Apache-2.0
spec:
  engine: '>=0.1, <2'
  inputs:
    domain: {schema: {type: string}, default: store.test}
    size_mb: {schema: {type: integer, minimum: 64}, default: 256}
    mode: {schema: {enum: [fast, safe]}, default: safe}
    password: {schema: {type: string}, secret: true}
  outputs:
    endpoint: {from: {role: names, output: fqdn, take: leader}}
  groups:
    member: {summary: Hold data, min: 1, max: 7, odd: true, roles: [key, cert, first, member], needs: 'node.memory_mb >= 512'}
    user: {summary: Use it, roles: [user]}
  topologies:
    dev: {summary: small, groups: {member: 1, user: 1}, inputs: {size_mb: 64}}
    ha: {summary: large, groups: {member: 3, user: 20}}
";

const CA: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: ca, summary: Who signs}
spec:
  scope: deployment
  runner: {type: builtin, action: pki.ca}
  inputs:
    common_name: {schema: {type: string}, from: {expr: \"'ca.' + params.domain\"}}
  outputs:
    ca_pem: {schema: {type: string}}
";

const KEY: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: key, summary: A key that stays on its node}
spec:
  scope: node
  runner: {type: script}
  inputs:
    name: {schema: {type: string}, from: {node: name}}
  outputs:
    csr: {schema: {type: string}}
  phases:
    apply: {run: apply.sh, timeout: 1m}
    undo: {run: undo.sh, timeout: 1m}
";

const CERT: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: cert, summary: A certificate for each member}
spec:
  scope: node
  runsOn: engine
  runner: {type: builtin, action: pki.cert}
  inputs:
    ca: {schema: {type: string}, from: {role: ca, output: ca_pem, take: leader}}
    csr: {schema: {type: string}, from: {role: key, output: csr}}
    common_name: {schema: {type: string}, from: {node: hostname}}
    sans: {schema: {type: array, items: {type: string}}, from: {node: addresses.all}}
    usages: {schema: {type: array, items: {type: string}}, default: [server]}
  outputs:
    cert_pem: {schema: {type: string}}
";

const FIRST: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: first, summary: Start the store on one member}
spec:
  scope: leader
  runner: {type: script}
  requires:
    - {role: cert}
  provides: [store]
  inputs:
    size_mb: {schema: {type: integer}, from: {deployment: size_mb}}
    mode: {schema: {enum: [fast, safe]}, from: {deployment: mode}}
    password: {schema: {type: string}, from: {deployment: password}, secret: true}
    peers: {schema: {type: integer}, from: {group: member, field: count}}
  outputs:
    token: {schema: {type: string}, secret: true}
    remote: {schema: {type: string}}
  phases:
    apply: {run: init.sh, timeout: 2m}
";

const MEMBER: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: member, summary: Join the store}
spec:
  scope: node
  when: params.mode == 'safe'
  runner: {type: script, user: root}
  requires:
    - {capability: store, take: leader}
  inputs:
    cert: {schema: {type: string}, from: {role: cert, output: cert_pem}}
    token: {schema: {type: string}, from: {role: first, output: token, take: leader}, secret: true}
    remote:
      schema: {type: string}
      from: {role: first, output: remote, take: leader}
  outputs:
    address: {schema: {type: string}}
  phases:
    check: {run: check.sh, timeout: 30s}
    apply:
      run: join.sh
      timeout: 5m
      retries: {max: 2, initial: 2s, reasons: [tempfail]}
      env: {LANG: C}
    verify: {run: ready.sh, timeout: 1m, every: 5s, successes: 2}
    undo: {run: leave.sh, timeout: 1m}
";

const NAMES: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: names, summary: The name of the store}
spec:
  scope: deployment
  runner: {type: builtin, action: dns.record}
  inputs:
    name: {schema: {type: string}, from: {expr: \"'store.' + params['domain']\"}}
    values: {schema: {type: array, items: {type: string}}, from: {role: member, output: address, take: all}}
  outputs:
    fqdn: {schema: {type: string}}
";

const USER: &str = "\
apiVersion: rebar.dev/v1
kind: Role
metadata: {name: user, summary: Use the store}
spec:
  scope: node
  runner: {type: script}
  after: [member]
  inputs:
    fqdn: {schema: {type: string}, from: {role: names, output: fqdn, take: leader}}
  phases:
    apply: {run: use.sh, timeout: 1m}
    undo: {run: undo.sh, timeout: 1m}
";

/// The package.
pub fn package() -> Package {
    Package::from_files(FILES.iter().map(|(path, text)| ((*path).to_owned(), file(path, text)))).unwrap()
}

/// A file as `FILES` has it.
pub fn file(path: &str, text: &str) -> File {
    if path.rsplit('.').next() == Some("sh") { File::script(text) } else { File::text(text) }
}

/// The package with one text replaced by another; the text has to be there.
pub fn mutated(path: &str, from: &str, to: &str) -> Package {
    let mut package = package();
    let text = String::from_utf8(package.get(path).unwrap().bytes.clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    package.insert(path, file(path, &text.replacen(from, to, 1))).unwrap();
    package
}

#[test]
fn it_has_no_mistakes() {
    let package = package();
    let found: Vec<String> =
        lint(&package, Shelf::EMPTY).iter().map(|it| rebar_manifest::render(it, &package)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn it_is_imported() {
    let package = package();
    let import = read(&package, &[]).unwrap();
    assert_eq!(import.workload.reference(), "store@1.2.0");
    assert_eq!(import.workload.roles.len(), 7);
    assert_eq!(import.workload.digest, package.digest());
    for role in import.workload.roles.values() {
        assert!(import.archives.contains_key(&role.content), "{}", role.manifest.metadata.name);
    }
    assert!(import.warnings.is_empty());
}
