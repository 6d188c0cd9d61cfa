//! A network for machines that are processes here: each has a namespace of its own and a cable to the engine's host, whose delay, loss
//! and cuts the test decides. The cables are this process: it carries every packet from one end to the other, so that nothing is asked
//! of the kernel but namespaces and TUN devices, and nothing is left when the test ends.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd},
    path::PathBuf,
    process::Command,
    sync::{Arc, mpsc as sync},
    thread::JoinHandle,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_tun::{Tun, TunBuilder};

use crate::Done;

/// The device of a machine.
const DEVICE: &str = "cable0";
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
const MTU: u16 = 1_400;
/// How many packets a cable holds; more are lost.
const ON_THE_WAY: usize = 1_024;
/// What the slowest router on a cable's way keeps before it drops packets, in bytes; far too much for a slow one, as in cheap ones.
const BUFFER: u64 = 64 * 1_024;
/// A subnet may be taken by another test of this machine.
const TRIES: u32 = 20;

/// How a cable is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// How long a packet takes, one way.
    pub delay: Duration,
    /// The share of packets that are lost, from 0 to 1.
    pub loss: f64,
    /// Bits a second, each way; none is as fast as this machine.
    pub rate: Option<u64>,
}

impl Weather {
    /// Nothing arrives, and nobody is told.
    pub const SILENT: Self = Self { delay: Duration::ZERO, loss: 1.0, rate: None };

    /// How long the cable is busy with so many bytes.
    fn takes(&self, bytes: u64) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_micros(bytes * 8_000_000 / rate))
    }
}

/// Machines and their cables.
pub struct Network {
    engine: Ipv4Addr,
    ports: Vec<Port>,
    carrier: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// Where a machine is plugged in.
pub struct Port {
    namespace: File,
    weather: watch::Sender<Weather>,
}

impl Network {
    /// A network of so many machines. The seed decides which packets are lost.
    pub fn new(machines: u8, seed: u64) -> Self {
        let ports: Vec<_> = (0..machines).map(Port::new).collect();
        let namespaces: Vec<_> = ports.iter().map(|it| cloned(&it.namespace)).collect();
        let weathers: Vec<_> = ports.iter().map(|it| it.weather.subscribe()).collect();
        let (stop, stopped) = oneshot::channel();
        let (ready, plugged) = sync::channel();
        let carrier = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let (engine, devices) = plug(&namespaces).unwrap_or_else(|error| panic!("no devices: {error}"));
                carry(devices, weathers, seed);
                // The other side waits for it.
                let _ = ready.send(engine);
                let _ = stopped.await;
            });
        });
        let engine = plugged.recv().unwrap_or_else(|_| panic!("the network was not made; it wants root"));
        Self { engine, ports, carrier: Some(carrier), stop: Some(stop) }
    }

    /// The address of this host that all machines reach.
    pub fn engine(&self) -> Ipv4Addr {
        self.engine
    }

    /// The place of a machine, from 0.
    pub fn port(&self, machine: usize) -> &Port {
        &self.ports[machine]
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.carrier.take().is_some_and(|it| it.join().is_err()) {
            eprintln!("the carrier of the network panicked");
        }
    }
}

impl Port {
    /// A namespace that lives as long as somebody has it open.
    fn new(place: u8) -> Self {
        let name = format!("rebar-e2e-{}-{place}", std::process::id());
        let netns = |verb: &str| Done::of(Command::new("ip").args(["netns", verb, &name])).ok();
        netns("add");
        let namespace = File::open(format!("/run/netns/{name}"));
        netns("del");
        let port = Self {
            namespace: namespace.unwrap_or_else(|error| panic!("no namespace: {error}")),
            weather: watch::Sender::new(Weather::default()),
        };
        port.ip(&["link", "set", "lo", "up"]);
        port
    }

    /// The way to its namespace, for as long as this process lives.
    pub fn namespace(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd()).into()
    }

    /// Changes how the cable is.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Pulls the cable: the machine sees that its link is down.
    pub fn cut(&self) {
        self.ip(&["link", "set", DEVICE, "down"]);
    }

    /// Puts it in again.
    pub fn mend(&self) {
        self.ip(&["link", "set", DEVICE, "up"]);
    }

    fn ip(&self, arguments: &[&str]) {
        Done::of(inside(&self.namespace(), "ip").args(arguments)).ok();
    }
}

/// A program in a namespace; it is the process itself, not a child of a helper.
pub(crate) fn inside(namespace: &std::path::Path, program: impl AsRef<OsStr>) -> Command {
    let mut net = std::ffi::OsString::from("--net=");
    net.push(namespace);
    let mut command = Command::new("nsenter");
    command.arg(net).arg("--").arg(program);
    command
}

fn cloned(file: &File) -> File {
    file.try_clone().unwrap_or_else(|error| panic!("no further file: {error}"))
}

