"""Durable ingest over HTTP: the real requests with new times, 100-event bodies, 8 connections."""

from measure import RUNS, load, medians, peak_mb, save, serve

rows = []
for _ in range(RUNS):
    server = serve("ingest")
    row = load(server, 20)
    row["peak_mb"] = peak_mb(server.process)
    assert row["errors"] == 0, row
    stored = server.value("SELECT count(*) FROM events")
    assert stored == row["events"], (stored, row)
    server.kill()
    rows.append(row)
    print(row)
save("ingest", {"runs": rows, "median": medians(rows)})
