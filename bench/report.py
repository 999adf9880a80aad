"""bench/results.md out of the parts in build/bench/*.json, each figure beside its bar."""

import json
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build/bench"


def part(name):
    path = WORK / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def versions():
    gxx = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    varve = subprocess.run([ROOT / "build/release/varve", "--version"], capture_output=True,
                           text=True).stdout.strip()
    import duckdb
    return f"{varve}; g++ {gxx}; DuckDB {duckdb.__version__} as the peer (PyPI)"


rows = []


def row(work, figure, bar):
    rows.append(f"| {work} | {figure} | {bar} |")


if ingest := part("ingest"):
    m = ingest["median"]
    row("durable HTTP ingest, 100-event bodies, 8 connections, fdatasync before each reply, 20 s",
        f"{m['events_per_s']:,.0f} events/s; p50 {m['p50_ms']:.2f} ms, p99 {m['p99_ms']:.2f} ms; "
        f"peak {m['peak_mb']:.0f} MB ({len(ingest['runs'])} runs)",
        "≥ 550,000 events/s, p99 < 10 ms, < 300 MB")
    m = ingest["with_ids"]["median"]
    row("the same with an id in each event, remembered to store it once",
        f"{m['events_per_s']:,.0f} events/s; p50 {m['p50_ms']:.2f} ms, p99 {m['p99_ms']:.2f} ms; "
        f"peak {m['peak_mb']:.0f} MB", "stated")
if sustained := part("sustained"):
    m = sustained["median"]
    row(f"the same, {m['seconds']:.0f} s at a steady rate, every event flushed to Parquet as it goes",
        f"{m['events_per_s']:,.0f} events/s; p99 {m['p99_ms']:.2f} ms; peak {m['peak_mb']:.0f} MB; "
        f"at most {m['hot_events_max']:,.0f} events not yet in files; {m['parquet_rows']:,} rows in "
        f"{m['parquet_mb']:,.0f} MB of Parquet", "≥ 250,000 events/s for 3 minutes")
if convert := part("convert"):
    m = convert["median"]
    row("NDJSON → one sorted 13-column Parquet file, `varve convert`",
        f"{m['varve_events_per_s']:,.0f} events/s, DuckDB {m['duckdb_events_per_s']:,.0f}: "
        f"{m['ratio']:.2f}×; peak {m['varve_peak_mb']:.0f} MB, DuckDB {m['duckdb_peak_mb']:.0f} MB",
        "≥ 2× DuckDB, less memory")
for name, m in (part("merge") or {}).items():
    if "ratio" not in m:  # the large one, which has no peers
        row(f"merging {m['files']:,} sorted files ({m['input_mb']:.0f} MB), {name}",
            f"{m['varve']['seconds']:.1f} s; {m['over_floor']:.2f}× the codec floor; peak "
            f"{m['varve']['peak_mb']:.0f} MB", "linear, ≤ 256 MiB")
        continue
    by_codec = m["floor_s"] > 0.2 and m["over_floor"] > 1  # not copying, nor numbers alone
    floor = f"; {m['over_floor']:.2f}× the codec floor" if by_codec else ""
    row(f"merging {m['files']:,} sorted files ({m['input_mb']:.0f} MB), {name}",
        f"{m['varve']['seconds']:.2f} s, {m['fastest']} {m[m['fastest']]['seconds']:.2f} s: "
        f"{m['ratio']:.2f}×{floor}; peak {m['varve']['peak_mb']:.0f} MB, {m['fastest']} "
        f"{m[m['fastest']]['peak_mb']:.0f} MB; size {m['size_ratio']:.2f}× the smallest peer's",
        f"≥ {m['bar']}×, ≤ 256 MiB" if m["bar"] else "stated")
for name, m in (part("compaction") or {}).items():
    peers = "; ".join(f"{peer} {m[peer]['seconds']:.2f} s" for peer in m
                      if isinstance(m[peer], dict) and "seconds" in m[peer]
                      and peer not in ("varve", "merge"))
    row(f"120 files into an Iceberg table, `varve compact` with its commit, {name}",
        f"{m['varve']['seconds']:.2f} s, the merge alone {m['merge']['seconds']:.2f} s: "
        f"{m['over_merge']:.2f}×; {peers}; peak {m['varve']['peak_mb']:.0f} MB", f"≤ {m['bar']}×")
for name, m in (part("spark") or {}).items():
    row(f"the same 120 files, in an Iceberg table, Spark's rewrite_data_files with sort, {name}",
        f"{m['seconds']:.1f} s", "a peer")
if tables := part("tables"):
    m = tables["windows"]["note, first time"]
    row("1,000,000 announcements of writers' files through the window tracker, durably",
        f"{m['per_s']:,.0f}/s; peak {m['peak_mb']:.0f} MB", "≥ 50,000/s")
    m = tables["table"]
    one, replace = m["append one file"], m["replace 100 files of an hour by one"]
    plan = m["every live file (plan)"]
    row("an Iceberg table of 100,000 files: every live file / append one / replace 100 by one",
        f"{plan['ms']:.0f} ms / {one['ms']:.0f} ms / {replace['ms']:.0f} ms; peak, the objects "
        f"themselves included, {plan['peak_mb']:.0f} MB", "plan < 1 s, < 256 MB")
if sql := part("sql"):
    for name, q in sql["queries"].items():
        row(f"SQL over varve's files ({sql['rows']:,} rows): {name}",
            f"{q['varve_ms']:.0f} ms over HTTP, DuckDB alone {q['duckdb_ms']:.0f} ms: "
            f"{q['ratio']:.2f}×", "≤ 1.1×")
if hot := part("hot"):
    m = hot["median"]
    row(f"SQL over {hot['rows']:,} rows that are only in the journal",
        f"count {m['count_ms']:.0f} ms, group by {m['group_ms']:.0f} ms, url filter "
        f"{m['filter_ms']:.0f} ms, payload {m['payload_ms']:.0f} ms", "stated")
    row("from acknowledgement to visible in SQL", "0: it is in the next answer", "0")
if build := part("build"):
    row("full build without compiler cache, the program / tests and benches on top",
        f"{build['program_s']:.0f} s / {build['tests_and_bench_s']:.0f} s", "stated")
    row("building again after one source / a widely used header changed",
        f"{build['again_after_one_source_s']:.0f} s / {build['again_after_ingest.h_s']:.0f} s",
        "seconds")

text = f"""# Measurements

{cpu()}, {os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 30} GiB,
Linux {platform.release()}; client and server share the machine. {versions()}.
Made by `make bench`; medians. The input is `data/web-access.ndjson`, repeated with new times.

| work | measured | bar |
|---|---|---|
""" + "\n".join(rows) + "\n"
(ROOT / "bench/results.md").write_text(text)
