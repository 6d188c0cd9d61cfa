//! The power goes at the engine's machine and at a node's, at any operation on their disks, and what was not synced is lost or torn: what
//! was acknowledged is there, the deployment goes on to the same end, and no attempt runs twice. `REBAR_POWER_SEED=N` tries another
//! order of events, `REBAR_POWER_ROUNDS=50` a longer one.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rebar_conformance::disk::{Disk, Image, Loss, Power};
use rebar_e2e::{House, bin, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::marks::{Role, assert_once, deploy, marks};

const ROUNDS: u64 = 10;
/// For a cut that does not come by itself.
const PATIENCE: Duration = Duration::from_secs(3);

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |it| it.parse().unwrap())
}

/// A machine with a disk that can lose its power.
struct Machine {
    at: PathBuf,
    disk: Option<Disk>,
    boots: u32,
}

impl Machine {
    fn new(at: PathBuf) -> Self {
        fs::create_dir_all(&at).unwrap();
        let disk = Some(Disk::mount(&at, Image::empty(), Power::Steady).unwrap());
        Self { at, disk, boots: 0 }
    }

    /// Cuts the power, if that has not been: everything that ran here is gone, and the disk is as the cut left it. `end` ends what
    /// the test knows to run here.
    fn reboot(&mut self, loss: Loss, chance: &mut StdRng, power: Power, end: impl FnOnce()) {
        let disk = self.disk.take().unwrap();
        disk.cut();
        end();
        end_all(&self.at);
        let image = disk.take_out().after_cut(loss, chance);
        self.disk = Some(Disk::mount(&self.at, image, power).unwrap());
        self.boots += 1;
    }

    fn is_cut(&self) -> bool {
        self.disk.as_ref().unwrap().wait_for_cut(Duration::ZERO)
    }
}

/// Kills every process that was started for a directory, and waits until they are gone.
fn end_all(directory: &Path) {
    let place = directory.as_os_str().as_bytes();
    let is_of = |pid: &Path| {
        ["cmdline", "environ"].iter().any(|name| {
            let words = fs::read(pid.join(name)).unwrap_or_default();
            words.windows(place.len()).any(|it| it == place)
        })
    };
    eventually("nothing runs on a machine without power", || {
        let all = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
        let pids = all.filter(|it| is_of(it)).filter_map(|it| it.file_name()?.to_str()?.parse::<i32>().ok());
        let pids: Vec<_> = pids.filter_map(Pid::from_raw).filter(|it| *it != rustix::process::getpid()).collect();
        for pid in &pids {
            let _ = kill_process(*pid, Signal::KILL);
        }
        pids.is_empty().then_some(())
    });
}

/// An engine and the agent of one node, each on a machine of its own.
struct Site {
    house: House,
    engine: Machine,
    node: Machine,
    agent: Option<Child>,
    chance: StdRng,
}

impl Site {
    fn new(seed: u64) -> Self {
        let mut house = House::stopped();
        let (engine, node) = (Machine::new(house.path("data")), Machine::new(house.path("node")));
        house.start_engine();
        let state = node.at.join("state");
        house.enrol(&house.invite("n1"), &state).ok();
        Self { house, engine, node, agent: None, chance: StdRng::seed_from_u64(seed) }
    }

    fn start_agent(&mut self) {
        let boot = self.house.path("boot");
        fs::write(&boot, format!("boot-{}", self.node.boots)).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.house.path("agent.log")).unwrap();
        let mut command = Command::new(bin("rebar-agent"));
        command.arg("run").arg("--state").arg(self.node.at.join("state")).args(["--enrol", "/nonexistent"]);
        command.env("REBAR_AGENT_BOOT_ID_FILE", boot).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    fn loss(&mut self) -> Loss {
        match self.chance.random_range(0..3) {
            0 => Loss::All,
            1 => Loss::Some { sector: 512 },
            _ => Loss::Some { sector: 4_096 },
        }
    }

    fn moment(&mut self) -> Power {
        let most = 10_u64.pow(self.chance.random_range(1..4));
        Power::CutAfter(self.chance.random_range(0..most))
    }

