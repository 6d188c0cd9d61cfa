//! The house rules against the repository as it is. Each test names everything that breaks its rule at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use cargo_metadata::{DependencyKind, MetadataCommand};
use rebar_tidy::{
    Crate, File, Part, Row, broken_checkers, broken_links, broken_paths, check, code_pages, differing_limits,
    forbidden_words, heavy, mask, outside_tests, read, root, table,
};

/// The most lines of a source file.
const MOST_LINES: usize = 600;
/// The most lines of one that is there for tests.
const MOST_LINES_OF_TESTS: usize = 800;

/// Where somebody may ask for the time, and why.
const CLOCKS: [(&str, &str); 6] = [
    ("engine/cli/src/system.rs", "the clock behind the port"),
    ("engine/cli/src/clock.rs", "the client is its own outermost layer"),
    ("agents/agent/src/clock.rs", "the agent's one place that asks"),
    ("agents/agent/tests/common/pki.rs", "certificates of tests are valid now"),
    ("tests/bench/src/system.rs", "a measurement has a clock of its own"),
    ("engine/gateway/tests/it/authority.rs", "certificates of tests are valid now"),
];

/// Where a test may sleep, how often, and why.
const SLEEPS: [(&str, usize, &str); 7] = [
    ("agents/agent/tests/common/agent.rs", 1, "files and processes do not say when they change"),
    ("engine/providers/tests/docker.rs", 1, "systemd in a container does not say when it is up"),
    ("tests/bench/src/host.rs", 1, "an idle engine is watched for a while"),
    ("tests/bench/src/product.rs", 1, "an engine that cannot at this moment does not say when it can"),
    ("tests/conformance/src/postgres.rs", 3, "a server does not say when it is up"),
    ("tests/conformance/tests/sqlite.rs", 1, "the moment of the kill is what is drawn"),
    ("tests/e2e/src/storm.rs", 1, "the moments of faults are what is drawn"),
];

/// What crates of the two lowest floors do without.
const IMPURE: [&str; 8] =
    ["std::fs", "std::env", "std::net::Tcp", "std::process", "std::thread", "tokio::", "Instant::now", "rand::"];
/// Crates that they do not use.
const IMPURE_CRATES: [&str; 7] = ["async-trait", "axum", "hyper", "rand", "reqwest", "sqlx", "tokio"];

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| read(&root()).expect("the repository can be read"));
static CRATES: LazyLock<Vec<Crate>> = LazyLock::new(crates);
static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| table(&file("ARCHITECTURE.md").text).expect("ARCHITECTURE.md has the table of floors"));

fn file(path: &str) -> &'static File {
    FILES.iter().find(|it| it.path == path).unwrap_or_else(|| panic!("there is no {path}"))
}

fn sources() -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|it| it.ends_with(".rs"))
}

fn pages() -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|it| it.ends_with(".md"))
}

/// The crates of the workspace, as Cargo sees them.
fn crates() -> Vec<Crate> {
    let root = root().canonicalize().expect("the repository is there");
    let metadata = MetadataCommand::new().current_dir(&root).no_deps().exec().expect("cargo metadata");
    let short = |name: &str| name.strip_prefix("rebar-").map(str::to_owned);
    let of = |package: &cargo_metadata::Package| {
        let directory = package.manifest_path.parent().expect("a manifest is in a directory");
        let directory = directory.strip_prefix(&root).expect("a crate is in the repository").to_string();
        let name = short(&package.name).unwrap_or_else(|| package.name.to_string());
        let mut it = Crate { name, directory, ..Crate::default() };
        for used in &package.dependencies {
            match (short(&used.name).filter(|_| used.path.is_some()), used.kind) {
                (Some(ours), DependencyKind::Development) => drop(it.tests_use.insert(ours)),
                (Some(ours), _) => drop(it.uses.insert(ours)),
                (None, DependencyKind::Development) => {}
                (None, _) => drop(it.foreign.insert(used.name.clone())),
            }
        }
        it
    };
    metadata.packages.iter().map(of).collect()
}

/// The crate that a file belongs to.
fn crate_of(file: &File) -> Option<&'static Crate> {
    CRATES.iter().find(|it| file.path.strip_prefix(&it.directory).is_some_and(|rest| rest.starts_with('/')))
}

fn floor(it: &Crate) -> Option<u8> {
    ROWS.iter().find(|row| row.directory == it.directory).map(|row| row.floor)
}

#[track_caller]
fn none(rule: &str, found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}

#[test]
fn dependencies_point_down() {
    none("the table of floors in ARCHITECTURE.md and the manifests have to agree", check(&ROWS, &CRATES));
    let of_tests: BTreeSet<&str> =
        CRATES.iter().filter(|it| it.directory.starts_with("tests/")).map(|it| it.name.as_str()).collect();
    let leans = |it: &&Crate| it.uses.union(&it.tests_use).any(|used| of_tests.contains(used.as_str()));
    none(
        "nothing but tests uses tests/*",
        CRATES.iter().filter(|it| !it.directory.starts_with("tests/")).filter(leans).map(|it| it.directory.clone()),
    );
}

#[test]
fn heavy_crates_have_one_owner() {
    none("a heavy dependency belongs to one crate", heavy(&ROWS, &CRATES));
}

