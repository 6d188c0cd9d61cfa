"""What a fleet stands on: the kernel's limits, the engine and its light nodes, and the end of all that. Nothing here knows what is
deployed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = Path("/var/lib/rebar-nodes")
RUN = Path("/run/rebar-nodes")
CGROUPS = Path("/sys/fs/cgroup")
# What the kernel has to allow, and from how many nodes on: neighbours are counted over all namespaces together, and each node
# knows many others; every Docker Engine takes a few inotify instances.
LIMITS = {
    "net/ipv4/neigh/default/gc_thresh1": 32_768,
    "net/ipv4/neigh/default/gc_thresh2": 131_072,
    "net/ipv4/neigh/default/gc_thresh3": 262_144,
    "fs/inotify/max_user_instances": 8_192,
    "fs/inotify/max_user_watches": 1_048_576,
}
START_SECONDS = 60
STOP_SECONDS = 30


class Failed(Exception):
    """Something did not go as it has to; its words are for who started the program."""


@contextlib.contextmanager
def raised_limits():
    """Lets the kernel hold a fleet, and puts back what it allowed before."""
    before = {}
    try:
        for name, wanted in LIMITS.items():
            path = Path("/proc/sys") / name
            have = int(path.read_text())
            if have < wanted:
                path.write_text(str(wanted))
                before[path] = have
        yield
    finally:
        for path, value in before.items():
            path.write_text(str(value))


def end_on_signals():
    """Has a signal end this program as an exception does, so that what it started ends too."""

    def end(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


class Engine:
    """An engine of its own with its light nodes, driven through the command line as a person would."""

    def __init__(self, programs, folder, network, subnet, port):
        self.programs, self.folder, self.network, self.port = Path(programs), Path(folder), network, port
        self.subnet = subnet
        halves = list(subnet.subnets())
        self.range, self.pool = halves
        self.gateway = next(subnet.hosts())
        self.process = None

    def start(self):
        """Starts the engine and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            self.programs / "rebar", "serve", "--data", self.folder / "data",
            "--listen-api", f"127.0.0.1:{self.port}", "--listen-agents", f"0.0.0.0:{self.port - 1}",
            "--namespace-network", self.network, "--namespace-subnet", str(self.subnet),
            "--namespace-range", str(self.range), "--namespace-prepare",
            "--dns-listen", f"{self.gateway}:53", "--lb-interface", "lo",
        ]
        log = open(self.folder / "engine.log", "ab")
        # A session of its own: Ctrl-C is for this program, which ends the engine in its turn.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            if (self.folder / "data/admin.token").is_file() and self.try_rebar("node", "ls").returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the engine does not answer:\n{self.said()}")
            time.sleep(0.1)

    def said(self):
        """The last words of the engine."""
        with contextlib.suppress(OSError):
            return (self.folder / "engine.log").read_text(errors="replace")[-3000:]
        return ""

    def stop(self):
        """Ends the engine; nodes go on."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def try_rebar(self, *words):
        """Runs the command line, whatever comes of it."""
        data = self.folder / "data"
        environment = os.environ | {
            "REBAR_URL": f"https://127.0.0.1:{self.port}",
            "REBAR_TOKEN": (data / "admin.token").read_text().strip(),
            "REBAR_CA_FILE": str(data / "ca.pem"),
            "REBAR_CONFIG": str(self.folder / "config.toml"),
        }
        command = [str(self.programs / "rebar"), *map(str, words)]
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def rebar(self, *words):
        """Runs the command line; what it prints."""
        done = self.try_rebar(*words)
        if done.returncode != 0:
            shown = " ".join(map(str, words))
            raise Failed(f"`rebar {shown[:200]}` ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.rebar(*words, "-o", "json"))

    def nodes(self):
        """All nodes as the engine shows them, by name."""
        return {it["node"]["name"]: it for it in self.json("node", "ls")}

    def add(self, names):
        """Takes light nodes under care, and waits until they are here."""
        self.rebar("node", "add", *names, "--provider", "namespace", "--wait", "--timeout", "30m", "--quiet")

        def reported():
            nodes = self.nodes()
            return all(nodes[it]["node"]["facts"] for it in names)

        wait_until("the nodes have said what they are", START_SECONDS, reported, pause=0.2)

    def pid(self, node):
        """Process 1 of a light node, as the machine counts."""
        return (STATE / self.network / "nodes" / node / "pid").read_text().strip()

    def on(self, node, *command):
        """Runs a command on a light node, as a person who logged in there; what it says."""
        command = ["nsenter", "--target", self.pid(node), "--all", *command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{node}: `{' '.join(command[4:])}` ended with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout


def wait_until(what, seconds, look, pause=0.5):
    """Looks until something is so; what the look found."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Failed(f"not so after {seconds} s: {what}")
        time.sleep(pause)
    return found


def run(*command, **options):
    """Runs a program, whatever comes of it; what it says."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    return done.stdout


def sweep(network, pool):
    """Takes away everything of a network, whether an engine is there or not: for a run that was cut off, and as the last look of one
    that was not. Returns what it found, which is nothing where everything went as it should."""
    found = []
    for hierarchy in {it.parent for it in CGROUPS.glob(f"*/rebar/{network}")} | {
        it.parent for it in CGROUPS.glob(f"rebar/{network}")
    }:
        found.append(str(hierarchy / network))
        kill_all(hierarchy / network)
        remove_cgroups(hierarchy / network)
        with contextlib.suppress(OSError):
            hierarchy.rmdir()
    for name in re.findall(rf"^(rebar-{re.escape(network)}-\S+)", run("ip", "netns", "list"), re.MULTILINE):
        found.append(name)
        run("ip", "netns", "delete", name)
    if Path("/sys/class/net", network).exists():
        found.append(network)
        for port in os.listdir(f"/sys/class/net/{network}/brif"):
            run("ip", "link", "delete", port)
        run("ip", "link", "delete", network)
    for table in ("filter", "nat"):
        for rule in run("iptables-save", "-t", table).splitlines():
            if rule.startswith("-A") and f"rebar:{network}" in rule.replace('"', ""):
                found.append(rule)
                run("iptables", "-w", "-t", table, "-D", *rule.replace('"', "").split()[1:])
    for folder in (STATE / network, RUN / network):
        if folder.exists():
            found.append(str(folder))
            run("rm", "-rf", str(folder))
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
    # An engine that ends leaves the addresses of its load balancer, because it may come back.
    run("ip", "-4", "address", "flush", "dev", "lo", "label", "lo:*", "to", str(pool))
    return found


def kill_all(cgroup):
    """Kills everything in a cgroup and below, and waits until it is gone."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        processes = {
            int(pid) for procs in cgroup.rglob("cgroup.procs") for pid in read(procs).split() if pid != "0"
        }
        if not processes:
            return
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def remove_cgroups(cgroup):
    for folder in sorted((it for it in cgroup.rglob("*") if it.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        cgroup.rmdir()


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""
