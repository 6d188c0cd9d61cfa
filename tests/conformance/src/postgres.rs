//! A real PostgreSQL for tests: Debian's programs, a cluster of its own in a temporary directory, on a free loopback port, gone
//! with the value that stands for it.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rand::Rng as _;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

const USER: &str = "rebar";

/// How long the server may take to answer; a busy machine is slow at first.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// How long it may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A free port can be taken by somebody else before the server has it.
const PORT_TRIES: u32 = 5;

/// A server that was killed may not be gone in the same moment.
const START_TRIES: u32 = 20;

const POLL: Duration = Duration::from_millis(50);

/// A cluster: the directory of a server, which may be started and stopped.
#[derive(Debug, Clone)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    password: String,
}

/// A server that runs.
///
/// Start it on a thread that lives as long as the test: the kernel stops the server when that thread ends, so that nothing is
/// left even when the test is killed.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    /// Its first process, the parent of all others.
    process: Mutex<Child>,
    port: u16,
    databases: Mutex<BTreeSet<String>>,
    /// Removed after the server has stopped.
    directory: Option<TempDir>,
}

impl Cluster {
    /// Makes a cluster in a directory that is there.
    pub fn make(directory: &Path) -> Result<Self> {
        let programs = programs()?;
        if geteuid().is_root() {
            let (user, group) = unprivileged()?;
            chown(directory, Some(user), Some(group))?;
        }
        let password = password();
        make_cluster(&programs, directory, &password)?;
        Ok(Self { programs, directory: directory.to_owned(), password })
    }

    /// Starts a server on it.
    pub fn start(&self) -> Result<Server> {
        let (process, port) = start_on_a_free_port(&self.programs, &self.directory)?;
        let process = Mutex::new(process);
        Ok(Server { cluster: self.clone(), process, port, databases: Mutex::default(), directory: None })
    }
}

impl Server {
    /// Makes a cluster in a directory of its own and starts a server on it.
    pub fn start() -> Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// The same, in a directory below this one.
    pub fn start_in(parent: &Path) -> Result<Self> {
        let directory = TempDir::with_prefix_in("rebar-postgres-", parent)?;
        let mut server = Cluster::make(directory.path())?.start()?;
        server.directory = Some(directory);
        Ok(server)
    }

    /// The address of a database, made when it is not there.
    pub fn database(&self, name: &str) -> Result<String> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let address = self.address(name);
        if !databases.contains(name) {
            let mut command = Command::new(self.cluster.programs.join("createdb"));
            command.args(["--host=127.0.0.1", "--username", USER, "--port", &self.port.to_string(), name]);
            finish(command.env("PGPASSWORD", &self.cluster.password))?;
            databases.insert(name.to_owned());
        }
        Ok(address)
    }

    /// The address of a database that is there.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{name}", self.cluster.password, self.port)
    }

    /// The loopback port that it serves.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills all of its processes, as a power cut would.
    pub fn kill(&self) -> Result<()> {
        // Frozen, it starts no further ones; and it goes last, for nobody knows afterwards whose they were.
        self.freeze()?;
        let mut first = self.first();
        for child in children(&first)? {
            let _ = kill_process(child, Signal::KILL);
        }
        first.kill()?;
        first.wait()?;
        Ok(())
    }

    /// Starts it again after it was killed, or ended by itself, and waits until it has recovered.
    pub fn restart(&self) -> Result<()> {
        let mut first = self.first();
        let mut last = None;
        for _ in 0..START_TRIES {
            match start_on(&self.cluster.programs, &self.cluster.directory, self.port) {
                Ok(process) => {
                    *first = process;
                    return Ok(());
                }
                // Processes that were killed may still hold its memory.
                Err(error) => last = Some(error),
            }
            thread::sleep(POLL);
        }
        Err(last.context("it was not tried")?)
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        matches!(self.first().try_wait(), Ok(Some(_)))
    }

    /// Kills one of the processes that serve clients: the server ends all others, and recovers by itself.
    pub fn crash(&self) -> Result<()> {
        let serves = |pid: &Pid| {
            let title = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            String::from_utf8_lossy(&title).contains(&format!(" {USER} "))
        };
        let mut serving = children(&self.first())?.into_iter().filter(serves);
        let victim = serving.next().context("it serves nobody")?;
        Ok(kill_process(victim, Signal::KILL)?)
    }

    /// Freezes all of its processes.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn first(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut first = self.first();
        // Its number may be somebody else's by now.
        ensure!(matches!(first.try_wait(), Ok(None)), "postgres has ended");
        let id = pid_of(&first).context("it has no id")?;
        kill_process(id, signal)?;
        if signal == Signal::STOP {
            wait_until_stopped(id)?;
        }
        for child in children(&first)? {
            // One that has ended meanwhile is as good as signalled.
            let _ = kill_process(child, signal);
        }
        Ok(())
    }

    /// Ends it at once and writes nothing more, as when its disk is gone.
    pub fn abandon(self) -> Result<()> {
        let mut first = self.first();
        if let Some(pid) = pid_of(&first) {
            // The first process ends all others before it ends; killed itself, it would leave them.
            kill_process(pid, Signal::QUIT)?;
        }
        first.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT disconnects everybody and stops; SIGKILL is for a server that does not.
        let _ = self.thaw();
        let mut process = self.first();
        if let Some(pid) = pid_of(&process).filter(|_| matches!(process.try_wait(), Ok(None))) {
            let _ = kill_process(pid, Signal::INT);
        }
        let since = Instant::now();
        while matches!(process.try_wait(), Ok(None)) && since.elapsed() < STOP_TIMEOUT {
            thread::sleep(POLL);
        }
        let _ = process.kill();
        let _ = process.wait();
        drop(process);
        drop(self.directory.take());
    }
}

