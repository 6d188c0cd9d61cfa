//! Whatever the bytes are: the linter answers, with places inside of the files, and reading agrees with it.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use rebar_manifest::{Diagnostic, File, Package, Shelf, lint, read, render};
use rebar_model::Workload;

use crate::{every_key, good};

/// The workload that a package may use, and the documents of one that does.
static THERE: LazyLock<Vec<Arc<Workload>>> = LazyLock::new(every_key::imported);
static FULL: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let package = every_key::full();
    let documents = package.files().filter(|(path, _)| path.rsplit('.').next() == Some("yaml"));
    documents.map(|(path, file)| (path.to_owned(), String::from_utf8(file.bytes.clone()).unwrap())).collect()
});

/// Lints, renders and reads; checks what has to hold for every package.
fn survives(package: &Package) {
    for it in &lint(package, Shelf::EMPTY) {
        let _ = render(it, package);
    }
    let found = lint(package, Shelf::Whole(&THERE));
    for it in &found {
        assert!(it.place.line >= 1 && it.place.column >= 1 && it.place.length >= 1, "{it:?}");
        let _ = render(it, package);
    }
    assert_eq!(read(package, &THERE).is_err(), found.iter().any(Diagnostic::is_error));
}

/// A text with characters taken out, put in and replaced.
fn edited(text: &str, edits: &[(prop::sample::Index, u8, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, kind, with) in edits {
        if chars.is_empty() {
            break;
        }
        let at = at.index(chars.len());
        match kind {
            0 => drop(chars.remove(at)),
            1 => drop(chars.splice(at..at, with.chars())),
            _ => drop(chars.splice(at..=at, with.chars())),
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Bytes of a document are overwritten, taken out and put in.
    #[test]
    fn mutated_documents(
        which in 0..good::FILES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[ \t\n:{}\\[\\]&*!|>'\"#,<-]|\\PC"), 1..8),
    ) {
        let (path, text) = good::FILES[which];
        let mut package = good::package();
        package.insert(path, File::text(edited(text, &edits))).unwrap();
        survives(&package);
    }

    /// The same with the package that uses every key.
    #[test]
    fn mutated_keys(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[ \t\n:{}\\[\\],.%-]|[a-z]"), 1..5),
    ) {
        let (path, text) = which.get(&FULL);
        let mut package = every_key::full();
        package.insert(path, File::text(edited(text, &edits))).unwrap();
        survives(&package);
    }

    /// Raw bytes in place of a document.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut package = good::package();
        package.insert("workload.yaml", File { bytes: bytes.clone(), executable: false }).unwrap();
        package.insert("roles/user/role.yaml", File { bytes, executable: false }).unwrap();
        survives(&package);
    }

    /// A value of a document is replaced by one of another kind.
    #[test]
    fn other_values(which in 0..good::FILES.len(), at in any::<prop::sample::Index>(), value in prop::sample::select(VALUES)) {
        let (path, text) = good::FILES[which];
        let colons: Vec<usize> = text.match_indices(": ").map(|it| it.0 + 2).collect();
        prop_assume!(!colons.is_empty());
        let start = colons[at.index(colons.len())];
        let end = text[start..].find([',', '}', '\n']).map_or(text.len(), |it| start + it);
        let mut package = good::package();
        package.insert(path, File::text(format!("{}{value}{}", &text[..start], &text[end..]))).unwrap();
        survives(&package);
    }

    /// Expressions out of pieces of the language.
    #[test]
    fn any_expression(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        let text = pieces.concat().replace('\'', "''");
        survives(&good::mutated("roles/member/role.yaml", "when: params.mode == 'safe'", &format!("when: '{text}'")));
    }

    /// Archives that are cut or overwritten.
    #[test]
    fn damaged_archives(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut archive = good::package().to_tar();
        let at = at.index(archive.len());
        archive[at] = byte;
        let length = cut.index(archive.len()) + 1;
        let _ = Package::from_tar(&archive);
        let _ = Package::from_tar(&archive[..length]);
    }
}

const PIECES: &[&str] = &[
    "params",
    ".",
    "mode",
    "['mode']",
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    "==",
    "&&",
    "||",
    "!",
    "-",
    "1",
    "1u",
    "0x",
    "1e9",
    ".all(x, ",
    ".map(x, ",
    "has(",
    "b'\\x",
    "r\"",
    "\"\"\"",
    " in ",
    "//",
    "\\",
    "node",
    ", ",
    "é",
    "9999999999999999999999",
];

const VALUES: &[&str] = &[
    "",
    "1",
    "-1",
    "1.5",
    "yes",
    "true",
    "[]",
    "{}",
    "[1",
    "{a: 1}",
    "~",
    "0x7fffffffffffffff",
    "99999999999999999999s",
    ".inf",
    "x y",
    "'",
    "*a",
];

#[test]
fn expressions_of_any_length_end() {
    for (piece, last) in [
        ("1+", "1"),
        ("a.", "a"),
        ("a||", "a"),
        ("!", "a"),
        ("-", "1"),
        ("a?a:", "a"),
        ("[", ""),
        ("a in ", "a"),
        ("f(", ""),
        ("(", "1"),
        ("{1:", "1"),
        ("a[", "1"),
        ("(\")\"+", "1"),
        ("(r')'+", "1"),
        ("a||!-a*f(", "1"),
    ] {
        for count in [5, 6, 7, 39, 79, 80, 390, 900] {
            let open = serde_json::to_string(&format!("{}{last}", piece.repeat(count))).unwrap();
            for text in [open, balanced(piece, last, count)] {
                survives(&good::mutated("roles/member/role.yaml", "params.mode == 'safe'", &text));
            }
        }
    }
}

/// An expression whose brackets close.
fn balanced(piece: &str, last: &str, count: usize) -> String {
    let close: String = piece.chars().rev().filter_map(|it| "([{".find(it).map(|at| &")]}"[at..=at])).collect();
    serde_json::to_string(&format!("{}{last}{}", piece.repeat(count), close.repeat(count))).unwrap()
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    for schema in [
        "{$ref: '#'}",
        "{allOf: [{$ref: '#'}]}",
        "{$ref: '#/$defs/a', $defs: {a: {$ref: '#/$defs/b'}, b: {$ref: '#/$defs/a'}}}",
        "{$dynamicRef: '#'}",
        "{$ref: 'https://example.com/x'}",
        "{$ref: 'file:///etc/passwd'}",
        "{anyOf: [{not: {$ref: '#'}}]}",
    ] {
        survives(&good::mutated(
            "workload.yaml",
            "{schema: {type: string}, default: store.test}",
            &format!("{{schema: {schema}, default: 1}}"),
        ));
    }
}

#[test]
fn deep_nesting_ends() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let text = format!("{}{}", open.repeat(20_000), close.repeat(20_000));
        let mut package = good::package();
        package.insert("workload.yaml", File::text(text)).unwrap();
        survives(&package);
    }
    let brackets = format!("{}1{}", "(".repeat(900), ")".repeat(900));
    survives(&good::mutated("roles/member/role.yaml", "params.mode == 'safe'", &brackets));
    survives(&good::mutated("roles/user/role.yaml", "{type: string}", &"{items: ".repeat(40)));
}

#[test]
fn a_document_is_as_large_as_it_may_be() {
    // As `src/yaml.rs` has it.
    const MOST: usize = 1 << 20;
    let large = |length: usize| {
        let mut package = good::package();
        let text = String::from_utf8(package.get("workload.yaml").unwrap().bytes.clone()).unwrap();
        let comment = format!("#{}\n", "x".repeat(length - text.len() - 2));
        package.insert("workload.yaml", File::text(text + &comment)).unwrap();
        let found = rebar_manifest::lint(&package, rebar_manifest::Shelf::EMPTY);
        found.iter().any(|it| it.code.to_string() == "RB1009")
    };
    assert!(!large(MOST));
    assert!(large(MOST + 1));
}

#[test]
fn so_many_mistakes_in_the_notation_are_told() {
    // As `src/yaml.rs` has it.
    const MOST: usize = 50;
    // A key that is written twice, so often, and an anchor behind them.
    let told = |twice: usize| {
        let mut package = good::package();
        let text = String::from_utf8(package.get("workload.yaml").unwrap().bytes.clone()).unwrap();
        let text = format!("{text}{}last: &name 1\n", "again: 1\n".repeat(twice + 1));
        package.insert("workload.yaml", File::text(text)).unwrap();
        let found = lint(&package, Shelf::EMPTY);
        ["RB1004", "RB1005"].map(|code| found.iter().filter(|it| it.code.to_string() == code).count())
    };
    assert_eq!(told(MOST - 1), [MOST - 1, 1]);
    assert_eq!(told(MOST), [MOST, 0], "the anchor is one too many");
    assert_eq!(told(10 * MOST), [MOST, 0]);
}

#[test]
fn templates_are_so_many_and_so_large() {
    // As `src/lint/templates.rs` has them.
    const MOST: usize = 64;
    const LARGEST: usize = 256 * 1024;
    let lint = |count: usize, size: usize| {
        let list: Vec<_> = (0..count).map(|it| format!("t{it}.tera: /etc/t{it}")).collect();
        let runner = format!("runner: {{type: script, templates: {{{}}}", list.join(", "));
        let mut package = good::mutated("roles/user/role.yaml", "runner: {type: script", &runner);
        for it in 0..count {
            package.insert(&format!("roles/user/t{it}.tera"), File::text("x".repeat(size))).unwrap();
        }
        let found = rebar_manifest::lint(&package, rebar_manifest::Shelf::EMPTY);
        found.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let good = lint(MOST, 1);
    assert!(!good.contains("the most is"), "{good}");
    assert!(lint(MOST + 1, 1).contains("65 templates, the most is 64"));
    let good = lint(1, LARGEST);
    assert!(!good.contains("larger than"), "{good}");
    assert!(lint(1, LARGEST + 1).contains("is larger than 262144 bytes"));
}

#[test]
fn anchors_do_not_multiply() {
    let lines = (1..12).map(|at| format!("a{at}: &a{at} [{}]\n", [format!("*a{}", at - 1).as_str(); 9].join(", ")));
    let text = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned()).chain(lines).collect::<String>();
    let mut package = good::package();
    package.insert("workload.yaml", File::text(text)).unwrap();
    survives(&package);
}
