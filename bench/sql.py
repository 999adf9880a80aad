"""SQL over varve's files against DuckDB alone on the same files, in turns."""

import json
import os
import time

import duckdb
from measure import RUNS, load, medians, save, serve, wait_until

QUERIES = {
    "count": "SELECT count(*) AS n FROM events",
    "group": "SELECT type, method, status_code, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL",
    "filter": "SELECT count(*) AS n FROM events WHERE url LIKE '%logstash%' AND status_code = 200",
    "payload": "SELECT sum(CAST(json_extract(payload, '$.bytes') AS BIGINT)) AS b FROM events",
    "newest": "SELECT CAST(ts AS VARCHAR) AS at, url FROM events ORDER BY ts DESC, url LIMIT 100",
}

server = serve("sql", VARVE_FLUSH_EVENTS_FLUSH_MS="500")
sent = load(server, 10, rate=2000)
wait_until("all rows in files", lambda: "varve_journal_hot_events 0" in
           server.get("/metrics").body.decode(), 60)
glob = f"{server.data}/events/*/*/*/*/*.parquet"
plain = duckdb.connect()
plain.execute(f"SET threads={os.cpu_count()}")


def timed(work):
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


result = {"rows": sent["events"], "queries": {}}
for name, sql in QUERIES.items():
    rows = []
    for _ in range(max(RUNS, 5)):
        theirs, answer = timed(lambda: plain.execute(
            sql.replace("FROM events", f"FROM read_parquet('{glob}')")).fetchall())
        ours, reply = timed(lambda: server.post("/sql", json.dumps({"sql": sql})))
        if name in ("count", "group", "filter", "payload"):
            assert [tuple(r.values()) for r in reply.json()["data"]] == answer, name
        rows.append({"duckdb_ms": theirs * 1e3, "varve_ms": ours * 1e3})
    middle = medians(rows)
    middle["ratio"] = middle["varve_ms"] / middle["duckdb_ms"]
    result["queries"][name] = middle
server.kill()
save("sql", result)