#[test]
fn the_wire_and_the_model_meet_in_one_place() {
    let uses = |it: &Crate, name: &str| it.uses.contains(name) || it.tests_use.contains(name);
    let meeting = CRATES.iter().filter(|it| it.directory != "engine/gateway" && !it.directory.starts_with("tests/"));
    none(
        "proto and model meet in engine/gateway alone",
        meeting.filter(|it| uses(it, "proto") && uses(it, "model")).map(|it| it.directory.clone()),
    );
    let agents = CRATES.iter().filter(|it| it.directory.starts_with("agents/"));
    let foreign = |it: &Crate| it.uses.iter().any(|used| !["proto", "link"].contains(&used.as_str()));
    none("agents use proto and link alone", agents.filter(|it| foreign(it)).map(|it| it.directory.clone()));
}

#[test]
fn sql_stays_in_the_store() {
    let elsewhere =
        sources().filter(|it| !it.path.starts_with("engine/store-sql/") && !it.path.starts_with("tests/tidy/"));
    let speaks = |it: &&File| mask(&it.text, Part::Code).contains("sqlx");
    none("only engine/store-sql knows SQL", elsewhere.filter(speaks).map(|it| it.path.clone()));
}

#[test]
fn the_lowest_floors_are_pure() {
    let low = |it: &Crate| floor(it).is_some_and(|it| it <= 1);
    let mut found = Vec::new();
    for it in CRATES.iter().filter(|it| low(it)) {
        let used = it.foreign.iter().filter(|name| IMPURE_CRATES.contains(&name.as_str()));
        found.extend(used.map(|name| format!("{}: uses {name}", it.directory)));
    }
    let inside = |it: &&File| crate_of(it).is_some_and(low) && it.path.contains("/src/") && !it.is_test();
    for file in sources().filter(inside) {
        let code = mask(outside_tests(&file.text), Part::Code);
        for (line, text) in (1..).zip(code.lines()) {
            let waits = text.split(|it: char| !it.is_alphanumeric() && it != '_').any(|it| it == "async");
            let reaches_out = IMPURE.iter().any(|it| text.contains(it));
            if waits || reaches_out {
                found.push(format!("{}:{line}: {}", file.path, text.trim()));
            }
        }
    }
    none("floors 0 and 1 do no I/O and cannot wait", found);
}

#[test]
fn the_time_is_an_argument() {
    let asks = |file: &&File| {
        let code = mask(&file.text, Part::Code);
        ["Timestamp::now", "SystemTime::now", "Utc::now"].iter().any(|it| code.contains(it))
    };
    let asking: BTreeSet<&str> = sources().filter(asks).map(|it| it.path.as_str()).collect();
    let allowed: BTreeSet<&str> = CLOCKS.iter().map(|(path, _)| *path).collect();
    none("the time is an argument; only clocks ask for it", asking.difference(&allowed).map(|it| (*it).to_owned()));
    none("no longer asks for the time", allowed.difference(&asking).map(|it| (*it).to_owned()));
}

#[test]
fn every_file_says_what_lives_there() {
    let silent = sources().filter(|it| !it.text.starts_with("//! "));
    none("every source file opens with `//!`", silent.map(|it| it.path.clone()));
}

#[test]
fn files_are_short() {
    let most = |it: &File| if it.is_test() { MOST_LINES_OF_TESTS } else { MOST_LINES };
    let long = sources().map(|it| (it, it.text.lines().count())).filter(|(it, lines)| *lines > most(it));
    none("a long file holds several thoughts", long.map(|(it, lines)| format!("{}: {lines} lines", it.path)));
}

#[test]
fn every_crate_takes_the_lints_of_the_house() {
    let strays = CRATES
        .iter()
        .filter(|it| !file(&format!("{}/Cargo.toml", it.directory)).text.contains("[lints]\nworkspace = true"));
    none("[lints] workspace = true", strays.map(|it| it.directory.clone()));
}

#[test]
fn links_resolve() {
    none("a link leads nowhere", pages().flat_map(|it| broken_links(it, &FILES)));
    none("a path is not there", pages().flat_map(|it| broken_paths(it, &FILES)));
    none("a test is not there", pages().flat_map(|it| broken_checkers(it, &FILES)));
}

#[test]
fn errors_have_pages() {
    // RB1xxx are numbers of the linter, which compares them itself.
    none("every RBnnnn has a page, and every page a number", code_pages(&FILES, "RB2000"));
}

#[test]
fn limits_are_told() {
    none("docs/limits.md and the limits in the code have to agree", differing_limits(&FILES, file("docs/limits.md")));
}

#[test]
fn migrations_are_twins() {
    let names =
        |folder: &str| -> BTreeSet<&str> { FILES.iter().filter_map(|it| it.path.strip_prefix(folder)).collect() };
    assert_eq!(names("migrations/sqlite/"), names("migrations/postgres/"));
}

#[test]
fn no_forbidden_words() {
    none("what is left to do has an issue; what is private stays out", FILES.iter().flat_map(forbidden_words));
}

#[test]
fn tests_do_not_sleep() {
    let mut sleeping: BTreeMap<&str, usize> = BTreeMap::new();
    for file in sources().filter(|it| !it.path.starts_with("tests/tidy/")) {
        let text = if file.is_test() { file.text.as_str() } else { &file.text[outside_tests(&file.text).len()..] };
        let code = mask(text, Part::Code);
        let sleeps = |line: &&str| {
            line.contains("thread::sleep(")
                || line.contains("sleep(Duration::from_")
                || line.contains("sleep(std::time::Duration::from_")
        };
        let count = code.lines().filter(sleeps).count();
        if count > 0 {
            sleeping.insert(&file.path, count);
        }
    }
    let allowed: BTreeMap<&str, usize> = SLEEPS.iter().map(|(path, count, _)| (*path, *count)).collect();
    assert_eq!(sleeping, allowed, "a test waits for what happens and not for the clock");
}
