//! Enrolment tokens: good once, and not after their time.

use rebar_model::{Span, TokenHash};
use rebar_scheduler::{Command, Refusal};

use crate::stage::Stage;

fn use_up(stage: &mut Stage, token: &str) -> Result<(), Refusal> {
    stage.command(Command::UseEnrolToken { hash: TokenHash::of(token) }).map(drop)
}

#[test]
fn a_token_is_good_once() {
    let mut stage = Stage::new(&["n1"], Vec::new());
    assert_eq!(use_up(&mut stage, "n1"), Ok(()));
    assert_eq!(use_up(&mut stage, "n1"), Err(Refusal::BadToken { why: "was used already" }));
    assert_eq!(use_up(&mut stage, "guessed"), Err(Refusal::BadToken { why: "is not known" }));
}

#[test]
fn a_token_is_not_good_after_its_time() {
    let mut stage = Stage::new(&["n1"], Vec::new());
    stage.pass(Span::from_secs(60));
    assert_eq!(use_up(&mut stage, "n1"), Err(Refusal::BadToken { why: "has expired" }));
}
