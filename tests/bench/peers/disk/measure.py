#!/usr/bin/env python3
"""The floor of everything that is durable: small writes appended to a file, each on disk before the next."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common  # noqa: E402

WRITES = 40
BYTES = 512
RUNS = 25


def fdatasync():
    with common.scratch("peer-disk-") as directory:
        runs = [one_run(directory / f"file{at}") for at in range(RUNS)]
    details = {"writes": WRITES, "bytes": BYTES, "runs": RUNS, "least": min(runs), "most": max(runs)}
    return common.median(runs), "ms", details


def one_run(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # The file and its name are there before the first write that counts.
        os.write(file, bytes(BYTES))
        os.fsync(file)
        started = time.perf_counter()
        for _ in range(WRITES):
            os.write(file, bytes(BYTES))
            os.fdatasync(file)
        return (time.perf_counter() - started) * 1000
    finally:
        os.close(file)


if __name__ == "__main__":
    common.main("disk", {"fdatasync": fdatasync})