/// The devices: the engine's first, then one a machine. The subnet is one that nobody has here, of those that are for such tests.
fn plug(namespaces: &[File]) -> io::Result<(Ipv4Addr, Vec<Tun>)> {
    let mut last = io::Error::other("no subnet was tried");
    for _ in 0..TRIES {
        let subnet = fastrand::u8(..);
        let at = |host: u8| Ipv4Addr::new(198, 18, subnet, host);
        // The name is taken when the subnet is.
        let hub = match device(&format!("rebar-e2e-{subnet}"), at(1)) {
            Ok(hub) => hub,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let mut devices = vec![hub];
        let home = File::open("/proc/thread-self/ns/net")?;
        for (namespace, host) in namespaces.iter().zip(2..) {
            enter(namespace)?;
            let made = device(DEVICE, at(host));
            enter(&home)?;
            devices.push(made?);
        }
        return Ok((at(1), devices));
    }
    Err(last)
}

fn enter(namespace: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn device(name: &str, address: Ipv4Addr) -> io::Result<Tun> {
    let made = TunBuilder::new().name(name).mtu(MTU.into()).address(address).netmask(NETMASK).up().build();
    let made = made.map_err(io::Error::other)?.into_iter().next();
    made.ok_or_else(|| io::Error::other("no device was made"))
}

/// A packet, and when it arrives.
type Parcel = (Instant, Vec<u8>);

/// One way of a cable.
struct Way {
    parcels: mpsc::Sender<Parcel>,
    weather: watch::Receiver<Weather>,
    /// When it has carried what it was given.
    free_at: Instant,
}

impl Way {
    /// A way that ends at a device.
    fn to(device: &Arc<Tun>, weather: watch::Receiver<Weather>) -> Self {
        let (parcels, arriving) = mpsc::channel(ON_THE_WAY);
        tokio::spawn(deliver(device.clone(), arriving));
        Self { parcels, weather, free_at: Instant::now() }
    }

    /// Puts what the weather lets through on its way.
    fn send(&mut self, packet: &[u8], rng: &mut fastrand::Rng) {
        let weather = *self.weather.borrow();
        let now = Instant::now();
        let is_full = self.free_at.saturating_duration_since(now) > weather.takes(BUFFER);
        if rng.f64() < weather.loss || is_full {
            return;
        }
        self.free_at = self.free_at.max(now) + weather.takes(packet.len() as u64);
        // A cable that is full loses what comes on top.
        let _ = self.parcels.try_send((self.free_at + weather.delay, packet.to_vec()));
    }
}

/// Carries packets between the engine's device, which is the first, and the machines' until the runtime ends.
fn carry(devices: Vec<Tun>, weathers: Vec<watch::Receiver<Weather>>, seed: u64) {
    let mut devices = devices.into_iter().map(Arc::new);
    let Some(engine) = devices.next() else { return };
    let mut down = Vec::new();
    for (place, (device, weather)) in devices.zip(weathers).enumerate() {
        down.push(Way::to(&device, weather.clone()));
        let mut up = Way::to(&engine, weather);
        let rng = fastrand::Rng::with_seed(seed.wrapping_add(place as u64 + 1));
        // Machines do not talk with each other.
        tokio::spawn(take(device, rng, move |to, packet, rng| {
            if to == 0 {
                up.send(packet, rng);
            }
        }));
    }
    let rng = fastrand::Rng::with_seed(seed);
    tokio::spawn(take(engine, rng, move |to, packet, rng| {
        if let Some(way) = to.checked_sub(1).and_then(|machine| down.get_mut(machine)) {
            way.send(packet, rng);
        }
    }));
}

/// Takes what comes out of a device, for the place that it is for.
async fn take(device: Arc<Tun>, mut rng: fastrand::Rng, mut give: impl FnMut(usize, &[u8], &mut fastrand::Rng)) {
    let mut packet = vec![0; usize::from(MTU)];
    while let Ok(length) = device.recv(&mut packet).await {
        let packet = &packet[..length];
        if let Some(to) = destination(packet) {
            give(to, packet, &mut rng);
        }
    }
}

/// Hands packets over when they are due, in their order.
async fn deliver(device: Arc<Tun>, mut parcels: mpsc::Receiver<Parcel>) {
    while let Some((due, packet)) = parcels.recv().await {
        sleep_until(due).await;
        // A device that is down takes nothing, as it should be.
        let _ = device.send(&packet).await;
    }
}

/// The place of the device that an IPv4 packet is for.
fn destination(packet: &[u8]) -> Option<usize> {
    let is_ipv4 = packet.first().is_some_and(|it| it >> 4 == 4);
    let host = packet.get(19).filter(|_| is_ipv4)?;
    usize::from(*host).checked_sub(1)
}
