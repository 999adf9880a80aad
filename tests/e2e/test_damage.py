"""Damaged files: what is wrong is named, what is good is used, and looking changes nothing."""

import hashlib
import json
import re
import subprocess

from varve import Server, trace, wait_until

TS = 1706878800000
KEEP_IN_JOURNAL = {"VARVE_FLUSH_EVENTS_FLUSH_MS": "600000",
                   "VARVE_FLUSH_FLUSH_INTERVAL_MS": "600000"}


def tree(path):
    """Every file below: its size, time and contents."""
    return {str(p.relative_to(path)): (p.stat().st_mtime_ns, p.stat().st_size,
                                       hashlib.sha256(p.read_bytes()).hexdigest())
            for p in sorted(path.rglob("*")) if p.is_file()}


def flip(path, at, count=1):
    data = bytearray(path.read_bytes())
    for i in range(at, at + count):
        data[i] ^= 0xff
    path.write_bytes(data)


def doctor(server, *more):
    """Its report, with the proof that it has changed nothing."""
    before = tree(server.data)
    done = server.cli("doctor", "--data", server.data, *more, check=False)
    assert tree(server.data) == before
    return done.returncode, done.stdout.decode()


def segment_with(server, text):
    for path in sorted((server.data / ".varve/journal").glob("*.segment")):
        at = path.read_bytes().find(text)
        if at >= 0:
            return path, at
    raise AssertionError("no segment holds it")


def test_a_damaged_journal_record_is_named_and_not_skipped(start):
    server = start(env=KEEP_IN_JOURNAL)
    for i in range(50):
        server.ingest([{"type": "a", "ts": TS + i, "pad": f"<{i}>" + "p" * 2000}])
    server.kill()
    path, at = segment_with(server, b"<25>")
    flip(path, at + 100)

    server.start(wait=False)
    assert server.process.wait(30) == 1
    last = server.log_text().splitlines()[-1]
    assert str(path) in last and "varve doctor" in last, last
    assert "JOURNAL_CORRUPT" in server.log_text()
    offset = int(re.search(r"offset (\d+)", last)[1])
    assert at - 8192 <= offset <= at

    code, report = doctor(server)
    assert code == 1
    assert "ERROR" in report and f"offset {offset}" in report and str(path) in report
    assert "--set-journal-aside" in report
    refused = server.cli("query", "--data", server.data, "SELECT 1", check=False)
    assert refused.returncode == 1 and str(path).encode() in refused.stderr

    flip(path, at + 100)  # the file is restored
    code, report = doctor(server)
    assert code == 0 and "50 records" in report
    server.start()
    assert server.value("SELECT count(*) FROM events") == 50


def test_a_journal_that_is_set_aside_lets_the_server_start(start):
    server = start()
    server.ingest([{"type": "kept", "ts": TS}])
    wait_until("an object", lambda: server.files("events/**/*.parquet"))
    server.restart()
    server.stop()
    server.env.update(KEEP_IN_JOURNAL)
    server.start()
    for i in range(10):
        server.ingest([{"type": "a", "ts": TS + i, "pad": f"<{i}>" + "p" * 2000}])
    server.kill()
    path, at = segment_with(server, b"<5>")
    flip(path, at)
    server.cli("doctor", "--data", server.data, "--set-journal-aside")
    assert list((server.data / ".varve").glob("journal.damaged-*/*.segment"))
    server.start()
    assert server.ingest([{"type": "new", "ts": TS}]).status == 200
    assert {r["type"] for r in server.sql("SELECT type FROM events")} == {"kept", "new"}


