//! The files that a role's templates become: when they are written, what is a difference, who may read them, when they go.

mod common;

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use common::{
    role::phase,
    setup::{Setup, failed, succeeded},
};
use rebar_proto::v1::{AttemptKind, Dispatch, FailureKind, Phase, PhaseWork, Template};

const UNIT: &str = "[Service]\nExecStart=/usr/bin/app --port {{ port }}\n";

/// An order for a role with this template beside these files.
fn order(setup: &Setup, attempt: u64, template: &str, files: &[(&str, &str)], phases: Vec<PhaseWork>) -> Dispatch {
    let mut all = vec![("unit.tera", template)];
    all.extend(files);
    let target = target(setup).to_string_lossy().into_owned();
    Dispatch {
        inputs_json: r#"{"port":8080}"#.to_owned(),
        templates: vec![Template { path: "unit.tera".to_owned(), target }],
        ..setup.order(attempt, &all, phases)
    }
}

fn target(setup: &Setup) -> std::path::PathBuf {
    setup.agent.file("etc/app/unit")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn files_are_there_before_apply_and_stay_untouched_when_nothing_changed() {
    let setup = Setup::new().await;
    let path = target(&setup);
    let script = format!("cat {}", path.display());
    let apply = |attempt| order(&setup, attempt, UNIT, &[("apply.sh", &script)], vec![phase(Phase::Apply, "apply.sh")]);
    succeeded(&setup.run(apply(1)).await);
    assert_eq!(setup.engine.log(1), "[Service]\nExecStart=/usr/bin/app --port 8080\n");
    let before = std::fs::metadata(&path).expect("there");
    assert_eq!((before.permissions().mode() & 0o7777, before.uid()), (0o644, rustix::process::geteuid().as_raw()));
    succeeded(&setup.run(apply(2)).await);
    let after = std::fs::metadata(&path).expect("there");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    let mut changed = apply(3);
    changed.inputs_json = r#"{"port":9090}"#.to_owned();
    succeeded(&setup.run(changed).await);
    assert!(text(&path).contains("9090"));
}

#[tokio::test]
async fn a_difference_means_that_it_is_not_so_whatever_the_check_says() {
    let setup = Setup::new().await;
    let path = target(&setup);
    let files = [("check.sh", "echo 'the check says' > $REBAR_DIFF"), ("apply.sh", "echo applied; cat $REBAR_DIFF")];
    let phases = vec![phase(Phase::Check, "check.sh"), phase(Phase::Apply, "apply.sh")];
    let run = async |attempt| {
        let result = setup.run(order(&setup, attempt, UNIT, &files, phases.clone())).await;
        (succeeded(&result).converged, setup.engine.log(attempt))
    };
    let name = path.display();
    let (converged, log) = run(1).await;
    assert!(!converged);
    let hunk = "@@ -0,0 +1,2 @@\n+[Service]\n+ExecStart=/usr/bin/app --port 8080\n";
    assert_eq!(log, format!("applied\nthe check says\n--- /dev/null\n+++ {name}\n{hunk}"));
    assert_eq!(run(2).await, (true, String::new()));
    std::fs::write(&path, "[Service]\nsomebody was here\n").expect("write");
    let (converged, log) = run(3).await;
    assert!(!converged);
    let hunk = "@@ -1,2 +1,2 @@\n [Service]\n-somebody was here\n+ExecStart=/usr/bin/app --port 8080\n";
    assert_eq!(log, format!("applied\nthe check says\n--- {name}\n+++ {name}\n{hunk}"));
    assert_eq!(run(4).await, (true, String::new()));
}

#[tokio::test]
async fn with_a_secret_among_the_inputs_only_root_reads_and_nothing_is_shown() {
    let setup = Setup::new().await;
    let path = target(&setup);
    let script = format!("cat {} $REBAR_DIFF 2>/dev/null; exit 0", path.display());
    let files = [("check.sh", "exit 1"), ("apply.sh", script.as_str())];
    let phases = vec![phase(Phase::Check, "check.sh"), phase(Phase::Apply, "apply.sh")];
    let secret = |attempt, template| Dispatch {
        inputs_json: r#"{"port":8080,"pw":"hunter22-secret"}"#.to_owned(),
        secret_inputs: vec!["pw".to_owned()],
        ..order(&setup, attempt, template, &files, phases.clone())
    };
    succeeded(&setup.run(secret(1, "password={{ pw }}\n")).await);
    assert_eq!(text(&path), "password=hunter22-secret\n");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(setup.engine.log(1), "password=***\n");
    let result = setup.run(secret(2, "\n{{ pw | int }}")).await;
    let hidden = "cannot be rendered; why is not shown, since the role has secret inputs";
    assert_eq!(failed(&result).message, format!("template unit.tera, line 2: `int` {hidden}"));
}

#[tokio::test]
async fn undo_removes_them_with_and_without_a_phase_of_its_own() {
    let setup = Setup::new().await;
    let path = target(&setup);
    let script = format!("test -e {}", path.display());
    let files = [("run.sh", script.as_str())];
    let undo = vec![phase(Phase::Undo, "run.sh")];
    let of_kind = |kind: AttemptKind, attempt, phases| Dispatch {
        kind: kind.into(),
        ..order(&setup, attempt, UNIT, &files, phases)
    };
    succeeded(&setup.run(of_kind(AttemptKind::Apply, 1, Vec::new())).await);
    assert!(path.exists());
    succeeded(&setup.run(of_kind(AttemptKind::Undo, 2, undo.clone())).await);
    assert!(!path.exists());
    // An undo that fails leaves them, and one that comes again finds nothing.
    assert_eq!(failed(&setup.run(of_kind(AttemptKind::Undo, 3, undo)).await).exit_code, Some(1));
    succeeded(&setup.run(of_kind(AttemptKind::Undo, 4, Vec::new())).await);
    // A redeploy takes the file away and makes it anew.
    succeeded(&setup.run(of_kind(AttemptKind::Apply, 5, Vec::new())).await);
    let before = std::fs::metadata(&path).expect("there").ino();
    let kept = std::fs::File::open(&path).expect("held, so that its number is not given again");
    succeeded(&setup.run(of_kind(AttemptKind::Replace, 6, Vec::new())).await);
    assert_ne!(std::fs::metadata(&path).expect("there").ino(), before);
    drop(kept);
}

#[tokio::test]
async fn a_template_that_cannot_be_rendered_fails_before_anything_runs() {
    let setup = Setup::new().await;
    let mark = setup.agent.file("mark");
    let script = format!("touch {}", mark.display());
    let files = [("check.sh", script.as_str()), ("apply.sh", script.as_str())];
    let phases = vec![phase(Phase::Check, "check.sh"), phase(Phase::Apply, "apply.sh")];
    let nowhere = |path: &str, target: &str| Template { path: path.to_owned(), target: target.to_owned() };
    let good = target(&setup).to_string_lossy().into_owned();
    for (attempt, template, source, message) in [
        (
            1,
            nowhere("unit.tera", &good),
            "\n{{ prot }}",
            "template unit.tera, line 2: there is no input `prot`; declared inputs: port",
        ),
        (2, nowhere("../unit.tera", &good), "", "template \"../unit.tera\" is not a file in the role's directory"),
        (3, nowhere("other.tera", &good), "", "there is no template \"other.tera\" in the role's directory"),
        (
            4,
            nowhere("unit.tera", "etc/x"),
            "",
            "template unit.tera: the target \"etc/x\" is not the absolute path of a file",
        ),
    ] {
        let order = order(&setup, attempt, source, &files, phases.clone());
        let result = setup.run(Dispatch { templates: vec![template], ..order }).await;
        let failure = failed(&result);
        assert_eq!((failure.kind(), failure.phase()), (FailureKind::Setup, Phase::Apply));
        assert_eq!(failure.message, message);
    }
    assert!(!mark.exists() && !target(&setup).exists());
}
