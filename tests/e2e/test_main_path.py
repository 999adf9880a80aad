"""From an event to an answer, over the real program."""

import json

import duckdb
import pyarrow.parquet as pq

from varve import WEB_ACCESS, WebSocket, read_rows, trace, wait_until

COLUMNS = ["ts", "type", "source", "provider", "event_type", "verified", "script_name", "outcome",
           "method", "url", "status_code", "duration_ms", "payload"]
LOG_COLUMNS = ["id", "scriptName", "eventTimestamp", "timestamp", "level", "message", "httpMethod",
               "httpUrl", "httpStatus", "outcome", "isException", "exceptionName", "colo",
               "country", "requestId", "fetchCount"]
EVENTS = "events/*/*/*/*/*.parquet"
LOGS = "logs/workers/**/*.parquet"


def flushed(varve, pattern, rows):
    def count():
        return sum(pq.ParquetFile(f).metadata.num_rows for f in varve.files(pattern)) == rows
    wait_until(f"{rows} rows in {pattern}", count)


def test_an_acknowledged_event_is_in_the_very_next_answer(start):
    varve = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "600000"})
    for i in range(30):
        reply = varve.ingest([{"type": "page", "ts": 1706878800000 + i, "n": i}])
        assert reply.status == 200
        assert reply.json() == {"ok": True, "received": 1, "namespace": "default"}
        assert varve.value("SELECT count(*) FROM events") == i + 1
    assert varve.files(EVENTS) == []


def test_real_requests_become_sorted_files_that_three_readers_agree_on(varve):
    events = [json.loads(line) for line in WEB_ACCESS.open()][:2000]
    for i in range(0, 2000, 500):
        assert varve.ingest(events[i:i + 500]).status == 200
    flushed(varve, EVENTS, 2000)
    assert varve.value("SELECT count(*) FROM events") == 2000
    payloads = []
    for path in varve.files(EVENTS):
        file = pq.ParquetFile(path)
        assert file.schema_arrow.names == COLUMNS
        table = file.read().to_pylist()
        assert [r["ts"] for r in table] == sorted(r["ts"] for r in table)
        assert all(r["ts"].strftime("%Y/%m/%d/%H") == "/".join(path.parts[-5:-1]) for r in table)
        assert file.metadata.row_group(0).column(1).statistics.has_min_max
        assert file.metadata.row_group(0).column(1).compression == "SNAPPY"
        hyparquet = read_rows(path)
        assert [r["payload"] for r in table] == [r["payload"] if isinstance(r["payload"], str)
                                                 else json.dumps(r["payload"]) for r in hyparquet] \
            or [json.loads(r["payload"]) for r in table] == [r["payload"] for r in hyparquet]
        payloads += [json.loads(r["payload"]) for r in table]
    key = lambda e: json.dumps(e, sort_keys=True)
    assert sorted(payloads, key=key) == sorted(events, key=key)
    answer = duckdb.sql(f"SELECT method, status_code, count(*) AS n FROM "
                        f"'{varve.data}/{EVENTS}' GROUP BY ALL ORDER BY ALL").fetchall()
    ours = varve.sql("SELECT method, status_code, count(*) AS n FROM events "
                     "GROUP BY ALL ORDER BY ALL")
    assert [tuple(r.values()) for r in ours] == answer


def test_500_tail_events_become_exactly_500_log_rows(varve):
    socket = WebSocket(varve.port)
    assert socket.status == 101
    for i in range(0, 500, 50):
        ack = socket.tail([trace("worker", n) for n in range(i, i + 50)])
        assert (ack["type"], ack["count"]) == ("ack", 50)
        assert varve.value("SELECT count(*) FROM logs") == i + 50
    socket.close()
    flushed(varve, LOGS, 500)
    assert varve.value("SELECT count(*) FROM logs") == 500
    assert varve.value("SELECT count(DISTINCT id) FROM logs") == 500
    (raw, *_) = varve.files("raw-events/*.ndjson")
    header = json.loads(raw.read_text().split("\n")[0])
    assert set(header) == {"doId", "createdAt", "batchSeq"}
    ms, do_id, seq = raw.stem.split("-")
    assert (str(header["createdAt"]), header["doId"], str(header["batchSeq"])) == (ms, do_id, seq)
    for path in varve.files(LOGS):
        assert pq.ParquetFile(path).schema_arrow.names == LOG_COLUMNS
        rows = read_rows(path)
        assert {r["scriptName"] for r in rows} == {"worker"}
        assert {r["requestId"] for r in rows} == {f"ray-{r['httpUrl'].split('/')[-1]}"
                                                  for r in rows}
    stats = wait_until("all messages to be acked", lambda: (
        lambda q: q if q["backlog"] == 0 else None)(varve.queue("varve-raw-events")))
    assert stats["sent"] == len(varve.files("raw-events/*.ndjson"))


