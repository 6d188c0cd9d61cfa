//! An engine and its agents as processes of their own on the loopback.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use rebar_conformance::postgres::Server;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{AgentProcess, Done, Network, Wire, agent, bin, eventually, run, wait::said};

/// Where an engine remembers.
pub enum Database {
    /// In a file of its own.
    Sqlite,
    /// In a server that the test started.
    Postgres(Server),
}

/// An engine, its agents, and the way to talk to them.
pub struct House {
    dir: TempDir,
    /// The engine's own directory.
    data: PathBuf,
    database: Option<String>,
    server: Option<Arc<Server>>,
    /// Its own way to the server, if it has one.
    wire: Option<Wire>,
    api: u16,
    /// Where agents find the engine.
    door: SocketAddrV4,
    /// What agents are told of where engines are, if that is not this one alone.
    advertise: Option<String>,
    /// Public keys whose releases of the agent the engine takes in.
    release_keys: Vec<String>,
    /// What the engine is started under, with its arguments: `setpriv` and what it takes away.
    under: Vec<String>,
    /// More of the engine's environment.
    settings: Vec<(&'static str, String)>,
    /// What agents may keep of logs, in MiB, where that is not the usual.
    spool_mib: Option<u32>,
    engine: Option<Child>,
}

impl House {
    /// A house with a running engine on SQLite.
    pub fn new() -> Self {
        Self::on(Database::Sqlite)
    }

    /// A house whose engine on SQLite has not been started.
    pub fn stopped() -> Self {
        Self::empty(None, Ipv4Addr::LOCALHOST)
    }

    /// A house with a running engine that machines on another network reach at an address of this host.
    pub fn for_machines(host: Ipv4Addr) -> Self {
        Self::at(Database::Sqlite, host)
    }

    /// A house with a running engine that makes light nodes on a network of its own, started under another program if one is named.
    pub fn with_light_nodes(network: &str, subnet: &str, under: &[&str]) -> Self {
        let mut house = Self::empty(None, Ipv4Addr::UNSPECIFIED);
        house.under = under.iter().map(|&it| it.to_owned()).collect();
        house.settings = vec![
            ("REBAR_NAMESPACE_NETWORK", network.to_owned()),
            ("REBAR_NAMESPACE_SUBNET", subnet.to_owned()),
            ("REBAR_NAMESPACE_RANGE", subnet.to_owned()),
            ("REBAR_NAMESPACE_STATE", house.path("nodes").display().to_string()),
        ];
        house.start_engine();
        house
    }

    /// A house with a running engine.
    pub fn on(database: Database) -> Self {
        Self::at(database, Ipv4Addr::LOCALHOST)
    }

    /// A house with a running engine that the machines of a network reach.
    pub fn in_network(database: Database, network: &Network) -> Self {
        Self::at(database, network.engine())
    }

    /// A house with a running engine on SQLite, whose directory is made elsewhere.
    pub fn with_data(data: PathBuf) -> Self {
        let mut house = Self::empty(None, Ipv4Addr::LOCALHOST);
        house.data = data;
        house.start_engine();
        house
    }

    /// Two houses on one PostgreSQL server, each with a wire of its own to it; the first leads, and agents know both.
    pub fn pair(server: Server) -> (Self, Self) {
        Self::two(server, Ipv4Addr::LOCALHOST)
    }

    /// The same where the machines of a network reach both.
    pub fn pair_in_network(server: Server, network: &Network) -> (Self, Self) {
        Self::two(server, network.engine())
    }

    fn two(server: Server, host: Ipv4Addr) -> (Self, Self) {
        let server = Arc::new(server);
        let (mut first, mut second) = (Self::wired(&server, host), Self::wired(&server, host));
        let advertise = format!("{},{}", first.door, second.door);
        (first.advertise, second.advertise) = (Some(advertise.clone()), Some(advertise));
        first.start_engine();
        // Engines on one database seal with one key; and their operators have one token here.
        fs::create_dir(second.data()).unwrap_or_else(|error| panic!("no directory: {error}"));
        for name in ["seal.key", "admin.token"] {
            let copied = fs::copy(first.data().join(name), second.data().join(name));
            copied.unwrap_or_else(|error| panic!("{name} cannot be copied: {error}"));
        }
        second.start_engine();
        (first, second)
    }

    fn at(database: Database, host: Ipv4Addr) -> Self {
        let server = match database {
            Database::Sqlite => None,
            Database::Postgres(server) => Some(Arc::new(server)),
        };
        let mut house = Self::empty(server.as_ref(), host);
        house.start_engine();
        house
    }

