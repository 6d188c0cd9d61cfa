#!/usr/bin/env python3
"""Restate: durable steps a second in many workflows, and durable steps one after the other in one. The server is the one of the
npm package with its own storage on disk; the service is `service.mjs`."""

import http.client
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

WORKFLOWS, CHAINS, DEPTH = 200, 4, 10
ROUNDS = 7
SEQUENCE = 40
SEQUENCE_ROUNDS = 25
# As shipped, and fewer: each partition has a log of its own to write.
PARTITIONS = (24, 2, 1)


def durable_steps():
    measured = {}
    for partitions in PARTITIONS:
        with restate(partitions) as server:
            server.run("chains", WORKFLOWS)
            rounds = [server.timed("chains", WORKFLOWS) for _ in range(ROUNDS)]
        steps = WORKFLOWS * CHAINS * DEPTH
        seconds = common.median([it[0] for it in rounds])
        measured[partitions] = (steps / seconds, common.median([it[1] for it in rounds]) / steps * 1000)
    best = max(measured, key=lambda it: measured[it][0])
    return (
        measured[best][0],
        "steps/s",
        {
            "workflows": WORKFLOWS,
            "shape": f"{CHAINS} chains of {DEPTH}, a layer at a time",
            "partitions": best,
            "cpu_seconds_per_1000": measured[best][1],
            "rounds": ROUNDS,
            "tried": {f"{partitions} partitions": it[0] for partitions, it in measured.items()},
        },
    )


def sequence():
    with restate(PARTITIONS[0]) as server:
        server.run("sequence", 10)
        rounds = [server.timed("sequence", 1)[0] * 1000 for _ in range(SEQUENCE_ROUNDS)]
    return common.median(rounds), "ms", {"steps": SEQUENCE, "rounds": SEQUENCE_ROUNDS, "least": min(rounds)}


class Server:
    """A server that runs, with the service beside."""

    INPUT = {"chains": {"chains": CHAINS, "depth": DEPTH}, "sequence": {"depth": SEQUENCE}}
    OUTPUT = {"chains": [DEPTH] * CHAINS, "sequence": SEQUENCE}

    def __init__(self, ingress):
        self.ingress = ingress

    def run(self, handler, workflows):
        """Runs workflows at the same time, and looks at what each returns."""

        def one(_):
            status, body = request(self.ingress, "POST", f"/bench/{handler}", self.INPUT[handler])
            if status != 200 or json.loads(body) != self.OUTPUT[handler]:
                sys.exit(f"a workflow answered {status}: {body[:500]}")

        with ThreadPoolExecutor(workflows) as pool:
            list(pool.map(one, range(workflows)))

    def timed(self, handler, workflows):
        """Seconds of the wall and of the CPU, the latter of server and service together."""
        cpu, started = common.cpu_seconds(), time.perf_counter()
        self.run(handler, workflows)
        return time.perf_counter() - started, common.cpu_seconds() - cpu


@contextmanager
def restate(partitions):
    home = common.installed("restate", "restate")
    program = next(home.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    ingress, admin, node, port = (common.free_port() for _ in range(4))
    with common.scratch("peer-restate-") as directory:
        environment = os.environ | {
            "RESTATE_BASE_DIR": str(directory / "data"),
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_DEFAULT_NUM_PARTITIONS": str(partitions),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_LOGGING": "WARN",
            "NODE_ENV": "production",
        }
        # Modules are looked for beside the file.
        shutil.copy(HERE / "service.mjs", home)
        service = common.start(["node", home / "service.mjs", str(port)], directory / "service.log", env=environment)
        server = common.start([program], directory / "server.log", env=environment)
        common.wait_until(lambda: answers(admin, "/health"), server, directory / "server.log")
        common.wait_until(lambda: registered(admin, port), service, directory / "service.log")
        common.wait_until(lambda: answers(ingress, "/restate/health"), server, directory / "server.log")
        yield Server(ingress)


def request(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def answers(port, path):
    try:
        return request(port, "GET", path)[0] == 200
    except OSError:
        return False


def registered(admin, port):
    return request(admin, "POST", "/deployments", {"uri": f"http://127.0.0.1:{port}"})[0] in (200, 201)


if __name__ == "__main__":
    common.main("restate", {"durable-steps": durable_steps, "sequence": sequence})
