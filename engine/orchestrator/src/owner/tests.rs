//! The limits of the owner, at each and past it: what comes too fast waits where it is, and nothing is lost.

use rebar_ports::AgentDoor;
use rebar_scheduler::Command;
use tokio::time::timeout;

use super::*;
use crate::{
    Handle, MAX_INBOX,
    engine::Parts,
    limits::MAX_OUTBOX,
    tests::{Kept, PATIENCE, ports, token, until, waits},
};

async fn parts(kept: &Arc<Kept>) -> Parts {
    Parts::make(ports(kept)).await.unwrap()
}

/// A message that asks for one change.
fn asked(at: usize) -> Message {
    let (by, command) = (Actor::engine(), Command::PutApiToken { token: token(at) });
    Message::Input { input: Input::Command { by: by.clone(), command }, by, reply: None }
}

/// The messages that the owner takes next.
async fn taken(owner: &mut Owner) -> usize {
    match owner.next(None, true, None, &CancellationToken::new()).await {
        Next::Take(messages) => messages.len(),
        Next::Committed(_) | Next::Stop => panic!("the owner takes nothing"),
    }
}

#[tokio::test]
async fn so_many_messages_wait_in_the_inbox_and_then_who_sends_them() {
    let Parts { shared, mut owner, .. } = parts(&Arc::default()).await;
    let handle = Handle { shared: shared.clone() };
    for at in 0..MAX_INBOX {
        assert!(shared.intake().unwrap().inbox.try_send(asked(at)).is_ok(), "message {at}");
    }
    let node = "n1".parse().unwrap();
    let mut agent = handle.disconnected(&node, SessionId(1));
    assert!(waits(&mut agent).await, "an agent's stream");
    let command = Command::PutApiToken { token: token(MAX_INBOX) };
    let mut person = Box::pin(handle.command(Actor::engine(), command));
    assert!(waits(&mut person).await, "a request");
    assert_eq!(taken(&mut owner).await, MAX_BATCH);
    agent.await.unwrap();
}

#[tokio::test]
async fn so_many_messages_are_taken_at_a_time() {
    let Parts { shared, mut owner, .. } = parts(&Arc::default()).await;
    let inbox = &shared.intake().unwrap().inbox;
    for (sent, expected) in [(MAX_BATCH, &[MAX_BATCH][..]), (MAX_BATCH + 1, &[MAX_BATCH, 1][..])] {
        for at in 0..sent {
            inbox.send(asked(at)).await.ok().unwrap();
        }
        for count in expected {
            assert_eq!(taken(&mut owner).await, *count, "of {sent}");
        }
        assert_eq!(inbox.capacity(), MAX_INBOX, "all are taken");
    }
}

#[tokio::test]
async fn so_much_is_decided_while_a_commit_is_on_its_way() {
    let kept = Arc::new(Kept::default());
    let Parts { shared, owner, effects, .. } = parts(&kept).await;
    let (handle, inbox) = (Handle { shared: shared.clone() }, &shared.intake().unwrap().inbox);
    kept.shut(true);
    let running = tokio::spawn(owner.run(CancellationToken::new()));
    inbox.send(asked(0)).await.ok().unwrap();
    until(&kept.commits, |it| it.len() == 2).await;
    for at in 1..=MAX_AHEAD {
        inbox.send(asked(at)).await.ok().unwrap();
    }
    let all_taken = async {
        while inbox.capacity() < MAX_INBOX {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_taken).await.expect("what there is room for is taken");
    for at in 0..MAX_INBOX {
        assert!(inbox.try_send(asked(MAX_AHEAD + 1 + at)).is_ok(), "message {at}");
    }
    let last = Command::PutApiToken { token: token(MAX_AHEAD + MAX_INBOX + 1) };
    let mut last = Box::pin(handle.command(Actor::engine(), last));
    assert!(waits(&mut last).await, "past that, nothing is taken");
    assert_eq!(inbox.capacity(), 0);
    kept.shut(false);
    last.await.unwrap();
    let commits = kept.commits.borrow().clone();
    assert_eq!(commits[..3], [1, 1, MAX_AHEAD], "the epoch, the first message, and what was decided meanwhile");
    assert_eq!(commits.iter().sum::<usize>(), 1 + MAX_AHEAD + MAX_INBOX + 2);
    assert_eq!(handle.read(|world| world.api_tokens().len()), MAX_AHEAD + MAX_INBOX + 2);
    running.abort();
    drop(effects);
}

#[tokio::test]
async fn so_many_effects_wait_for_the_outbox_and_then_the_owner() {
    let Parts { owner, mut effects, .. } = parts(&Arc::default()).await;
    let of = |count: usize| Commit {
        records: Arc::default(),
        effects: std::iter::repeat_with(|| Effect::Reconcile).take(count).collect(),
        answers: Vec::new(),
        task: tokio::spawn(std::future::ready(Ok(()))),
    };
    assert!(owner.finish(of(MAX_OUTBOX)).await);
    let mut more = Box::pin(owner.finish(of(1)));
    assert!(waits(&mut more).await);
    assert_eq!(effects.len(), MAX_OUTBOX);
    assert!(effects.recv().await.is_some());
    assert!(more.await, "the outbox took one");
}

#[test]
fn what_nobody_waits_for_goes_with_what_comes_next_or_when_it_is_due() {
    let now = Timestamp::UNIX_EPOCH;
    let later = MAX_DELAY.after(now);
    let mut batch = Batch::default();
    batch.go_by(later);
    assert!(!batch.is_due(later), "there is nothing in it");
    batch.effects.push(Effect::Reconcile);
    assert!(!batch.is_due(now) && batch.is_due(later));
    batch.go_by(now);
    assert!(batch.is_due(now));
    batch.go_by(later);
    assert!(batch.is_due(now), "what is urgent stays urgent");
}
