//! `rebar workload init`: a small, commented package that passes the linter, to be changed into something of use. The files
//! are in `template/`; writing them to a disk is the caller's work.

use std::collections::BTreeMap;

use rebar_model::WorkloadName;

use crate::{File, schema};

/// The texts of the template, in which `NAME` stands for the name of the workload.
const FILES: [(&str, &str); 12] = [
    ("workload.yaml", include_str!("../template/workload.yaml")),
    ("README.md", include_str!("../template/README.md")),
    ("roles/server/role.yaml", include_str!("../template/roles/server/role.yaml")),
    ("roles/server/check.sh", include_str!("../template/roles/server/check.sh")),
    ("roles/server/apply.sh", include_str!("../template/roles/server/apply.sh")),
    ("roles/server/verify.sh", include_str!("../template/roles/server/verify.sh")),
    ("roles/server/undo.sh", include_str!("../template/roles/server/undo.sh")),
    ("roles/client/role.yaml", include_str!("../template/roles/client/role.yaml")),
    ("roles/client/check.sh", include_str!("../template/roles/client/check.sh")),
    ("roles/client/apply.sh", include_str!("../template/roles/client/apply.sh")),
    ("roles/client/verify.sh", include_str!("../template/roles/client/verify.sh")),
    ("roles/client/undo.sh", include_str!("../template/roles/client/undo.sh")),
];

/// The files of a new workload, with those for editors that stay outside of the package itself.
pub fn scaffold(name: &WorkloadName) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = FILES
        .iter()
        .map(|(path, text)| {
            let text = replace_word(text, name.as_str());
            ((*path).to_owned(), if text.starts_with("#!") { File::script(text) } else { File::text(text) })
        })
        .collect();
    files.extend(editor_files());
    files.insert(".gitignore".to_owned(), File::text("/.rebar/\n"));
    files
}

/// The schemas to which the first line of each document points, for editors.
pub fn editor_files() -> BTreeMap<String, File> {
    BTreeMap::from([
        (".rebar/workload.json".to_owned(), File::text(schema::to_text(&schema::workload()))),
        (".rebar/role.json".to_owned(), File::text(schema::to_text(&schema::role()))),
    ])
}

/// Puts the name in; `rebar-input NAME` and its like in the README are left as they are.
fn replace_word(text: &str, name: &str) -> String {
    text.replace("rebar-input NAME", "rebar-input \0")
        .replace("rebar-output NAME", "rebar-output \0")
        .replace("NAME", name)
        .replace('\0', "NAME")
}
