//! Embeds the pages of `docs/errors`, so that `rebar help RB0012` works where there is nothing but the binary. A folder that is
//! not there gives no pages and no error.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from("../../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<(String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default().to_owned();
        if name.starts_with("RB") && path.extension().is_some_and(|it| it == "md") {
            pages.push((name, fs::canonicalize(path)?));
        }
    }
    pages.sort();
    let mut code = String::from("/// The pages, ordered by number.\npub static PAGES: &[(&str, &str)] = &[\n");
    for (name, path) in &pages {
        writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string())?;
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(PathBuf::from(out).join("pages.rs"), code)?;
    Ok(())
}
