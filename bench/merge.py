"""Sorted Parquet files → one sorted file: `varve merge` beside DuckDB, Polars, pyarrow, DataFusion
and chDB, in turns, and beside the codec floor (bench/merge_floor.cc).

Workloads are merge_data.py's. Each peer runs in a process of its own, with the settings that we
found fastest for it; its clock starts once its library is loaded, varve's with its process. Rows
are compared with varve's output once a workload: as many, in order, the same sums of hashes.

    merge.py                         what scripts/bench runs
    merge.py interleaved-lz4 …       only these workloads; large-lz4 is one of ten times the size
"""

import json
import multiprocessing
import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build/bench/merge"
VARVE = pathlib.Path(os.environ.get("VARVE", ROOT / "build/release/varve"))
FLOOR = VARVE.parent / "bench/merge_floor"
RUNS = int(os.environ.get("RUNS", "5"))
THREADS = os.cpu_count()

# workload, its input, the output's codec, the bar against the fastest peer
WORKLOADS = {
    "interleaved-lz4": ("interleaved", "lz4", 2.3),
    "interleaved-zstd": ("interleaved", "zstd", 2.7),
    "interleaved-none": ("interleaved", "none", 3.5),
    "disjoint-lz4": ("disjoint", "lz4", 20),
    "tiny-lz4": ("tiny", "lz4", 5),
    "nearly-lz4": ("nearly", "lz4", None),
    "wide-lz4": ("wide", "lz4", None),
}
# Ten times interleaved-lz4, varve alone: only where it is named, its files take minutes to make.
LARGE = "large-lz4"

PEERS = {
    "duckdb": """
import duckdb
c = duckdb.connect()
c.execute("SET enable_progress_bar = false")
codec = {"lz4": "lz4_raw", "none": "uncompressed"}.get(codec, codec)
begin()
c.execute(f"COPY (SELECT * FROM read_parquet({files}) ORDER BY ts) TO '{out}' "
          f"(FORMAT parquet, COMPRESSION {codec})")
""",
    "polars": """
import polars
codec = {"none": "uncompressed"}.get(codec, codec)
begin()
polars.scan_parquet(files).sort("ts", maintain_order=False).sink_parquet(out, compression=codec)
""",
    "polars merge_sorted": """
import polars
codec = {"none": "uncompressed"}.get(codec, codec)
writers = {}
for file in files:
    writers.setdefault(file[-10:], []).append(file)
begin()
frames = [polars.scan_parquet(w) for w in writers.values()]
while len(frames) > 1:
    rest = frames[2:]
    frames = rest + [frames[0].merge_sorted(frames[1], key="ts")]
frames[0].sink_parquet(out, compression=codec)
""",
    "pyarrow": """
import pyarrow.dataset, pyarrow.parquet
begin()
table = pyarrow.dataset.dataset(files).to_table().sort_by("ts")
pyarrow.parquet.write_table(table, out, compression=codec)
""",
    "datafusion": """
import datafusion
config = datafusion.SessionConfig({
    "datafusion.execution.parquet.compression":
        {"lz4": "lz4_raw", "none": "uncompressed", "zstd": "zstd(1)"}[codec],
    "datafusion.execution.target_partitions": str(len(files)) if len(files) < 200 else "2",
    "datafusion.optimizer.prefer_existing_sort": "true"})
c = datafusion.SessionContext(config)
begin()
c.sql(f"CREATE EXTERNAL TABLE t STORED AS PARQUET WITH ORDER (ts ASC) "
      f"LOCATION '{files[0].rsplit('/', 1)[0]}/'")
c.sql(f"COPY (SELECT * FROM t ORDER BY ts) TO '{out}' STORED AS PARQUET").collect()
""",
    "chdb": """
import chdb
begin()
chdb.query(f"INSERT INTO FUNCTION file('{out}', Parquet) SELECT * FROM "
           f"file('{files[0].rsplit('/', 1)[0]}/*.parquet', Parquet) ORDER BY ts "
           f"SETTINGS output_format_parquet_compression_method='{codec}'")
""",
}
FRAME = """
import json, sys, time
files, out, codec = json.loads(sys.argv[1])
began = None
def begin():
    global began
    began = time.perf_counter()
{body}
print(time.perf_counter() - began)
"""


def run_child(command):
    """Output, seconds of the whole process, peak MB."""
    import time
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(err[-400:])
    return out, took, usage.ru_maxrss / 1024


def warm(run, *arguments):
    """The second of two runs, so that each side finds the machine's memory as it leaves it itself:
    the host takes back what a process before it had, and getting 2 GB again takes a while."""
    run(*arguments)
    return run(*arguments)