    fn wired(server: &Arc<Server>, host: Ipv4Addr) -> Self {
        let mut house = Self::empty(Some(server), host);
        let wire = Wire::to(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
        let over = |it: String| it.replace(&format!(":{}/", server.port()), &format!(":{}/", wire.port()));
        house.database = house.database.take().map(over);
        house.wire = Some(wire);
        house
    }

    fn empty(server: Option<&Arc<Server>>, host: Ipv4Addr) -> Self {
        let dir = TempDir::with_prefix("rebar-e2e-").unwrap_or_else(|error| panic!("no directory: {error}"));
        let database = server.map(|it| it.database("house").unwrap_or_else(|error| panic!("no database: {error}")));
        Self {
            data: dir.path().join("data"),
            dir,
            database,
            server: server.cloned(),
            wire: None,
            api: free_port(Ipv4Addr::LOCALHOST),
            door: SocketAddrV4::new(host, free_port(host)),
            advertise: None,
            release_keys: Vec::new(),
            under: Vec::new(),
            settings: Vec::new(),
            spool_mib: None,
            engine: None,
        }
    }

    /// A path in the directory of the house.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The engine's own directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server that the engine remembers in.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap_or_else(|| panic!("this house has no server"))
    }

    /// Whether the engine remembers in a server.
    pub fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// The engine's own way to its server, if it has one.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Starts the engine and waits until it answers.
    pub fn start_engine(&mut self) {
        self.spawn_engine();
        let mut last = String::new();
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("the engine answers", || self.answers().map_err(|it| last = it).ok());
        }));
        assert!(answered.is_ok(), "the engine does not answer: {last}\n{}", self.log());
    }

    /// Starts the engine.
    pub fn spawn_engine(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("engine.log"));
        let log = log.unwrap_or_else(|error| panic!("no log: {error}"));
        let mut words = self.under.iter().map(Into::into).chain([bin("rebar").into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("serve")
            .envs(self.settings.iter().cloned())
            .arg("--data")
            .arg(&self.data)
            .args(["--listen-api", &format!("127.0.0.1:{}", self.api)])
            .args(["--listen-agents", &self.door.to_string()])
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(url) = &self.database {
            command.env("REBAR_DATABASE", url);
        }
        if let Some(advertise) = &self.advertise {
            command.env("REBAR_ADVERTISE", advertise);
        }
        for key in &self.release_keys {
            command.args(["--release-key", key]);
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("the engine cannot be started: {error}"));
        self.engine = Some(child);
    }

    /// How the engine ended, if it ended by itself.
    pub fn engine_ended(&mut self) -> Option<ExitStatus> {
        self.engine.as_mut().and_then(|it| it.try_wait().ok()?)
    }

    /// Whether the engine answers; what was said instead if it does not.
    pub fn answers(&self) -> Result<(), String> {
        if !self.data.join("admin.token").is_file() || !self.data.join("ca.pem").is_file() {
            return Err("it has not made its files".to_owned());
        }
        let done = self.rebar(&["node", "ls", "-o", "json"]);
        if done.code == 0 { Ok(()) } else { Err(said(&done)) }
    }

    /// The number of the engine's process.
    pub fn engine_process(&self) -> Option<u32> {
        self.engine.as_ref().map(Child::id)
    }

    /// Has the engine remember elsewhere from its next start on.
    pub fn remember_in(&mut self, database: &str) {
        self.database = Some(database.to_owned());
    }

    /// Has the engine take in releases of the agent that this key signed, from its next start on.
    pub fn trust(&mut self, key: &str) {
        self.release_keys.push(key.to_owned());
    }

    /// What the engine said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("engine.log")).unwrap_or_default()
    }

    /// Kills the engine as a power cut would.
    pub fn kill_engine(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            // It may have ended by itself; the wait says so.
            let _ = engine.kill();
            let _ = engine.wait();
        }
    }

    /// Freezes the engine, as a machine does that is paused.
    pub fn freeze_engine(&self) {
        self.signal_engine(Signal::STOP);
    }

    /// Lets a frozen engine go on.
    pub fn thaw_engine(&self) {
        self.signal_engine(Signal::CONT);
    }

    /// Starts the engine where it cannot run, and waits until it ends: what it said.
    pub fn start_in_vain(&mut self) -> String {
        let before = self.log().len();
        self.spawn_engine();
        let status = eventually("the engine ends", || self.engine_ended());
        assert!(!status.success(), "it ended well");
        self.log().split_off(before)
    }

    fn signal_engine(&self, signal: Signal) {
        run::signal(self.engine.as_ref().unwrap_or_else(|| panic!("there is no engine")), signal);
    }

    /// The command line, with the way to this engine in its environment.
    pub fn command(&self) -> Command {
        let token = fs::read_to_string(self.data.join("admin.token")).unwrap_or_default();
        let mut command = Command::new(bin("rebar"));
        command
            .env("REBAR_URL", format!("https://127.0.0.1:{}", self.api))
            .env("REBAR_TOKEN", token.trim())
            .env("REBAR_CA_FILE", self.data.join("ca.pem"))
            .env("HOME", self.dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command line.
    pub fn rebar(&self, arguments: &[&str]) -> Done {
        Done::of(self.command().args(arguments))
    }

    /// Adds a node that joins: the one command for its machine.
    pub fn instruction(&self, name: &str) -> String {
        let added = self.rebar(&["node", "add", name, "--provider", "join", "-o", "json"]).json();
        find(&added, "instruction").unwrap_or_else(|| panic!("no instruction in {added}"))
    }

    /// The enrolment of a node that joins: engine, token, fingerprint as its instruction names them.
    pub fn invite(&self, name: &str) -> Vec<String> {
        let instruction = self.instruction(name);
        let words: Vec<String> = instruction.split_whitespace().map(|it| it.trim_matches('\'').to_owned()).collect();
        let end = words.iter().position(|it| it == "&&").unwrap_or(words.len());
        words[1..end].to_vec()
    }

    /// Enrols an agent with the words of an invitation.
    pub fn enrol(&self, words: &[String], state: &Path) -> Done {
        Done::of(agent::command(None).args(words).arg("--state").arg(state))
    }

    /// Adds nodes that join, starts their agents, and waits until they have reported.
    pub fn join(&self, names: &[&str]) -> Vec<AgentProcess> {
        let agents = names.iter().map(|name| self.come(name, &self.path(&format!("agent-{name}")), None)).collect();
        for name in names {
            self.here(name);
        }
        agents
    }

    /// The same for machines of a network, the first at its first port.
    pub fn join_over(&self, network: &Network, names: &[&str]) -> Vec<AgentProcess> {
        let come = |(place, name): (usize, &&str)| {
            self.come(name, &self.path(&format!("agent-{name}")), Some(network.port(place).namespace()))
        };
        let agents = names.iter().enumerate().map(come).collect();
        for name in names {
            self.here(name);
        }
        agents
    }

    /// The same for one whose state is elsewhere.
    pub fn join_with(&self, name: &str, state: &Path) -> AgentProcess {
        let agent = self.come(name, state, None);
        self.here(name);
        agent
    }

    fn come(&self, name: &str, state: &Path, namespace: Option<PathBuf>) -> AgentProcess {
        let mut enrol = agent::command(namespace.as_deref());
        Done::of(enrol.args(self.invite(name)).arg("--state").arg(state)).ok();
        AgentProcess::start(state, namespace, self.spool_mib)
    }

    /// Starts the agent of a state directory.
    pub fn start_agent(&self, state: &Path) -> AgentProcess {
        AgentProcess::start(state, None, self.spool_mib)
    }

    /// Lets agents that are started from here on keep so many MiB of logs.
    pub fn spool(&mut self, mib: u32) {
        self.spool_mib = Some(mib);
    }

    /// Waits until a node is here and has reported.
    pub fn here(&self, name: &str) {
        eventually(&format!("{name} is here"), || {
            let node = self.rebar(&["node", "show", name, "-o", "json"]).json();
            let node = node.get("node").unwrap_or(&node);
            (node["connection"]["state"] == "here" && !node["facts"].is_null()).then_some(())
        });
    }

    /// Waits until a deployment is active; says where everything stands if it does not get there.
    pub fn settle(&self, deployment: &str) {
        let done = self.rebar(&["wait", deployment, "--for", "active", "--timeout", "60s"]);
        if done.code != 0 {
            let attempts = self.rebar(&["events", "-o", "json"]);
            panic!("{deployment} is not active: {done:?}\n{:#?}\n{}", self.standings(deployment), attempts.out);
        }
    }

    /// The states of a deployment's node-roles by address.
    pub fn standings(&self, deployment: &str) -> Vec<(String, String)> {
        let status = self.rebar(&["deployment", "status", deployment, "-o", "json"]).json();
        let views = status["node_roles"].as_array().cloned().unwrap_or_default();
        let text = |view: &Value, key: &str| view[key].as_str().unwrap_or_default().to_owned();
        views.iter().map(|it| (text(it, "address"), text(it, "standing"))).collect()
    }
}

impl Default for House {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the engine said:\n{}", self.log());
        }
        self.kill_engine();
    }
}

/// A port that nobody listens on at this moment.
fn free_port(host: Ipv4Addr) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap_or_else(|error| panic!("no port: {error}"));
    listener.local_addr().map_or(0, |it| it.port())
}

/// The first text under a key, anywhere in a document.
fn find(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(fields) => match fields.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => fields.values().find_map(|it| find(it, key)),
        },
        Value::Array(items) => items.iter().find_map(|it| find(it, key)),
        _ => None,
    }
}
