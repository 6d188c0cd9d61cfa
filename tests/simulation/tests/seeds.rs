//! Runs a fixed set of seeds, and fresh ones when `REBAR_SIM_SEEDS` says how many. A failure prints its seed; replay it with
//! `REBAR_SIM_SEED=N cargo nextest run -p rebar-simulation replay`.

use std::panic;

use rebar_simulation::{Faults, Sim, Summary};

fn run(seed: u64, faults: Faults) -> Summary {
    match panic::catch_unwind(|| Sim::new(seed, faults).run()) {
        Ok(summary) => summary,
        Err(cause) => {
            eprintln!("seed {seed} failed; replay it with REBAR_SIM_SEED={seed}");
            panic::resume_unwind(cause)
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn calm_seeds_settle() {
    for seed in 0..200 {
        let summary = run(seed, Faults::NONE);
        assert!(summary.changes > 0);
    }
}

#[test]
fn storms_settle() {
    for seed in 0..number("REBAR_SIM_SEEDS").unwrap_or(400) {
        run(seed, Faults::STORM);
    }
}

#[test]
fn equal_seeds_give_equal_histories() {
    for seed in 1_000..1_020 {
        assert_eq!(run(seed, Faults::STORM), run(seed, Faults::STORM));
    }
}

#[test]
fn replay_of_one_seed() {
    if let Some(seed) = number("REBAR_SIM_SEED") {
        eprintln!("{:?}", run(seed, Faults::STORM));
    }
}