def run_peer(name, files, out, codec):
    out.unlink(missing_ok=True)
    text = FRAME.replace("{body}", PEERS[name])
    printed, _, peak = run_child([sys.executable, "-c", text,
                                  json.dumps([list(map(str, files)), str(out), codec])])
    return {"seconds": float(printed.split()[-1]), "peak_mb": peak, "bytes": out.stat().st_size}


def run_varve(files, out, codec, *extra):
    out.unlink(missing_ok=True)
    codec = {"zstd": os.environ.get("MERGE_ZSTD", "zstd")}.get(codec, codec)
    _, took, peak = run_child([str(VARVE), "merge", "-q", "--no-sync", "--key", "ts",
                               "--compression", codec, *extra, *map(str, files), "-o", str(out)])
    return {"seconds": took, "peak_mb": peak, "bytes": out.stat().st_size}


def floor(files, out):
    printed, _, _ = run_child([str(FLOOR), str(THREADS), str(out), *map(str, files)])
    return json.loads(printed)["seconds"]


def content(path):
    """Rows, whether they are in order, and a sum over all values that no order changes."""
    import duckdb
    c = duckdb.connect()
    rows, hashes = c.execute(
        f"SELECT count(*), sum(hash(t)::HUGEINT) FROM read_parquet('{path}') t").fetchone()
    wrong = c.execute("SELECT count(*) FROM (SELECT ts < lag(ts) OVER () AS wrong FROM "
                      f"read_parquet('{path}')) WHERE wrong").fetchone()[0]
    return rows, wrong, hashes


def read_ms(path):
    import time

    import duckdb
    c = duckdb.connect()
    best = 1e9
    for _ in range(3):
        start = time.perf_counter()
        c.execute(f"SELECT count(*), max(ts), sum(length(COLUMNS(* EXCLUDE ts)::VARCHAR)) "
                  f"FROM read_parquet('{path}')").fetchall()
        best = min(best, time.perf_counter() - start)
    return best * 1000


def make_files(directory, shape, codec):
    import merge_data
    return merge_data.make(directory, shape, codec)


def apart(function, *arguments):
    """In a process of its own: a child's peak begins with the memory of the process it is made by,
    so this one stays small."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def median(values):
    return sorted(values)[len(values) // 2]


def measure(name, peers):
    shape, codec, bar = ("large", "lz4", None) if name == LARGE else WORKLOADS[name]
    peers = [] if name == LARGE else peers
    directory = WORK / f"{shape}-{codec}"
    files = apart(make_files, directory, shape, codec)
    outputs = {who: WORK / f"out-{who.split()[0]}-{len(who)}.parquet" for who in [*peers, "varve"]}
    runs = {who: [] for who in outputs}
    failed = {}
    for _ in range(RUNS):
        runs["varve"].append(warm(run_varve, files, outputs["varve"], codec))
        for who in peers:
            if who in failed:
                continue
            try:
                runs[who].append(warm(run_peer, who, files, outputs[who], codec))
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed[who] = str(error)[-200:]
    ours = apart(content, outputs["varve"])
    assert ours[1] == 0, "varve's output is not sorted"
    out = {"files": len(files), "input_mb": sum(f.stat().st_size for f in files) / 1e6, "bar": bar}
    for who, measured in runs.items():
        if not measured:
            continue
        out[who] = {key: median([m[key] for m in measured]) for key in measured[0]}
        theirs = apart(content, outputs[who])
        out[who]["same_rows"] = theirs[0] == ours[0] and theirs[2] == ours[2]
    out["failed"] = failed
    out["floor_s"] = median([floor(files, outputs["varve"]) for _ in range(RUNS)])
    rivals = {who: out[who]["seconds"] for who in peers if who in out}
    if rivals:
        out["fastest"] = min(rivals, key=rivals.get)
        out["ratio"] = rivals[out["fastest"]] / out["varve"]["seconds"]
        smallest = min(out[who]["bytes"] for who in rivals)
        out["size_ratio"] = out["varve"]["bytes"] / smallest
        out["read_ms"] = {who: apart(read_ms, outputs[who]) for who in ("varve", out["fastest"])}
    if out["floor_s"] > 0:
        out["over_floor"] = out["varve"]["seconds"] / out["floor_s"]
    for path in outputs.values():
        path.unlink(missing_ok=True)
    return out


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    WORK.mkdir(parents=True, exist_ok=True)
    chosen = sys.argv[1:] or list(WORKLOADS)
    peers = [p for p in PEERS if p in os.environ.get("MERGE_PEERS", ",".join(PEERS)).split(",")]
    results = {}
    for name in chosen:
        results[name] = measure(name, peers)
        print(name, json.dumps(results[name], indent=1), flush=True)
    path = ROOT / "build/bench/merge.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**old, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