def test_batch_id_is_spent_once_across_restarts(varve):
    events = [{"type": "a", "ts": 1706878800000}]
    assert varve.ingest(events, batchId="b-1").json() == \
        {"ok": True, "received": 1, "namespace": "default"}
    again = {"ok": True, "received": 1, "deduplicated": True, "namespace": "default"}
    assert varve.ingest(events, batchId="b-1").json() == again
    varve.kill()
    varve.start()
    assert varve.ingest(events, batchId="b-1").json() == again
    flushed(varve, EVENTS, 1)
    varve.restart()
    assert varve.ingest(events, batchId="b-1").json() == again
    assert varve.value("SELECT count(*) FROM events") == 1
    # A batch that was refused has not spent its id.
    assert varve.ingest([{"ts": 1}], batchId="b-2").status == 400
    assert varve.ingest(events, batchId="b-2").json()["received"] == 1
    assert varve.value("SELECT count(*) FROM events") == 2


def test_files_of_other_programs_are_answered_and_announced(varve):
    folder = varve.data / "events/2026/02/02/14"
    folder.mkdir(parents=True)
    duckdb.sql(f"""COPY (SELECT TIMESTAMP '2026-02-02 14:00:00' AS ts, 'foreign.parquet' AS type,
               '{{"a":1}}' AS payload) TO '{folder}/x.parquet' (FORMAT parquet)""")
    (folder / "y.jsonl").write_text('{"type":"foreign.jsonl","ts":1770040800000,"url":"/u"}\n')
    rows = varve.sql("SELECT type, url FROM events ORDER BY type")
    assert rows == [{"type": "foreign.jsonl", "url": "/u"}, {"type": "foreign.parquet", "url": None}]
    raw = varve.data / "raw-events/1704067200000-other-7.ndjson"
    raw.parent.mkdir(exist_ok=True)
    raw.write_text('{"doId":"other","createdAt":1704067200000,"batchSeq":7}\n' +
                   json.dumps(trace("foreign", 1)) + "\nnot json\n" +
                   json.dumps(trace("foreign", 2)))
    flushed(varve, LOGS, 2)
    assert varve.value("SELECT count(*) FROM logs WHERE scriptName = 'foreign'") == 2
    (quarantined,) = varve.files("quarantine/raw-events/**/*.ndjson")
    assert "not json" in quarantined.read_text()


def test_a_header_that_cannot_be_read_ends_in_the_dead_letters(varve):
    raw = varve.data / "raw-events/1704067200000-bad-1.ndjson"
    raw.parent.mkdir(exist_ok=True)
    raw.write_text("this is no header\n")
    wait_until("a dead letter", lambda: (varve.queue("varve-dlq") or {}).get("backlog") == 1)
    listing = varve.cli("queue", "dlq", "--url", f"http://127.0.0.1:{varve.port}").stdout.decode()
    assert "1704067200000-bad-1.ndjson" in listing
    raw.write_text('{"doId":"bad","createdAt":1704067200000,"batchSeq":1}\n' +
                   json.dumps(trace("mended", 1)))
    varve.cli("queue", "replay", "varve-dlq", "--url", f"http://127.0.0.1:{varve.port}")
    flushed(varve, LOGS, 1)


