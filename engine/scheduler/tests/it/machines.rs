//! Which machines roles land on, and what this version can carry out.

use rebar_model::{Facts, Os};
use rebar_scheduler::{Input, PlanError, plan};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role};

fn mistakes(stage: &Stage) -> Vec<String> {
    plan(&stage.world, &demo()).unwrap_err().iter().map(|it| format!("{} {it}", it.code())).collect()
}

fn landed(stage: &Stage) -> Vec<String> {
    let plan = plan(&stage.world, &demo()).unwrap();
    let mut landed: Vec<_> = plan.steps.iter().map(|it| it.spec.id.local()).collect();
    landed.sort();
    landed
}

impl Stage {
    /// The agent of a node says what its machine is.
    fn report(&mut self, node: &str, os: &str, arch: &str) {
        self.report_init(node, os, arch, "");
    }

    fn report_init(&mut self, node: &str, os: &str, arch: &str, init: &str) {
        let os = Os { id: os.to_owned(), ..Os::default() };
        let facts = Facts { os, arch: arch.to_owned(), init: init.to_owned(), ..Facts::default() };
        self.input(Input::FactsReported { node: name(node), facts: Box::new(facts) }).unwrap();
    }
}

fn made_for(platforms: Value) -> Value {
    json!({"platforms": platforms})
}

#[test]
fn a_role_on_a_machine_that_it_is_not_made_for_is_a_mistake() {
    let platforms = made_for(json!({"os": ["debian", "ubuntu"], "arch": ["amd64"]}));
    let roles = || vec![role("engine", platforms.clone()), role("anything", made_for(json!({})))];
    let mut stage = Stage::new(&["n1", "n2", "n3", "n4"], roles());
    stage.report("n1", "debian", "amd64");
    stage.report("n2", "debian", "arm64");
    stage.report("n3", "alpine", "amd64");
    let made_for = "RB3017 role `engine` is made for debian or ubuntu on amd64, and node";
    assert_eq!(
        mistakes(&stage),
        [
            format!("{made_for} `n2` is debian on arm64"),
            format!("{made_for} `n3` is alpine on amd64"),
            format!("{made_for} `n4` has not reported its operating system; is its agent here?"),
        ]
    );
    stage.members(&["n1"]);
    assert_eq!(landed(&stage), ["anything@n1", "engine@n1"]);
}

#[test]
fn only_the_architecture_may_count() {
    let mut stage = Stage::new(&["n1"], vec![role("engine", made_for(json!({"arch": ["arm64"]})))]);
    assert!(
        mistakes(&stage)[0]
            .ends_with("is made for arm64, and node `n1` has not reported its architecture; is its agent here?")
    );
    stage.report("n1", "debian", "amd64");
    assert!(mistakes(&stage)[0].ends_with("is made for arm64, and node `n1` is debian on amd64"));
    stage.report("n1", "debian", "arm64");
    assert_eq!(landed(&stage), ["engine@n1"]);
}

#[test]
fn the_init_system_may_count() {
    let roles = vec![
        role("units", made_for(json!({"init": ["systemd"]}))),
        role("light", made_for(json!({"os": ["debian"], "init": ["runsvdir", "sh"]}))),
    ];
    let mut stage = Stage::new(&["n1"], roles);
    stage.report_init("n1", "debian", "amd64", "runsvdir");
    let systemd = "RB3017 role `units` is made for machines with systemd, and node `n1`";
    assert_eq!(mistakes(&stage), [format!("{systemd} is debian on amd64 with runsvdir")]);
    // An older agent does not say it.
    stage.report("n1", "debian", "amd64");
    let light = "RB3017 role `light` is made for debian with runsvdir or sh, and node `n1`";
    let unknown = "has not reported its init system; is its agent here?";
    assert_eq!(mistakes(&stage), [format!("{light} {unknown}"), format!("{systemd} {unknown}")]);
}

#[test]
fn where_a_role_is_left_out_its_machine_does_not_matter() {
    let spec = json!({"platforms": {"os": ["debian"]}, "when": "node.os.id == 'debian'"});
    let mut stage = Stage::new(&["n1", "n2"], vec![role("engine", spec)]);
    stage.report("n1", "debian", "amd64");
    stage.report("n2", "alpine", "amd64");
    assert_eq!(landed(&stage), ["engine@n1"]);
}

#[test]
fn of_two_implicit_providers_the_one_that_fits_is_taken() {
    let provider = |it: &str, os: &str| {
        role(
            it,
            json!({"provides": ["runtime"], "bind": {"groups": ["all"], "implicit": true}, "platforms": {"os": [os]}}),
        )
    };
    let user = role("user", json!({"requires": [{"capability": "runtime"}]}));
    let roles = vec![provider("apt-runtime", "debian"), provider("apk-runtime", "alpine"), user];
    let mut stage = Stage::new(&["n1", "n2"], roles);
    stage.report("n1", "debian", "amd64");
    stage.report("n2", "alpine", "amd64");
    assert_eq!(landed(&stage), ["apk-runtime@n2", "apt-runtime@n1", "user@n1", "user@n2"]);
    // None fits: what would do elsewhere is named.
    stage.report("n2", "rocky", "amd64");
    assert_eq!(
        mistakes(&stage),
        [
            "RB3013 demo/user@n2: requires capability `runtime`, and nothing on `n2` provides it; `apk-runtime` is made for \
          alpine, and `n2` is rocky on amd64; `apt-runtime` is made for debian, and `n2` is rocky on amd64"
        ]
    );
    // Nothing is known: nobody can say which of them it is.
    stage.report("n2", "", "");
    let codes: Vec<_> = plan(&stage.world, &demo()).unwrap_err().iter().map(PlanError::code).collect();
    assert_eq!(codes, ["RB3009", "RB3017", "RB3017"]);
}

#[test]
fn an_input_of_a_role_that_does_not_fit_says_so() {
    let maker =
        json!({"outputs": {"out": {"schema": {}}}, "bind": {"implicit": true}, "platforms": {"os": ["debian"]}});
    let taker = json!({"inputs": {"x": {"schema": {}, "from": {"role": "maker", "output": "out"}}}});
    let mut stage = Stage::new(&["n1"], vec![role("maker", maker), role("taker", taker)]);
    stage.report("n1", "alpine", "amd64");
    assert!(
        mistakes(&stage)[0]
            .ends_with("role `maker` has no instance on `n1`; `maker` is made for debian, and `n1` is alpine on amd64")
    );
}

#[test]
fn what_this_version_cannot_carry_out_is_said_once_a_role() {
    let roles = vec![
        role("playbook", json!({"runner": {"type": "ansible", "playbook": "site.yaml"}})),
        role("install", json!({"runner": {"type": "builtin", "action": "os.install"}})),
        role("aside", json!({"runner": {"type": "wasm", "module": "it.wasm"}, "bind": {"implicit": true}})),
        role("fine", json!({})),
    ];
    let stage = Stage::new(&["n1", "n2"], roles);
    let what = "which this version of Rebar does not have; write it with the runner `script`, or take the role out";
    assert_eq!(
        mistakes(&stage),
        [
            format!("RB3016 role `install` needs the action `os.install`, {what}"),
            format!("RB3016 role `playbook` needs the runner `ansible`, {what}"),
        ],
        "and nobody asks for what does not land"
    );
}