/// The directory of the newest version's programs.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let complete = |it: &PathBuf| it.join("initdb").exists() && it.join("postgres").exists();
    let newest = versions
        .map(|it| (it.file_name().to_string_lossy().parse::<u32>().unwrap_or(0), it.path().join("bin")))
        .filter(|(_, path)| complete(path))
        .max();
    let (_, path) = newest.context(
        "PostgreSQL is not installed: no initdb and postgres under /usr/lib/postgresql/*/bin; \
         run tests/setup/postgres.sh",
    )?;
    Ok(path)
}

/// User and group of the account that Debian's package makes.
fn unprivileged() -> Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let account = fields.into_iter().find(|it| it.first() == Some(&"postgres"));
    let account = account.context("there is no user postgres; run tests/setup/postgres.sh")?;
    let number = |place: usize| account.get(place).and_then(|it| it.parse().ok()).context("/etc/passwd is malformed");
    Ok((number(2)?, number(3)?))
}

/// A command as the user that PostgreSQL runs as: it refuses to run as root. It dies with the thread that starts it.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg("--pdeathsig=QUIT").arg("--").arg(program).env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

fn password() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn make_cluster(programs: &Path, directory: &Path, password: &str) -> Result<()> {
    let file = directory.join("password");
    fs::write(&file, password)?;
    // The directory is closed to others; the file has to be readable to the user postgres.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let mut command = as_postgres(&programs.join("initdb"));
    command.arg("--pgdata").arg(directory.join("data")).arg("--pwfile").arg(&file);
    command.args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
    finish(&mut command)
}

fn start_on_a_free_port(programs: &Path, directory: &Path) -> Result<(Child, u16)> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        match start_on(programs, directory, port) {
            Ok(process) => return Ok((process, port)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no port was tried")?)
}

fn start_on(programs: &Path, directory: &Path, port: u16) -> Result<Child> {
    let log = directory.join("log");
    let output = fs::File::create(&log)?;
    let mut command = as_postgres(&programs.join("postgres"));
    command.arg("-D").arg(directory.join("data")).arg("-p").arg(port.to_string()).arg("-k").arg(directory);
    for setting in ["listen_addresses=127.0.0.1", "fsync=on", "max_connections=300"] {
        command.arg("-c").arg(setting);
    }
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut process = command.spawn().context("setpriv of util-linux is needed")?;
    match wait_until_ready(programs, port, &mut process) {
        Ok(()) => Ok(process),
        Err(error) => {
            let _ = process.kill();
            let _ = process.wait();
            Err(error.context(fs::read_to_string(&log).unwrap_or_default()))
        }
    }
}

fn wait_until_ready(programs: &Path, port: u16, process: &mut Child) -> Result<()> {
    let since = Instant::now();
    loop {
        let mut command = Command::new(programs.join("pg_isready"));
        command.args(["--quiet", "--host=127.0.0.1", "--port", &port.to_string()]);
        // Somebody else's server on this port would answer too, but then ours has ended.
        let ready = command.status().context("pg_isready")?.success();
        if let Some(status) = process.try_wait()? {
            bail!("postgres ended by itself: {status}");
        }
        if ready {
            return Ok(());
        }
        ensure!(since.elapsed() < START_TIMEOUT, "postgres does not answer after {START_TIMEOUT:?}");
        thread::sleep(POLL);
    }
}

/// Runs a program to its end; its words are the error.
fn finish(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let mut words = String::new();
    if let Some(mut stderr) = process.stderr.take() {
        stderr.read_to_string(&mut words)?;
    }
    let status = process.wait()?;
    ensure!(status.success(), "{}: {status}: {words}", program.display());
    Ok(())
}

/// A process that was told to stop may be in the middle of starting another.
fn wait_until_stopped(id: Pid) -> Result<()> {
    let since = Instant::now();
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()))?;
        if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
            return Ok(());
        }
        ensure!(since.elapsed() < STOP_TIMEOUT, "postgres does not stop");
        thread::yield_now();
    }
}

/// The processes that it started; none if it has ended.
fn children(process: &Child) -> Result<Vec<Pid>> {
    let id = process.id();
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_whitespace().map(|it| Pid::from_raw(it.parse()?).context("no process has the number 0")).collect()
}

fn pid_of(process: &Child) -> Option<Pid> {
    i32::try_from(process.id()).ok().and_then(Pid::from_raw)
}
