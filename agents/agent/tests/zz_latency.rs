//! temp
mod common;
use common::{agent::Agent, engine::Engine, role::{archive, dispatch, phase}};
use rebar_proto::v1::Phase;
#[tokio::test]
async fn latency() {
    let engine = Engine::start().await;
    let agent = Agent::running(&engine).await;
    let (digest, bytes) = archive(&[("apply.sh", "exit 0")]);
    engine.content(&digest, bytes);
    let mut times = vec![];
    for attempt in 1..=100 {
        let t = std::time::Instant::now();
        engine.dispatch(dispatch(attempt, &digest, vec![phase(Phase::Apply, "apply.sh")])).await;
        engine.result(attempt).await;
        times.push(t.elapsed().as_micros());
    }
    times.sort();
    eprintln!("p50 {} p90 {} max {}", times[50], times[90], times[99]);
    let t = std::time::Instant::now();
    for attempt in 101..=300 { engine.dispatch(dispatch(attempt, &digest, vec![phase(Phase::Apply, "apply.sh")])).await; }
    for attempt in 101..=300 { engine.result(attempt).await; }
    eprintln!("200 in parallel {:?}", t.elapsed());
    drop(agent);
}
