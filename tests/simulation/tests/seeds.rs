//! Runs a fixed set of seeds and some fresh ones; `REBAR_SIM_SEEDS` and `REBAR_SIM_FROM` say how many others. Failures print their seeds; replay one with `REBAR_SIM_SEED=N cargo nextest run -p rebar-simulation replay`.

use std::panic;

use rebar_simulation::{Faults, Summary, play};

/// One simulation, on a clock that goes on when nothing else can.
fn run(seed: u64, faults: Faults) -> Summary {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread").block_on(play(seed, faults))
}

/// Runs all of them, then says which failed and why.
fn all(seeds: impl Iterator<Item = u64>, faults: Faults) {
    let mut failures = Vec::new();
    for seed in seeds {
        if let Err(cause) = panic::catch_unwind(|| run(seed, faults)) {
            let why = cause.downcast_ref::<String>().map(String::as_str);
            let why = why.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            failures.push(format!("REBAR_SIM_SEED={seed}: {why}"));
        }
    }
    assert!(failures.is_empty(), "{} seeds failed; replay them with\n{}", failures.len(), failures.join("\n"));
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn calm_seeds_settle() {
    all(0..100, Faults::NONE);
}

#[test]
fn storms_settle() {
    let first = number("REBAR_SIM_FROM").unwrap_or(0);
    all(first..first + number("REBAR_SIM_SEEDS").unwrap_or(200), Faults::STORM);
}

/// Seeds that found something wrong in the product; the README says what.
#[test]
fn what_was_found_stays_mended() {
    all([200_070].into_iter(), Faults::STORM);
}

/// Others with every run: what fails here is replayed with the seed that it prints.
#[test]
fn fresh_storms_settle() {
    let first = fastrand::u64(1_000_000..1_000_000_000);
    all(first..first + 100, Faults::STORM);
}

#[test]
fn equal_seeds_give_equal_histories() {
    for seed in 1_000..1_010 {
        assert_eq!(run(seed, Faults::STORM), run(seed, Faults::STORM));
    }
}

#[test]
fn replay_of_one_seed() {
    if let Some(seed) = number("REBAR_SIM_SEED") {
        eprintln!("{:?}", run(seed, Faults::STORM));
    }
}
