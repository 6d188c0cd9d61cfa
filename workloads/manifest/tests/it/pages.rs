//! Every number has a page, every page a number.

use std::{collections::BTreeSet, fs, path::PathBuf};

use rebar_manifest::Code;

#[test]
fn codes_and_pages_agree() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let pages: BTreeSet<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter_map(|it| it.strip_suffix(".md").filter(|it| it.starts_with("RB1")).map(str::to_owned))
        .collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(codes, pages);
    for code in Code::ALL {
        let text = fs::read_to_string(directory.join(format!("{code}.md"))).unwrap();
        assert_eq!(text.lines().next(), Some(format!("# {code}: {}", code.title()).as_str()));
        assert!(text.lines().count() <= 25, "{code} is longer than 25 lines");
        assert_eq!(Code::parse(&code.to_string()), Some(*code));
    }
}
