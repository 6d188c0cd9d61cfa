"""What the programs that measure a peer have in common: their command line, processes that end with them, and the line that
they print. What is measured of which peer is in the folders beside; which of our figures it stands beside is in `../run`."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Where `setup` puts what it downloads.
INSTALLED = ROOT / "target/peers"

CLONE_NEWNET = 0x40000000
PR_SET_CHILD_SUBREAPER = 36
START_SECONDS = 60
STOP_SECONDS = 15
TICKS = os.sysconf("SC_CLK_TCK")


def main(peer, figures):
    """Measures the figures that are asked for, all of them if none is, and prints a line for each.

    `figures` has a function for each name; it returns value, unit and a dictionary of everything else that was seen.
    """
    asked = sys.argv[1:] or list(figures)
    unknown = [it for it in asked if it not in figures]
    if unknown:
        sys.exit(f"{peer} has no figure {', '.join(unknown)}; it has {', '.join(figures)}")
    end_on_signals()
    loopback_only()
    for name in asked:
        value, unit, details = figures[name]()
        line = {"peer": peer, "figure": name, "value": rounded(value), "unit": unit}
        print(json.dumps(line | {key: rounded(it) for key, it in details.items()}), flush=True)


def rounded(value):
    """Four significant digits: more would pretend."""
    if isinstance(value, dict):
        return {key: rounded(it) for key, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(it) for it in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def loopback_only():
    """Puts this program into a network of its own that has nothing but loopback: some peers would call home."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        sys.exit(f"a network of its own: {os.strerror(ctypes.get_errno())}; peers are measured as root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def end_on_signals():
    """Has a signal end this program as an exception does, so that what it started ends too."""

    def end(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def adopt():
    """Makes this process the parent of every descendant whose own parent is gone, so that `descendants` finds it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stat(pid):
    """The fields of /proc/PID/stat from the state on; nothing when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def descendants(root):
    """The processes that live and that this one started, directly or not."""
    children = {}
    for pid in (int(it) for it in os.listdir("/proc") if it.isdigit()):
        fields = stat(pid)
        if fields and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(pid)
    found, open_ = [], [root]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def cpu_seconds():
    """The CPU seconds so far of everything that this process started, with what of that has started others and ended."""
    seen = (stat(pid) for pid in descendants(os.getpid()))
    return sum(int(it) for fields in seen if fields for it in fields[11:15]) / TICKS


def end_descendants(number=signal.SIGTERM, seconds=STOP_SECONDS):
    """Ends everything that this process started, by id; kills what does not end in time."""
    deadline = time.monotonic() + seconds
    told = set()
    while left := set(descendants(os.getpid())):
        late = time.monotonic() > deadline
        for pid in left if late else left - told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else number)
        told |= left
        reap()
        time.sleep(0.05)
    reap()


def reap():
    """Takes note of children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def scratch(prefix):
    """A directory on the disk that is measured; gone afterwards. Everything started inside of the block is ended first."""
    adopt()
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        os.chmod(directory, 0o755)
        try:
            yield Path(directory)
        finally:
            end_descendants()


def start(command, log, **options):
    """Starts a server; its words go to a file."""
    output = open(log, "ab")
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)


def wait_until(ready, process, log):
    """Waits until a server answers; its last words are the error when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            words = Path(log).read_text(errors="replace")[-1500:]
            sys.exit(f"{process.args[0]} does not answer (exit code {process.returncode}):\n{words}")
        time.sleep(0.05)


def free_port():
    """A port of this program's own network that nobody has."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def installed(path, peer):
    """A program or folder that `setup` has installed."""
    path = INSTALLED / path
    if not path.exists():
        sys.exit(f"{path} is missing: run tests/bench/peers/setup {peer}")
    return path


def median(values):
    return statistics.median(values)
