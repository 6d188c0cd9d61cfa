#!/usr/bin/env python3
"""DBOS on a PostgreSQL of its own: durable steps a second in many workflows, and durable steps one after the other in one. The
workflows are in `worker.py`."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

WORKFLOWS, STEPS = 200, 40
ROUNDS = 2
SEQUENCE_ROUNDS = 15
# Processes, and threads of each: Python uses one core a process.
CONCURRENCY = ((1, 8), (2, 8))


def durable_steps():
    measured = {}
    with postgres() as database:
        for processes, threads in CONCURRENCY:
            with workers(database, processes, threads) as run:
                run(processes)
                rounds = [run(WORKFLOWS) for _ in range(ROUNDS)]
            steps = WORKFLOWS * STEPS
            seconds = common.median([it[0] for it in rounds])
            cpu = common.median([it[1] for it in rounds])
            measured[f"{processes} × {threads} threads"] = (steps / seconds, cpu / steps * 1000)
    best = max(measured, key=lambda it: measured[it][0])
    details = {"workflows": WORKFLOWS, "shape": f"{STEPS} in sequence", "processes": best, "rounds": ROUNDS}
    details["cpu_seconds_per_1000"] = measured[best][1]
    details["tried"] = {name: it[0] for name, it in measured.items()}
    return measured[best][0], "steps/s", details


def sequence():
    with postgres() as database, workers(database, 1, 1) as run:
        run(3)
        rounds = [run(1)[0] * 1000 for _ in range(SEQUENCE_ROUNDS)]
    return common.median(rounds), "ms", {"steps": STEPS, "rounds": SEQUENCE_ROUNDS, "least": min(rounds)}


@contextmanager
def workers(database, processes, threads):
    """Processes that run workflows; yields a function that has them run some, and returns seconds of the wall and of the CPU."""
    python = common.installed("dbos/bin/python", "dbos")
    command = [python, HERE / "worker.py", database, str(threads), str(STEPS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(processes)]
    for it in started:
        if it.stdout.readline() != "ready\n":
            sys.exit("a worker of DBOS did not start")

    def run(workflows):
        cpu = common.cpu_seconds()
        for it in started:
            it.stdin.write(f"{workflows // processes}\n")
            it.stdin.flush()
        answers = [it.stdout.readline() for it in started]
        if not all(answers):
            sys.exit("a worker of DBOS ended by itself")
        times = [json.loads(it) for it in answers]
        return max(it[1] for it in times) - min(it[0] for it in times), common.cpu_seconds() - cpu

    yield run
    for it in started:
        it.stdin.close()
    for it in started:
        it.wait(common.STOP_SECONDS)


@contextmanager
def postgres():
    """A cluster of its own as initdb makes it, with fsync; yields the address of an empty database."""
    programs = Path(subprocess.check_output([common.ROOT / "tests/setup/postgres.sh"], text=True).strip())
    # PostgreSQL refuses to run as root.
    unprivileged = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    port = str(common.free_port())
    with common.scratch("peer-dbos-") as directory:
        shutil.chown(directory, "postgres")
        options = {"cwd": "/", "env": os.environ | {"LC_ALL": "C.UTF-8"}}
        data, log = directory / "data", directory / "log"
        make = ["--username=bench", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        command = [*unprivileged, programs / "initdb", "--pgdata", data, *make]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
        command = [*unprivileged, programs / "postgres", "-D", data, "-p", port, "-k", directory]
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=on"]
        server = common.start([*command, *settings], log, **options)
        at = ["--host=127.0.0.1", "--port", port]
        is_ready = [programs / "pg_isready", "--quiet", *at]
        common.wait_until(lambda: subprocess.run(is_ready).returncode == 0, server, log)
        subprocess.run([programs / "createdb", *at, "--username=bench", "bench"], check=True)
        yield f"postgresql://bench@127.0.0.1:{port}/bench"


if __name__ == "__main__":
    common.main("dbos", {"durable-steps": durable_steps, "sequence": sequence})
