"""A window of 120 writers' files → an Iceberg table, end to end with its commit: `varve compact`
beside the merge alone, DuckDB's sort with PyIceberg's commit, and delta-rs's compaction and z-order,
in turns. The data are merge_data.py's.

    compaction.py                     what scripts/bench runs
    compaction.py interleaved-lz4 …   only these workloads

Bar: at most 1.15 × the merge alone.
"""

import json
import os
import pathlib
import shutil
import statistics
import sys

from merge import FRAME, ROOT, VARVE, WORKLOADS, run_child, warm

INPUT = ROOT / "build/bench/merge"
WORK = ROOT / "build/bench/compaction"
RUNS = int(os.environ.get("RUNS", "5"))
BAR = 1.15
DEFAULT = ("interleaved-lz4", "interleaved-zstd")

PEERS = {
    "duckdb + pyiceberg": """
import duckdb, pyarrow.parquet
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.table import CommitTableResponse, Table

class OneTable(MetastoreCatalog, NoopCatalog):  # commits to files, without a database
    def write(self, staged):
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self.table = Table(("n", "t"), staged.metadata, staged.metadata_location, staged.io, self)
        return self.table
    def create_table(self, identifier, schema, location):
        return self.write(self._create_staged_table(identifier=identifier, schema=schema,
                                                    location=location))
    def load_table(self, identifier):
        return self.table
    def commit_table(self, table, requirements, updates):
        done = self.write(self._update_and_stage_table(table, table.name(), requirements, updates))
        return CommitTableResponse(metadata=done.metadata, metadata_location=done.metadata_location)

c = duckdb.connect()
c.execute("SET enable_progress_bar = false")
codec = {"lz4": "lz4_raw", "none": "uncompressed"}.get(codec, codec)
begin()
part = f"{out}/part.parquet"
c.execute(f"COPY (SELECT * FROM read_parquet({files}) ORDER BY ts) TO '{part}' "
          f"(FORMAT parquet, COMPRESSION {codec})")
catalog = OneTable("c", warehouse=f"file://{out}")
table = catalog.create_table(("n", "t"), pyarrow.parquet.read_schema(part), f"file://{out}/t")
table.add_files([part])
""",
    "delta-rs compact": """
import deltalake
deltalake.convert_to_deltalake(out + "/in")
table = deltalake.DeltaTable(out + "/in")
begin()
table.optimize.compact(target_size=100 << 20)
""",
    "delta-rs z-order": """
import deltalake
deltalake.convert_to_deltalake(out + "/in")
table = deltalake.DeltaTable(out + "/in")
begin()
table.optimize.z_order(["ts"], target_size=100 << 20)
""",
}


def fresh(name):
    out = WORK / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out


def link_inputs(files, folder):
    """Hard links, so that each run has files to delete and none is copied."""
    folder.mkdir(parents=True)
    for file in files:
        os.link(file, folder / file.name)


def run_merge(files, codec):
    out = fresh("merge")
    _, took, peak = run_child([str(VARVE), "merge", "-q", "--key", "ts", "--compression", codec,
                               "--file-size", "100 MiB", *map(str, files), "-o", str(out / "out.parquet")])
    return {"seconds": took, "peak_mb": peak}


def run_compact(files, codec, *extra):
    out = fresh("varve")
    link_inputs(files, out / "data/users")
    printed, took, peak = run_child(
        [str(VARVE), "compact", "--prefix", "data/users/", "--namespace", "users", "--to", "iceberg",
         "--partition", "none", "--key", "ts", "--compression", codec, "--json", "-q", "--data", str(out),
         *extra])
    steps = {step["step"]: step["ms"] for step in json.loads(printed)["steps"]}
    assert not list((out / "data").rglob("*.parquet"))
    return {"seconds": took, "peak_mb": peak, "steps_ms": steps}


def run_peer(name, files, codec):
    out = fresh("peer")
    if name.startswith("delta"):
        link_inputs(files, out / "in")
    printed, _, peak = run_child([sys.executable, "-c", FRAME.replace("{body}", PEERS[name]),
                                  json.dumps([list(map(str, files)), str(out), codec])])
    return {"seconds": float(printed.split()[-1]), "peak_mb": peak}


def median(runs):
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def workload(name):
    _, codec, _ = WORKLOADS[name]
    if not (INPUT / name / "done").exists():
        sys.exit(f"{name} is not there: bench/merge.py {name} makes it")
    files = sorted((INPUT / name).glob("*.parquet"))
    results = {"merge": [], "varve": []}
    failed = {}
    for _ in range(RUNS):
        results["merge"].append(warm(run_merge, files, codec))
        results["varve"].append(warm(run_compact, files, codec))
        for peer in PEERS:
            if peer in failed:
                continue
            try:
                results.setdefault(peer, []).append(warm(run_peer, peer, files, codec))
            except RuntimeError as error:
                failed[peer] = str(error)[-200:]
    out = {peer: median(runs) for peer, runs in results.items() if runs}
    pairs = zip(results["varve"], results["merge"])
    out["over_merge"] = statistics.median(v["seconds"] / m["seconds"] for v, m in pairs)
    out["failed"] = failed
    out["bar"] = BAR
    return out


def main():
    names = sys.argv[1:] or DEFAULT
    report = {}
    for name in names:
        report[name] = workload(name)
        line = ", ".join(f"{peer} {run['seconds']:.2f} s" for peer, run in report[name].items()
                         if isinstance(run, dict) and "seconds" in run)
        print(f"{name}: {line}; {report[name]['over_merge']:.2f} × the merge (bar {BAR})")
        for peer, why in report[name]["failed"].items():
            print(f"  {peer} failed: {why}")
    shutil.rmtree(WORK, ignore_errors=True)
    (ROOT / "build/bench").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/bench/compaction.json").write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
