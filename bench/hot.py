"""The time from an acknowledgement to the answer, and SQL over a million rows still in the journal."""

import time

from measure import RUNS, load, medians, save, serve

server = serve("hot", VARVE_FLUSH_EVENTS_FLUSH_MS="3600000",
               VARVE_FLUSH_EVENTS_FLUSH_BYTES=str(4 << 30))
while server.value("SELECT count(*) FROM events") < 1_000_000:
    load(server, 1, rate=4000)
rows = server.value("SELECT count(*) FROM events")
runs = []
for i in range(max(RUNS, 5)):
    run = {}
    for name, sql in {"count_ms": "SELECT count(*) AS n FROM events",
                      "group_ms": "SELECT type, method, count(*) AS n FROM events GROUP BY ALL",
                      "filter_ms": "SELECT count(*) AS n FROM events WHERE url LIKE '%logstash%'",
                      "payload_ms": "SELECT sum(length(payload)) AS n FROM events"}.items():
        start = time.perf_counter()
        server.sql(sql)
        run[name] = (time.perf_counter() - start) * 1e3
    server.ingest([{"type": "probe", "n": i}])
    assert server.value("SELECT count(*) FROM events WHERE type = 'probe'") == i + 1
    runs.append(run)
server.kill()
save("hot", {"rows": rows, "runs": runs, "median": medians(runs)})
