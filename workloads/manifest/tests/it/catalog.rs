//! The packages of the catalog are without mistakes.

use std::{fs, path::Path, path::PathBuf};

use rebar_manifest::{File, Package, Shelf, lint, read, render};

/// Reads a folder as the command line does.
pub fn folder(root: &Path) -> Package {
    fn walk(root: &Path, directory: &Path, files: &mut Vec<(String, File)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if Package::excludes(&relative) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, files);
            } else {
                use std::os::unix::fs::PermissionsExt as _;
                let executable = fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0;
                files.push((relative, File { bytes: fs::read(&path).unwrap(), executable }));
            }
        }
    }
    let mut files = Vec::new();
    walk(root, root, &mut files);
    Package::from_files(files).unwrap()
}

#[test]
fn every_workload_of_the_catalog_is_clean() {
    let catalog = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../catalog");
    let mut seen = 0;
    for entry in fs::read_dir(catalog).unwrap() {
        let package = folder(&entry.unwrap().path());
        let found = lint(&package, Shelf::EMPTY);
        let text: Vec<String> = found.iter().map(|it| render(it, &package)).collect();
        assert!(found.is_empty(), "{} diagnostics\n{}", found.len(), text.join("\n"));
        assert!(read(&package, &[]).is_ok());
        seen += 1;
    }
    assert!(seen > 0, "the catalog has workloads");
}
