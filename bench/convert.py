"""NDJSON → one sorted 13-column Parquet file: `varve convert` beside DuckDB, in turns.

The input is data/web-access.ndjson again and again, each time later by its own span, with the
members that a proxy adds (duration, request and trace id, host): about 480 bytes an event, in the
server's order, of which half the neighbours are not in the order of time. DuckDB is told the types
and makes the payload of them, which is the fastest of the ways we tried (reading whole objects and
extracting from them takes three times as long); its clock starts after it is loaded, varve's with
the process. Both write SNAPPY.
"""

import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import subprocess
import sys
import time

from measure import RUNS, VARVE, WEB_ACCESS, WORK, medians, save

EVENTS = int(os.environ.get("CONVERT_EVENTS", "1000000"))
INPUT = WORK / f"convert-{EVENTS}.ndjson"
OURS, THEIRS = WORK / "convert-varve.parquet", WORK / "convert-duckdb.parquet"
TYPES = {"type": "VARCHAR", "ts": "BIGINT", "source": "VARCHAR", "method": "VARCHAR",
         "url": "VARCHAR", "status_code": "INTEGER", "bytes": "BIGINT", "client_ip": "VARCHAR",
         "referer": "VARCHAR", "user_agent": "VARCHAR", "duration_ms": "DOUBLE",
         "request_id": "VARCHAR", "trace_id": "VARCHAR", "host": "VARCHAR"}
DUCKDB = """
import duckdb, sys, time
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
start = time.perf_counter()
connection.execute(sys.argv[1])
print(time.perf_counter() - start)
"""


def make_input():
    lines = WEB_ACCESS.read_text().splitlines()
    times = [json.loads(line)["ts"] for line in lines]
    span = max(times) - min(times) + 1000
    rng = random.Random(7)
    part = INPUT.with_suffix(".part")
    with part.open("w") as out:
        for i in range(EVENTS):
            line, ts = lines[i % len(lines)], times[i % len(lines)]
            line = line.replace(f'"ts":{ts}', f'"ts":{ts + i // len(lines) * span}', 1)
            request = hashlib.md5(b"%d" % i).hexdigest()
            trace = hashlib.md5(request.encode()).hexdigest()
            out.write(f'{line[:-1]},"duration_ms":{rng.expovariate(1 / 40):.1f},"request_id":"'
                      f'{request[:8]}-{request[8:12]}-{request[12:16]}-{request[16:20]}-'
                      f'{request[20:]}","trace_id":"{trace}","host":"www.semicomplete.com"}}\n')
    part.rename(INPUT)


def query():
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in TYPES.items())
    payload = ", ".join(f"{name}: {name}" for name in TYPES)
    return f"""COPY (
        SELECT make_timestamp_ms(ts) AS ts, type, source, NULL::VARCHAR AS provider,
               NULL::VARCHAR AS event_type, NULL::BOOLEAN AS verified, NULL::VARCHAR AS script_name,
               NULL::VARCHAR AS outcome, method, url, status_code, duration_ms,
               to_json({{{payload}}}) AS payload
        FROM read_json('{INPUT}', format='newline_delimited', columns={{{columns}}})
        ORDER BY ts) TO '{THEIRS}' (FORMAT parquet, COMPRESSION snappy)"""


def run(args, output):
    """Seconds and peak resident MB of a process, and what it printed: the second time it is run, so
    that it finds the machine's memory and disk as it leaves them, not as the other one does."""
    run_once(args, output)
    return run_once(args, output)


def run_once(args, output):
    output.unlink(missing_ok=True)
    start = time.perf_counter()
    child = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, args
    return time.perf_counter() - start, usage.ru_maxrss / 1024, printed


def check():
    import duckdb
    facts = ("SELECT count(*), epoch_ms(min(ts)), epoch_ms(max(ts)), count(DISTINCT url), "
             "sum(status_code), round(sum(duration_ms)), "
             "count(DISTINCT json_extract_string(payload, '$.request_id')) FROM '{}'")
    ours, theirs = (duckdb.sql(facts.format(path)).fetchall() for path in (OURS, THEIRS))
    assert ours == theirs and ours[0][0] == EVENTS, (ours, theirs)
    unsorted = duckdb.sql(f"""SELECT count(*) FROM (SELECT ts, lag(ts) OVER (
        ORDER BY file_row_number) AS before FROM read_parquet('{OURS}', file_row_number=true))
        WHERE before > ts""").fetchone()
    assert unsorted == (0,), unsorted


def check_apart():
    """In a process of its own: what this one uses would count as the peak of those it starts."""
    child = multiprocessing.get_context("fork").Process(target=check)
    child.start()
    child.join()
    assert child.exitcode == 0, "the two files differ"


WORK.mkdir(parents=True, exist_ok=True)
if not INPUT.exists():
    make_input()
varve = pathlib.Path(os.environ.get("VARVE", VARVE))
rows = []
for i in range(max(RUNS, 5)):
    ours_s, ours_mb, _ = run([varve, "convert", "--quiet", INPUT, "-o", OURS], OURS)
    _, theirs_mb, printed = run([sys.executable, "-c", DUCKDB, query()], THEIRS)
    theirs_s = float(printed)
    if i == 0:
        check_apart()
    rows.append({"varve_events_per_s": EVENTS / ours_s, "duckdb_events_per_s": EVENTS / theirs_s,
                 "ratio": theirs_s / ours_s, "varve_peak_mb": ours_mb, "duckdb_peak_mb": theirs_mb})
    print(json.dumps({key: round(value, 2) for key, value in rows[-1].items()}), file=sys.stderr)
save("convert", {"events": EVENTS, "bytes": INPUT.stat().st_size, "median": medians(rows),
                 "runs": rows})