def test_a_torn_tail_is_no_damage_and_doctor_leaves_it(start):
    server = start(env=KEEP_IN_JOURNAL)
    for i in range(5):
        server.ingest([{"type": "a", "ts": TS + i, "pad": f"<{i}>" + "p" * 2000}])
    server.kill()
    path, at = segment_with(server, b"<4>")
    flip(path, at + 10)  # the last round: as if it had never reached the disk whole
    (server.data / ".varve/journal/preparing.tmp").write_bytes(b"left over")
    code, report = doctor(server)
    assert code == 0 and "4 records" in report and "bytes at its end" in report
    assert (server.data / ".varve/journal/preparing.tmp").exists()
    answer = server.cli("query", "--data", server.data, "SELECT count(*) AS n FROM events")
    assert answer.stdout.split() == [b"n", b"4"]
    assert (server.data / ".varve/journal/preparing.tmp").exists()
    server.start()
    assert server.value("SELECT count(*) FROM events") == 4


def test_a_corrupt_parquet_file_among_good_ones_is_named_and_left_out(start):
    server = start()
    server.ingest([{"type": "ok", "ts": TS + i} for i in range(10)])
    folder = server.data / "events/2026/02/02/14"
    folder.mkdir(parents=True)
    (folder / "torn.parquet").write_bytes(b"PAR1 this is not all of it")
    reply = server.post("/sql", {"sql": "SELECT count(*) AS n FROM events"})
    assert reply.status == 200, reply.body
    assert reply.json()["data"] == [{"n": 10}]
    assert "events/2026/02/02/14/torn.parquet" in json.dumps(reply.json()["warnings"])
    wait_until("an object", lambda: len(server.files("events/**/*.parquet")) > 1)
    server.stop()
    code, report = doctor(server, "--fast")
    assert code == 1 and "events/2026/02/02/14/torn.parquet" in report


def test_doctor_reads_every_page(start):
    server = start()
    server.ingest([{"type": f"t{i}", "ts": TS + i, "pad": "p" * 500} for i in range(500)])
    files = wait_until("an object", lambda: server.files("events/**/*.parquet"))
    wait_until("nothing to wait", lambda: server.get("/stats").json()["flush"]["waitingRows"] == 0)
    server.stop()
    code, report = doctor(server)
    assert code == 0 and "every page of their 500 rows" in report
    flip(files[0], 200, 4)  # inside a data page, which the footer knows nothing of
    code, report = doctor(server, "--fast")
    assert code == 0 and "every footer" in report
    code, report = doctor(server)
    assert code == 1 and str(files[0].relative_to(server.data)) in report


def test_doctor_changes_nothing_after_a_clean_stop_and_after_a_kill(start):
    server = start(env=KEEP_IN_JOURNAL)
    server.ingest([{"type": "a", "ts": TS}])
    server.post("/tail", {"type": "tail_events", "instanceId": "i", "timestamp": 1,
                          "events": [trace("w", 1)]})
    server.post("/queues/varve-raw-events/messages", {"body": {"hello": 1}, "content_type": "json"})
    wait_until("a dead letter", lambda: (server.queue("varve-dlq") or {}).get("backlog") == 1)
    server.kill()
    assert (server.data / ".varve/state.db-wal").stat().st_size > 0
    code, report = doctor(server)
    assert code == 0 and "2 records" in report and "state database: sound" in report
    assert "varve-dlq: 1 dead letters" in report
    server.start()
    server.stop()
    code, report = doctor(server)
    assert code == 0 and "varve-dlq: 1 dead letters" in report


def test_a_damaged_state_database_is_refused_by_name(start):
    server = start()
    server.ingest([{"type": "a", "ts": TS}])
    server.stop()
    state = server.data / ".varve/state.db"
    whole = state.read_bytes()
    for damaged in (whole[: len(whole) // 2 // 4096 * 4096 + 100], b"x" * 4096 + whole[4096:]):
        state.write_bytes(damaged)
        server.start(wait=False)
        assert server.process.wait(30) == 1
        last = server.log_text().splitlines()[-1]
        assert str(state) in last and "varve doctor" in last, last
        code, report = doctor(server)
        assert code == 1 and "ERROR" in report and "restore state.db" in report
    state.write_bytes(whole)
    server.start()
    assert server.value("SELECT count(*) FROM events") == 1
