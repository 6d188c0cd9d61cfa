//! The power goes, at any operation on the disk, and what was not synced is lost, torn or written in another order: what the store said
//! to be committed is there, and the database opens. Each seed is a disk that loses its power several times, also while it recovers.
//! `REBAR_POWER_SEEDS=200` tries more of them, `REBAR_POWER_SEED=N` one.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rebar_conformance::{
    crash::{Writer, kept},
    disk::{Disk, Image, Loss, Power},
    postgres::Cluster,
};
use rebar_model::Seq;
use tokio::runtime::Runtime;

const SEEDS: u64 = 12;
const CUTS: usize = 6;
/// PostgreSQL takes seconds to start.
const SEEDS_OF_POSTGRES: u64 = 1;
const CUTS_OF_POSTGRES: usize = 3;
/// A writer does this many operations in no time.
const PATIENCE: Duration = Duration::from_mins(2);

/// The seeds to try.
fn seeds(usual: u64) -> Result<Vec<u64>> {
    let number = |name| std::env::var(name).ok().map(|it| it.parse::<u64>()).transpose();
    Ok(match number("REBAR_POWER_SEED")? {
        Some(one) => vec![one],
        None => (0..number("REBAR_POWER_SEEDS")?.unwrap_or(usual)).collect(),
    })
}

/// A machine with a disk, as one seed has it.
struct Machine {
    chance: StdRng,
    image: Image,
    told: Seq,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), image: Image::empty(), told: Seq::default() }
    }

    fn take(&mut self) -> Image {
        std::mem::replace(&mut self.image, Image::empty())
    }

    /// The moment of the next cut: as likely among the first ten operations as among the last thousands.
    fn moment(&mut self, magnitudes: std::ops::Range<u32>) -> Power {
        let most = 10_u64.pow(self.chance.random_range(magnitudes));
        Power::CutAfter(self.chance.random_range(0..most))
    }

    /// What the cut left.
    fn lose(&mut self, disk: Disk) {
        let loss = match self.chance.random_range(0..3) {
            0 => Loss::All,
            1 => Loss::Some { sector: 512 },
            _ => Loss::Some { sector: 4_096 },
        };
        self.image = disk.take_out().after_cut(loss, &mut self.chance);
    }

    /// Has the writer commit until the power goes.
    fn commit_until_cut(&mut self, disk: &Disk, database: &str) -> Result<()> {
        let writer = Writer::start(Path::new(env!("CARGO_BIN_EXE_commit-loop")), database, self.chance.random())?;
        ensure!(disk.wait_for_cut(PATIENCE), "the power was not cut after {} operations", disk.operations());
        self.told = self.told.max(writer.told()?);
        Ok(())
    }
}

fn each_seed(usual: u64, mut round: impl FnMut(&mut Machine) -> Result<()>, cuts: usize) -> Result<()> {
    for seed in seeds(usual)? {
        let mut machine = Machine::new(seed);
        for cut in 0..cuts {
            round(&mut machine).with_context(|| format!("REBAR_POWER_SEED={seed}, cut {cut}"))?;
        }
    }
    Ok(())
}

#[test]
fn sqlite_keeps_what_it_committed() -> Result<()> {
    let runtime = Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let database = directory.path().join("rebar.db").display().to_string();
    let round = |machine: &mut Machine| {
        let disk = Disk::mount(directory.path(), machine.take(), machine.moment(1..5))?;
        machine.commit_until_cut(&disk, &database)?;
        machine.lose(disk);
        let disk = Disk::mount(directory.path(), machine.take(), Power::Steady)?;
        machine.told = runtime.block_on(kept(&database, machine.told))?;
        machine.image = disk.take_out().settled();
        Ok(())
    };
    each_seed(SEEDS, round, CUTS)
}

#[test]
fn postgresql_keeps_what_it_committed() -> Result<()> {
    let runtime = Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let disk = Disk::mount(directory.path(), Image::empty(), Power::Steady)?;
    let cluster = Cluster::make(directory.path())?;
    cluster.start()?.database("power")?;
    let made = disk.take_out().settled();
    let round = |machine: &mut Machine| {
        if machine.told == Seq::default() {
            machine.image = made.clone();
        }
        let disk = Disk::mount(directory.path(), machine.take(), machine.moment(2..5))?;
        match cluster.start() {
            Ok(server) => {
                let committed = machine.commit_until_cut(&disk, &server.address("power"));
                server.abandon()?;
                committed?;
            }
            Err(error) => ensure!(disk.wait_for_cut(Duration::ZERO), "the server does not start: {error:?}"),
        }
        machine.lose(disk);
        let disk = Disk::mount(directory.path(), machine.take(), Power::Steady)?;
        let server = cluster.start()?;
        machine.told = runtime.block_on(kept(&server.address("power"), machine.told))?;
        drop(server);
        machine.image = disk.take_out().settled();
        Ok(())
    };
    each_seed(SEEDS_OF_POSTGRES, round, CUTS_OF_POSTGRES)
}
