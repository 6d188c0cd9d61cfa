//! The documentation as its readers use it: every command block of a page is run, in order, in one shell; a block with `file=PATH` is
//! written to that file first.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Command};

use rebar_e2e::{Done, House, bin, blocks, root};

/// The page as a shell script that stops at the first command that fails.
fn script(page: &str) -> String {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    // Job control gives `kill %1` its meaning.
    let mut script = vec!["set -emuo pipefail".to_owned()];
    for block in blocks(&text) {
        if let Some(file) = block.note.strip_prefix("file=") {
            script.push(format!("cat > {file} <<'END_OF_FILE'\n{}END_OF_FILE", block.text));
        }
        if block.language == "console" {
            for command in block.commands() {
                script.push(format!("echo '{page}:{}' >&2\n{command}", block.line));
            }
        }
    }
    script.join("\n")
}

fn run(page: &str, dir: &Path, home: &Path, environment: &[(String, String)]) -> Done {
    let path = format!("{}:{}", bin("rebar").parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-c", &script(page)]).current_dir(dir).env("HOME", home).env("PATH", path).process_group(0);
    for (key, value) in environment {
        command.env(key, value);
    }
    // The reader's home is a new one, but the tools are where they were.
    let real_home = std::env::var("HOME").unwrap_or_default();
    for (key, place) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        command.env(key, std::env::var(key).unwrap_or(format!("{real_home}/{place}")));
    }
    Done::of(&mut command)
}

#[test]
fn write_your_first_role() {
    let house = House::new();
    let _agents = house.join(&["n1"]);
    let environment: Vec<(String, String)> = house
        .command()
        .get_envs()
        .filter_map(|(key, value)| Some((key.to_str()?.to_owned(), value?.to_str()?.to_owned())))
        .collect();
    let dir = house.path("reader");
    fs::create_dir_all(&dir).unwrap();
    let done = run("write-your-first-role.md", &dir, &dir, &environment).ok();
    assert!(done.out.contains("the greeting is now: good morning"), "{}", done.out);
}

#[test]
fn quick_start() {
    let home = tempfile::tempdir().unwrap();
    let done = run("quick-start.md", &root(), home.path(), &[]);
    if done.code != 0 {
        let log = fs::read_to_string(root().join("target/quick-start.log")).unwrap_or_default();
        tidy_up();
        panic!("stdout:\n{}\nstderr:\n{}\nengine:\n{log}", done.out, done.err);
    }
    assert!(done.out.contains("served by"), "{}", done.out);
    fs::remove_dir_all(root().join("target/quick-start")).unwrap();
}

/// What a reader who stops in the middle would take away by hand.
fn tidy_up() {
    let sh = "pkill -f 'serve --data target/quick-start' || true
              docker ps -aq --filter label=dev.rebar.network=rebar | xargs -r docker rm -fv
              docker network rm rebar || true; rm -rf target/quick-start";
    // The test has failed already; this only leaves a clean machine to look at.
    let _ = Done::of(Command::new("bash").args(["-c", sh]).current_dir(root()));
}
