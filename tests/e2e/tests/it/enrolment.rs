//! Who may be an agent: a token once, not after its time, and no certificate of a stranger.

use rebar_e2e::House;

#[test]
fn a_token_makes_one_agent() {
    let house = House::new();
    let words = house.invite("n1");
    house.enrol(&words, &house.path("first")).ok();
    let second = house.enrol(&words, &house.path("second"));
    assert_ne!(second.code, 0);
    assert!(second.err.contains("used already"), "{}", second.err);
}

#[test]
fn an_unknown_token_and_a_wrong_fingerprint_are_refused() {
    let house = House::new();
    let mut words = house.invite("n1");
    let token = words.iter().position(|it| it == "--token").unwrap() + 1;
    let fingerprint = words.iter().position(|it| it == "--ca-fingerprint").unwrap() + 1;
    let good = words[token].clone();
    words[token] = "0".repeat(64);
    let unknown = house.enrol(&words, &house.path("first"));
    assert!(unknown.code != 0 && unknown.err.contains("not known"), "{}", unknown.err);
    words[token] = good;
    let right = std::mem::replace(&mut words[fingerprint], "0".repeat(64));
    let stranger = house.enrol(&words, &house.path("second"));
    assert!(stranger.code != 0 && stranger.err.contains("fingerprint"), "{}", stranger.err);
    words[fingerprint] = right;
    house.enrol(&words, &house.path("third")).ok();
}

#[test]
fn the_api_wants_a_token_and_the_right_authority() {
    let house = House::new();
    let mut command = house.command();
    let done = rebar_e2e::Done::of(command.env("REBAR_TOKEN", "0".repeat(64)).args(["node", "ls"]));
    assert_eq!(done.code, 4, "{}", done.err);
    let other = House::new();
    let mut command = house.command();
    let done = rebar_e2e::Done::of(command.env("REBAR_CA_FILE", other.path("data/ca.pem")).args(["node", "ls"]));
    assert_ne!(done.code, 0, "{}", done.out);
}
