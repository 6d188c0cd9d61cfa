//! A bad line between this machine and a network namespace that the test makes: packets are delayed, lost, held back to a rate, or not
//! carried at all. Two TUN devices and a few threads do it, so that it works on kernels that were built without `netem`. What is
//! sent over the line is not known here.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tun_rs::{DeviceBuilder, SyncDevice};

use crate::Done;

/// The largest packet of the line.
const MTU: usize = 1500;
/// What the line's slowest router keeps before it drops packets, as cheap ones do: far too much for a slow line.
const BUFFER: u64 = 64 * 1024;
/// The second of two lines of one test has other names.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// What the line is like, in each direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quality {
    /// How long a packet is on its way.
    pub delay: Duration,
    /// How many packets of a hundred are lost.
    pub loss: u64,
    /// Bits a second; none is as fast as this machine.
    pub rate: Option<u64>,
    /// Nothing is carried.
    pub cut: bool,
}

/// A line to a namespace of its own; both are gone when it is dropped.
pub struct Line {
    namespace: String,
    near: String,
    host: Ipv4Addr,
    quality: Arc<Mutex<Quality>>,
}

impl Line {
    /// A line of this quality.
    pub fn new(quality: Quality) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let (namespace, near, far) =
            (format!("rebar-line-{id}-{number}"), format!("rbn{id}-{number}"), format!("rbf{id}-{number}"));
        // Other tests of this machine have lines too.
        let [_, _, third, second] = id.to_be_bytes().map(|it| it ^ u8::try_from(number % 256).unwrap_or(0));
        let (host, node) =
            (Ipv4Addr::new(10, 128 | second & 63, third, 1), Ipv4Addr::new(10, 128 | second & 63, third, 2));
        ip(&["netns", "add", &namespace]);
        let line = Self { namespace, near, host, quality: Arc::new(Mutex::new(quality)) };
        let (near_end, far_end) = (device(&line.near), device(&far));
        let mtu = MTU.to_string();
        ip(&["address", "add", &format!("{host}/30"), "dev", &line.near]);
        ip(&["link", "set", &line.near, "mtu", &mtu, "up"]);
        ip(&["link", "set", &far, "netns", &line.namespace]);
        ip(&["-n", &line.namespace, "address", "add", &format!("{node}/30"), "dev", &far]);
        ip(&["-n", &line.namespace, "link", "set", &far, "mtu", &mtu, "up"]);
        ip(&["-n", &line.namespace, "link", "set", "lo", "up"]);
        line.carry(&near_end, &far_end, 1);
        line.carry(&far_end, &near_end, 2);
        line
    }

    /// This machine's address, as the namespace sees it.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// A program at the other end of the line.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg(program);
        command
    }

    /// Changes what the line is like from here on.
    pub fn becomes(&self, quality: Quality) {
        *self.quality.lock().unwrap_or_else(PoisonError::into_inner) = quality;
    }

    fn carry(&self, from: &Arc<SyncDevice>, to: &Arc<SyncDevice>, seed: u64) {
        let (late, arriving) = channel();
        let (from, to, quality) = (from.clone(), to.clone(), self.quality.clone());
        thread::spawn(move || take(&from, &late, &quality, seed));
        thread::spawn(move || deliver(&to, &arriving));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // What goes with the devices are the threads: reading from one that is gone is an error.
        for arguments in [["link", "del", &self.near], ["netns", "del", &self.namespace]] {
            let gone = Done::of(Command::new("ip").args(arguments));
            if gone.code != 0 {
                eprintln!("ip {}: {}", arguments.join(" "), gone.err);
            }
        }
    }
}

type Packet = (Instant, Vec<u8>);

/// Takes packets from one end, and says when each is at the other.
fn take(from: &SyncDevice, late: &Sender<Packet>, quality: &Mutex<Quality>, seed: u64) {
    let mut packet = vec![0; MTU];
    let mut chance = seed;
    let mut free_at = Instant::now();
    while let Ok(length) = from.recv(&mut packet) {
        let Quality { delay, loss, rate, cut } = *quality.lock().unwrap_or_else(PoisonError::into_inner);
        // The same packets are lost in every run: Knuth's linear congruential generator.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let now = Instant::now();
        let takes = |bytes: u64| rate.map_or(Duration::ZERO, |rate| Duration::from_micros(bytes * 8_000_000 / rate));
        let is_full = free_at.saturating_duration_since(now) > takes(BUFFER);
        if cut || (chance >> 33) % 100 < loss || is_full {
            continue;
        }
        free_at = free_at.max(now) + takes(length as u64);
        if late.send((free_at + delay, packet[..length].to_vec())).is_err() {
            return;
        }
    }
}

/// Brings packets to the other end when they are due.
fn deliver(to: &SyncDevice, arriving: &Receiver<Packet>) {
    for (due, packet) in arriving {
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        // A device that is not up yet, or gone, takes nothing.
        let _ = to.send(&packet);
    }
}

fn device(name: &str) -> Arc<SyncDevice> {
    let device = DeviceBuilder::new().name(name).enable(false).build_sync();
    Arc::new(device.unwrap_or_else(|error| panic!("no device {name}: {error}")))
}

fn ip(arguments: &[&str]) {
    Done::of(Command::new("ip").args(arguments)).ok();
}
