//! What comes from outside of a deployment: values and secrets of the site, and stand-ins for what others made and keep.

use rebar_model::{AttemptKind, Layer, ParameterScope};
use rebar_scheduler::{Command, parameter_value, plan, why};
use serde_json::{Value, json};

use crate::stage::{Stage, demo, name, role, workload};

fn mistakes(stage: &Stage) -> Vec<String> {
    plan(&stage.world, &demo()).unwrap_err().iter().map(|it| format!("{} {it}", it.code())).collect()
}

/// A role that takes the parameter `p` of a workload, which says where `p` comes from.
fn with_parameter(parameter: Value) -> Stage {
    let taker = role("taker", json!({"inputs": {"p": {"schema": {}, "from": {"deployment": "p"}}}}));
    Stage::with(&["n1"], workload("1.0.0", vec![taker], json!({"inputs": {"p": parameter}})))
}

/// A role whose input comes from the site.
fn with_input(input: Value) -> Stage {
    Stage::new(&["n1"], vec![role("taker", json!({"inputs": {"p": input}}))])
}

fn secret(of: &str) -> Value {
    json!({"$secret": of.repeat(8)})
}

impl Stage {
    fn set_global(&mut self, parameter: &str, value: Value) {
        self.set(ParameterScope::Global, parameter, value);
    }

    fn settled(&mut self) {
        self.apply();
        self.settle(|_| json!(0));
    }

    /// The levels of `taker`'s input, those with a value with it, the one that decides in brackets.
    fn levels(&self) -> Vec<String> {
        let shown = |it: Layer| match (it.value, it.wins) {
            (None, _) => it.level,
            (Some(value), false) => format!("{} {value}", it.level),
            (Some(value), true) => format!("[{} {value}]", it.level),
        };
        why(&self.world, &self.id("taker@n1"), &name("p")).unwrap().layers.into_iter().map(shown).collect()
    }
}

#[test]
fn a_parameter_takes_its_value_from_inside_of_the_site() {
    let spec = json!({"schema": {"type": "string"}, "from": {"site": "dns.domain"}});
    let mut stage = with_parameter(spec);
    let expected = "RB3008 demo/taker@n1: input `p` has no value: no level sets the parameter `p`, and the site has no \
                    `dns.domain`; use `rebar attr set dns VALUE --global` with a `domain` in the value";
    assert_eq!(mistakes(&stage), [expected]);
    stage.set_global("dns", json!({"servers": []}));
    assert_eq!(mistakes(&stage), [expected]);
    stage.set_global("dns", json!({"domain": 7}));
    assert_eq!(
        mistakes(&stage),
        ["RB3012 parameter `p` (site dns.domain): 7 is not of type \"string\""],
        "the parameter says where the value was set"
    );
    stage.set_global("dns", json!({"domain": "lab.example"}));
    stage.settled();
    let explained = why(&stage.world, &stage.id("taker@n1"), &name("p")).unwrap();
    assert_eq!((explained.value, explained.origin.as_str()), (Some(json!("lab.example")), "site dns.domain"));
    let site = explained.layers.iter().find(|it| it.wins).unwrap();
    assert_eq!((site.by.as_ref().map(|it| it.0.as_str()), site.at), (Some("ana"), Some(stage.now)));
}

