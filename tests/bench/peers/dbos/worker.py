"""The workflows that DBOS runs: durable steps that do nothing, each with what the one before gave. Runs as many as each line of
standard input says, and answers with when it began and ended. Started by measure.py, in the venv that has DBOS."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig

database, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
DBOS(
    config=DBOSConfig(
        name="bench",
        system_database_url=database,
        # A connection for each thread, and some for DBOS itself.
        sys_db_pool_size=threads + 2,
        max_executor_threads=threads,
        executor_id=str(os.getpid()),
        application_version="1",
        log_level="ERROR",
        enable_otlp=False,
    )
)


@DBOS.step()
def step(before):
    return before + 1


@DBOS.workflow()
def workflow():
    value = 0
    for _ in range(steps):
        value = step(value)
    return value


DBOS.launch()
print("ready", flush=True)
with ThreadPoolExecutor(threads) as pool:
    for line in sys.stdin:
        started = time.monotonic()
        values = list(pool.map(lambda _: workflow(), range(int(line))))
        ended = time.monotonic()
        assert values == [steps] * len(values)
        print(json.dumps([started, ended]), flush=True)
DBOS.destroy()
