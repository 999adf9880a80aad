"""What the benches share: a server of their own, memory, medians, and where results go."""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from varve import Server, wait_until  # noqa: E402

RUNS = int(os.environ.get("RUNS", "5"))
WORK = ROOT / "build/bench"
LOAD = ROOT / "build/release/bench/ingest_load"
VARVE = ROOT / "build/release/varve"
WEB_ACCESS = ROOT / "data/web-access.ndjson"


def fresh(name):
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def serve(name, **env):
    """A server with the defaults a user gets, but for what env says."""
    defaults = {"VARVE_FLUSH_EVENTS_FLUSH_MS": "5000", "VARVE_FLUSH_FLUSH_INTERVAL_MS": "30000",
                "VARVE_QUEUE_MAX_BATCH_TIMEOUT_MS": "30000", "VARVE_QUEUE_RETRY_BASE_MS": "1000",
                "VARVE_NOTIFY_RECONCILE_INTERVAL_MS": "10000", "VARVE_NOTIFY_SETTLE_MS": "2000"}
    return Server(fresh(name) / "data", env={**defaults, **env})


def peak_mb(process):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


def load(server, seconds, rate=None, connections=8, ids=False):
    args = [LOAD, "--url", f"127.0.0.1:{server.port}", "--connections", connections,
            "--seconds", seconds, "--events-per-body", 100, "--input", WEB_ACCESS]
    if ids:
        args += ["--ids", 1]
    if rate:
        args += ["--rate", rate]
    done = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def medians(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]
            if isinstance(rows[0][key], (int, float))}


def save(part, value):
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / f"{part}.json").write_text(json.dumps(value, indent=1) + "\n")
    print(json.dumps(value, indent=1))