#[test]
fn the_site_is_stronger_than_the_default_and_weaker_than_every_level() {
    let mut stage = with_parameter(json!({"schema": {}, "from": {"site": "place.p"}, "default": "d"}));
    stage.settled();
    let (default, rest) = ("workload default stage@1.0.0", ["global", "deployment/demo", "node/n1"]);
    assert_eq!(stage.levels()[..2], [format!("[{default} \"d\"]"), "site place.p".to_owned()]);
    assert_eq!(stage.levels()[2..], rest);
    stage.set_global("place", json!({"p": "s"}));
    let mut expected = vec![format!("{default} \"d\""), "[site place.p \"s\"]".to_owned()];
    expected.extend(rest.map(str::to_owned));
    assert_eq!(stage.levels(), expected);
    let mut spec = stage.world.deployments()[&demo()].spec.clone();
    spec.profiles = vec![name("east")];
    stage.command(Command::ChangeDeployment { name: demo(), spec }).unwrap();
    expected.insert(3, "profile/east".to_owned());
    let scopes = [
        (2, ParameterScope::Global),
        (3, ParameterScope::Profile(name("east"))),
        (4, ParameterScope::Deployment(demo())),
        (5, ParameterScope::Node(name("n1"))),
    ];
    for (place, scope) in scopes {
        stage.set(scope, "p", json!(place));
        let before = place - 1;
        expected[before] = expected[before].trim_matches(['[', ']']).to_owned();
        expected[place] = format!("[{} {place}]", expected[place]);
        assert_eq!(stage.levels(), expected);
    }
    let (deployment, workload) =
        (&stage.world.deployments()[&demo()], stage.world.workloads().values().next().unwrap());
    assert_eq!(parameter_value(&stage.world, deployment, workload, &name("p")), Some(json!(4)));
}

#[test]
fn a_change_of_the_site_runs_what_takes_it() {
    for mut stage in [
        with_parameter(json!({"schema": {}, "from": {"site": "dns.domain"}})),
        with_input(json!({"schema": {}, "from": {"site": "dns.domain"}})),
    ] {
        stage.set_global("dns", json!({"domain": "a.example"}));
        stage.settled();
        stage.news();
        stage.set_global("dns", json!({"domain": "a.example", "servers": []}));
        stage.settled();
        assert_eq!(stage.news(), [""; 0], "what it takes is the same");
        stage.set_global("dns", json!({"domain": "b.example"}));
        let plan = plan(&stage.world, &demo()).unwrap();
        let difference = &plan.steps[0].differences[0];
        assert_eq!((difference.what.as_str(), difference.origin.as_deref()), ("input p", Some("site dns.domain")));
        stage.settled();
        assert_eq!(stage.news(), ["taker@n1"]);
    }
}

#[test]
fn an_input_takes_from_the_site_or_its_default() {
    let mut stage = with_input(json!({"schema": {"type": "integer"}, "from": {"site": "replicas"}}));
    assert_eq!(
        mistakes(&stage),
        [
            "RB3008 demo/taker@n1: input `p` has no value: the site has no `replicas`; use `rebar attr set replicas VALUE --global`"
        ]
    );
    stage.set_global("replicas", json!("many"));
    assert_eq!(
        mistakes(&stage),
        ["RB3012 demo/taker@n1: input `p` (site replicas): \"many\" is not of type \"integer\""]
    );
    let mut stage = with_input(json!({"schema": {"type": "integer"}, "from": {"site": "replicas"}, "default": 1}));
    stage.settled();
    assert_eq!(stage.levels(), ["[role default 1]", "site replicas"]);
    stage.set_global("replicas", json!(3));
    stage.settled();
    assert_eq!(stage.levels(), ["role default 1", "[site replicas 3]"]);
}

#[test]
fn a_secret_of_the_site_has_to_be_set_as_one() {
    let wants = json!({"schema": {"type": "string"}, "from": {"secret": "vip_key"}});
    for (mut stage, of) in
        [(with_parameter(wants.clone()), "no level sets the parameter `p`, and "), (with_input(wants), "")]
    {
        let missing = format!("RB3008 demo/taker@n1: input `p` has no value: {of}");
        let how = "use `rebar attr set vip_key - --global --secret`";
        assert_eq!(mistakes(&stage), [format!("{missing}the site has no secret `vip_key`; {how}")]);
        stage.set_global("vip_key", json!("hunter2"));
        assert_eq!(mistakes(&stage), [format!("{missing}`vip_key` of the site was not set as a secret; {how}")]);
        stage.set_global("vip_key", secret("a"));
        stage.settled();
        let spec = &stage.world.node_role(&stage.id("taker@n1")).unwrap().spec;
        assert!(spec.bindings[&name::<rebar_model::Ident>("p")].secret);
        let explained = why(&stage.world, &stage.id("taker@n1"), &name("p")).unwrap();
        assert_eq!(
            (explained.origin.as_str(), explained.value.unwrap()["secret"].clone()),
            ("site secret vip_key", json!(true))
        );
        assert!(explained.layers.iter().filter_map(|it| it.value.as_ref()).all(|it| it["secret"] == json!(true)));
    }
}

