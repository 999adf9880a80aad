"""Durable ingest over HTTP: the real requests with new times, 100-event bodies, 8 connections;
then the same with an id in each event, which the server remembers."""

from measure import RUNS, load, medians, peak_mb, save, serve


def measure(ids):
    rows = []
    for _ in range(RUNS):
        server = serve("ingest")
        row = load(server, 20, ids=ids)
        row["peak_mb"] = peak_mb(server.process)
        assert row["errors"] == 0, row
        stored = server.value("SELECT count(*) FROM events")
        assert stored == row["events"], (stored, row)
        server.kill()
        rows.append(row)
        print(row)
    return {"runs": rows, "median": medians(rows)}


save("ingest", {**measure(ids=False), "with_ids": measure(ids=True)})