    fn cut_engine(&mut self, power: Power) {
        let loss = self.loss();
        self.engine.reboot(loss, &mut self.chance, power, || self.house.kill_engine());
        self.house.spawn_engine();
    }

    fn cut_node(&mut self, power: Power) {
        let loss = self.loss();
        let agent = &mut self.agent;
        self.node.reboot(loss, &mut self.chance, power, || {
            if let Some(mut agent) = agent.take() {
                let _ = agent.kill();
                let _ = agent.wait();
            }
        });
        self.start_agent();
    }

    /// Changes a parameter. Whether that was acknowledged.
    fn set(&self, size: u64) -> bool {
        self.house.rebar(&["attr", "set", "size", &size.to_string(), "--deployment", "demo"]).code == 0
    }

    /// The parameter, if the engine has power to tell it.
    fn size(&self) -> Option<u64> {
        let got = self.house.rebar(&["attr", "get", "size", "--deployment", "demo"]);
        if got.code != 0 && self.engine.is_cut() {
            return None;
        }
        Some(got.out.trim().parse().unwrap_or_else(|_| panic!("{got:?}")))
    }

    fn apply(&self) {
        self.house.rebar(&["apply", "demo", "--yes", "--progress", "none", "--timeout", "1s"]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.house.kill_engine();
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        end_all(&self.node.at);
    }
}

#[test]
fn the_power_goes_again_and_again() {
    let seed = number("REBAR_POWER_SEED", 1);
    let mut site = Site::new(seed);
    // Who has just become known stays known.
    site.node.reboot(Loss::All, &mut site.chance, Power::Steady, || ());
    site.start_agent();
    site.house.here("n1");
    let link = |place: usize| format!("link-{place}");
    let roles: Vec<_> =
        (0..4).map(|at| Role::new(&link(at), at.checked_sub(1).map(link).as_deref(), "echo said")).collect();
    deploy(&site.house, &["n1"], &roles);
    assert!(site.set(0));
    let (mut acknowledged, mut asked) = (0, 0);
    for round in 1..=number("REBAR_POWER_ROUNDS", ROUNDS) {
        let (engine, node) = match site.chance.random_range(0..3) {
            0 => (site.moment(), Power::Steady),
            1 => (Power::Steady, site.moment()),
            _ => (site.moment(), site.moment()),
        };
        site.cut_engine(engine);
        site.cut_node(node);
        eventually("the engine answers or is cut", || {
            (site.house.answers().is_ok() || site.engine.is_cut()).then_some(())
        });
        if site.house.answers().is_ok()
            && let Some(size) = site.size()
        {
            assert!((acknowledged..=asked).contains(&size), "{acknowledged} was acknowledged, {size} is there");
        }
        asked = round;
        if site.set(round) {
            acknowledged = round;
        }
        site.apply();
        let waits_for = if node == Power::Steady { &site.engine } else { &site.node };
        waits_for.disk.as_ref().unwrap().wait_for_cut(PATIENCE);
    }
    site.cut_engine(Power::Steady);
    site.cut_node(Power::Steady);
    eventually("the engine answers", || site.house.answers().ok());
    site.house.here("n1");
    let size = site.size().unwrap();
    assert!((acknowledged..=asked).contains(&size), "{acknowledged} was acknowledged, {size} is there");
    eventually("everything is active", || {
        site.apply();
        site.house.rebar(&["retry", "demo"]);
        let standings = site.house.standings("demo");
        (standings.len() == 4 && standings.iter().all(|(_, it)| it == "active")).then_some(())
    });
    assert_once(&site.house);
    let marks = marks(&site.house);
    for at in 0..4 {
        let name = format!("apply {}@n1 ", link(at));
        assert!(marks.iter().any(|it| it.starts_with(&name)), "{name}is active and never ran: {marks:?}");
    }
    eventually("the agent keeps nothing that the engine has", || {
        (fs::read_dir(site.node.at.join("state/attempts")).unwrap().count() == 0).then_some(())
    });
}