#[test]
fn expressions_do_not_see_secrets_of_the_site() {
    let spec = json!({"inputs": {"x": {"schema": {}, "from": {"expr": "params.p"}}}});
    let p = json!({"schema": {}, "from": {"secret": "vip_key"}});
    let mut stage = Stage::with(&["n1"], workload("1.0.0", vec![role("taker", spec)], json!({"inputs": {"p": p}})));
    stage.set_global("vip_key", secret("a"));
    assert!(mistakes(&stage)[0].starts_with("RB3008 demo/taker@n1: input `x` has no value: `params.p`"));
}

#[test]
fn a_path_does_not_lead_into_a_secret() {
    let mut stage = with_input(json!({"schema": {}, "from": {"site": "token.$secret"}}));
    stage.set_global("token", secret("a"));
    assert!(mistakes(&stage)[0].contains("the site has no `token.$secret`"));
}

/// A stand-in for a store that others keep, and something that uses it.
fn stand_in() -> Vec<(String, Value)> {
    let store = json!({
        "scope": "service", "runner": {"type": "noop"},
        "inputs": {
            "url": {"schema": {"type": "string"}, "from": {"site": "store.url"}},
            "token": {"schema": {}, "from": {"secret": "store_token"}, "secret": true},
            "unused": {"schema": {}, "default": 1},
        },
        "outputs": {"url": {"schema": {"type": "string"}}, "token": {"schema": {}, "secret": true}},
    });
    let user = json!({"inputs": {
        "url": {"schema": {}, "from": {"role": "store", "output": "url", "take": "leader"}},
        "token": {"schema": {}, "from": {"role": "store", "output": "token", "take": "leader"}, "secret": true},
    }});
    vec![("store".to_owned(), store), role("user", user)]
}

fn with_stand_in() -> Stage {
    let mut stage = Stage::new(&["n1"], stand_in());
    stage.set_global("store", json!({"url": "https://store.example"}));
    stage.set_global("store_token", secret("a"));
    stage
}

/// What the attempt that runs is given.
fn given(stage: &Stage, input: &str) -> Value {
    stage.world.attempts()[&stage.handed[0]].inputs[&name::<rebar_model::Ident>(input)].value.clone()
}

#[test]
fn a_stand_in_passes_on_what_it_is_told() {
    let mut stage = with_stand_in();
    stage.apply();
    assert_eq!((stage.word("store"), stage.running()), ("active", vec!["user@n1".to_owned()]));
    let outputs = &stage.world.node_role(&name("demo/store")).unwrap().status.last.as_ref().unwrap().outputs;
    assert_eq!(outputs.keys().map(rebar_model::Ident::as_str).collect::<Vec<_>>(), ["token", "url"]);
    assert_eq!((given(&stage, "url"), given(&stage, "token")), (json!("https://store.example"), secret("a")));
    stage.settled();
    stage.set_global("store", json!({"url": "https://other.example"}));
    stage.apply();
    assert_eq!(stage.running(), ["user@n1"]);
    assert_eq!(given(&stage, "url"), json!("https://other.example"));
}

#[test]
fn a_stand_in_is_rebuilt_and_taken_away_without_touching_what_it_stands_for() {
    let mut stage = with_stand_in();
    stage.settled();
    stage.news();
    stage.command(Command::Rebuild { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.settle(|_| json!(0));
    assert_eq!(stage.news(), ["user@n1", "user@n1"], "undone and built again; the stand-in needs no agent for either");
    assert_eq!((stage.word("store"), stage.word("user@n1")), ("active", "active"));
    let undone = stage.world.attempts().values().filter(|it| it.kind == AttemptKind::Undo).count();
    assert_eq!(undone, 0);
    stage.command(Command::Destroy { deployment: demo(), allowed: Vec::new() }).unwrap();
    stage.settle(|_| json!(0));
    assert!(stage.world.deployments().is_empty());
}