def test_tenants_see_their_own_rows_only(varve):
    acme, other = {"X-Namespace": "acme"}, {"X-Namespace": "other"}
    varve.ingest([{"type": "a", "ts": 1706878800000}] * 3, acme)
    varve.ingest([{"type": "b", "ts": 1706878800000}] * 2, other)
    varve.post("/tail", [trace("w", 1)], acme)
    assert varve.value("SELECT count(*) FROM events", acme) == 3
    assert varve.value("SELECT count(*) FROM events", other) == 2
    assert varve.value("SELECT count(*) FROM events") == 0
    flushed(varve, "ns/acme/" + EVENTS, 3)
    flushed(varve, "ns/other/" + EVENTS, 2)
    flushed(varve, "ns/acme/" + LOGS, 1)
    assert varve.value("SELECT count(*) FROM events", acme) == 3
    assert varve.value("SELECT count(*) FROM logs", acme) == 1
    assert varve.value("SELECT count(*) FROM logs", other) == 0


def test_durability_object_replies_when_the_object_holds_the_rows(start):
    varve = start(env={"VARVE_INGEST_DURABILITY": "object"})
    for i in range(5):
        assert varve.ingest([{"type": "a", "ts": 1706878800000 + i}]).status == 200
        rows = sum(pq.ParquetFile(f).metadata.num_rows for f in varve.files(EVENTS))
        assert rows == i + 1


def test_a_graceful_stop_flushes_everything(start):
    varve = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "600000",
                       "VARVE_FLUSH_FLUSH_INTERVAL_MS": "600000"})
    varve.ingest([{"type": "a", "ts": 1706878800000 + i} for i in range(100)])
    varve.post("/tail", [trace("w", i) for i in range(10)])
    assert varve.stop() == 0
    assert sum(pq.ParquetFile(f).metadata.num_rows for f in varve.files(EVENTS)) == 100
    assert len(varve.files("raw-events/*.ndjson")) == 1
    out = varve.cli("query", "--data", varve.data, "--format", "csv",
                    "SELECT count(*) AS n FROM events").stdout
    assert out.split() == [b"n", b"100"]


def test_query_builder_sql_runs_as_printed_in_plain_duckdb(varve):
    events = [{"type": "rpc.call" if i % 2 else "page", "ts": 1770040800000 + i,
               "do": {"id": f"d{i % 3}", "class": "ChatRoom"}} for i in range(60)]
    varve.ingest(events)
    flushed(varve, EVENTS, 60)
    (varve.data / "events/2026/02/02/14/old.jsonl").write_text(
        "\n".join(json.dumps({**e, "ts": e["ts"] + 1000}) for e in events))
    reply = varve.post("/query", {
        "dateRange": {"start": "2026-02-02T00:00:00Z", "end": "2026-02-02T23:59:59Z"},
        "eventTypes": ["rpc.call"], "doClass": "ChatRoom", "doId": "d1", "limit": 1000})
    assert reply.status == 200, reply.body
    sql = reply.json()["sql"]
    assert "events/2026/02/02/*/" in sql
    rows = duckdb.sql(f"SELECT type, payload FROM ({sql})").fetchall()
    expected = sum(1 for e in events if e["type"] == "rpc.call" and e["do"]["id"] == "d1")
    assert len(rows) == 2 * expected


def test_events_pages_by_cursor_without_gaps_or_repeats(varve):
    varve.ingest([{"type": "t.x" if i % 10 else "u", "ts": 1770040800000 + i // 7, "n": i}
                  for i in range(200)])
    path = "/events?type=t.*&limit=17&from=2026-02-01T00:00:00Z&to=2026-02-03T00:00:00Z"
    seen, pages = [], 0
    while path:
        reply = varve.get(path)
        assert reply.status == 200, reply.body
        page = reply.json()
        seen += [json.loads(e["payload"])["n"] if isinstance(e.get("payload"), str)
                 else e["payload"]["n"] for e in page["data"]]
        path = page["links"].get("next")
        if path and "://" in path:
            path = "/" + path.split("/", 3)[3]
        pages += 1
    assert pages > 5
    assert sorted(seen) == [n for n in range(200) if n % 10]
