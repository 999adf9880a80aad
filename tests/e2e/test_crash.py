"""kill -9 at random moments: what was acknowledged is there exactly once, afterwards and always."""

import json
import os
import random
import subprocess
import threading
import time

import pyarrow.parquet as pq

from varve import BINARY, Server, trace, wait_until

ROUNDS = int(os.environ.get("VARVE_CRASH_ROUNDS", "60"))
SEED = int(os.environ.get("VARVE_CRASH_SEED", "20261121"))


class Client(threading.Thread):
    """Sends numbered events and tail items until told to stop; knows what was acknowledged."""

    def __init__(self, server, first):
        super().__init__(daemon=True)
        self.server, self.next = server, first
        self.acked_events, self.unknown_events = [], []
        self.acked_items, self.unknown_items = [], []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            numbers = list(range(self.next, self.next + 20))
            self.next += 20
            self.send("/ingest", {"batchId": f"b{numbers[0]}", "events": [
                {"type": "n", "ts": 1706878800000 + n, "n": n} for n in numbers]},
                numbers, self.acked_events, self.unknown_events)
            self.send("/tail", {"type": "tail_events", "instanceId": "c", "timestamp": 1,
                                "events": [trace("w", n) for n in numbers]},
                      numbers, self.acked_items, self.unknown_items)

    def send(self, path, body, numbers, acked, unknown):
        try:
            reply = self.server.post(path, body)
        except OSError:
            reply = None
        except Exception:  # a reply cut short by the kill
            reply = None
        (acked if reply is not None and reply.status == 200 else unknown).append(
            (body.get("batchId"), numbers))


def flat(batches):
    return [n for _, numbers in batches for n in numbers]


def check_rows(server, column, table, acked, unknown):
    rows = [r["n"] for r in server.sql(f"SELECT {column} AS n FROM {table}")]
    assert len(rows) == len(set(rows)), f"{table}: rows twice: " \
        f"{sorted(n for n in set(rows) if rows.count(n) > 1)[:10]}"
    present = set(rows)
    missing = set(flat(acked)) - present
    assert not missing, f"{table}: {len(missing)} acknowledged rows lost: {sorted(missing)[:10]}"
    assert present <= set(flat(acked)) | set(flat(unknown)), f"{table}: rows nobody sent"
    for _, numbers in unknown:  # never half a batch
        assert len(present & set(numbers)) in (0, len(numbers))


EVENT_N = "CAST(json_extract(payload, '$.n') AS BIGINT)"
LOG_N = "eventTimestamp - 1706878800000"


def test_random_kills_and_duplicate_deliveries_lose_and_double_nothing(tmp_path):
    chance = random.Random(SEED)
    server = Server(tmp_path / "data", env={
        "VARVE_FLUSH_EVENTS_FLUSH_MS": "40", "VARVE_FLUSH_FLUSH_INTERVAL_MS": "60",
        "VARVE_QUEUE_MAX_BATCH_TIMEOUT_MS": "30", "VARVE_QUEUE_LEASE_MS": "1500"})
    acked_e, unknown_e, acked_i, unknown_i = [], [], [], []
    first = 0
    for _ in range(ROUNDS):
        client = Client(server, first)
        client.start()
        delay = threading.Event()
        delay.wait(chance.uniform(0.02, 0.6))  # the moment of the kill is the input of this test
        server.kill()
        client.stopping.set()
        client.join(60)
        first = client.next
        acked_e += client.acked_events
        unknown_e += client.unknown_events
        acked_i += client.acked_items
        unknown_i += client.unknown_items
        server.start()
        if chance.random() < 0.5:  # a client that got no answer sends the same batch again
            for batch_id, numbers in client.unknown_events:
                reply = server.ingest([{"type": "n", "ts": 1706878800000 + n, "n": n}
                                       for n in numbers], batchId=batch_id)
                assert reply.status == 200
                acked_e.append((batch_id, numbers))
        if chance.random() < 0.5:  # the same object announced once more
            for raw in server.files("raw-events/*.ndjson")[-3:]:
                message = {"account": "a", "action": "PutObject", "bucket": "varve",
                           "object": {"key": str(raw.relative_to(server.data)),
                                      "size": raw.stat().st_size, "eTag": "again"},
                           "eventTime": "2026-01-01T00:00:00Z"}
                assert server.post("/queues/varve-raw-events/messages",
                                   {"body": message, "content_type": "json"}).status == 200
        check_rows(server, EVENT_N, "events", acked_e, unknown_e)
        check_rows(server, LOG_N, "logs", acked_i, unknown_i)
    wait_until("an empty queue", lambda: server.queue("varve-raw-events")["backlog"] == 0, 60)
    server.restart()
    wait_until("an empty queue", lambda: server.queue("varve-raw-events")["backlog"] == 0, 60)
    check_rows(server, EVENT_N, "events", acked_e, unknown_e)
    check_rows(server, LOG_N, "logs", acked_i, unknown_i)
    in_files = sum(pq.ParquetFile(f).metadata.num_rows
                   for f in server.files("logs/workers/**/*.parquet"))
    assert in_files == server.value("SELECT count(*) FROM logs")
    assert len(acked_e) > ROUNDS and len(acked_i) > ROUNDS
    assert server.queue("varve-dlq") is None or server.queue("varve-dlq")["backlog"] == 0
    assert server.stop() == 0


def test_every_named_crash_point_is_reached_and_survived(tmp_path):
    names = subprocess.run([BINARY, "debug", "crash-points"], capture_output=True,
                           check=True).stdout.decode().split()
    names = [name for name in names if not name.startswith(OF_OTHERS)]
    assert len(names) >= 8
    not_reached = []
    for number, name in enumerate(names):
        server = Server(tmp_path / f"data{number}", wait=False, env={
            "VARVE_CRASH": f"{name}:1", "VARVE_JOURNAL_SEGMENT_BYTES": "1048576",
            "VARVE_FLUSH_EVENTS_FLUSH_MS": "30", "VARVE_FLUSH_FLUSH_INTERVAL_MS": "30",
            "VARVE_QUEUE_MAX_BATCH_TIMEOUT_MS": "30", "VARVE_QUEUE_LEASE_MS": "1500"})
        acked = {"/ingest": [], "/tail": []}
        unknown = {"/ingest": [], "/tail": []}
        drive_until_dead(server, acked, unknown, 1 if name in NEED_A_SPECIAL_SCENE else 30)
        if server.process.poll() is None:
            server.stop()
            not_reached.append(name)
        else:
            assert server.process.returncode == -9, server.log_text()[-2000:]
        server.env.pop("VARVE_CRASH")
        server.start()
        check_rows(server, EVENT_N, "events", acked["/ingest"], unknown["/ingest"])
        check_rows(server, LOG_N, "logs", acked["/tail"], unknown["/tail"])
        wait_until("an empty queue", lambda: (server.queue("varve-raw-events") or
                                              {"backlog": 0})["backlog"] == 0, 60)
        check_rows(server, LOG_N, "logs", acked["/tail"], unknown["/tail"])
        server.kill()
    assert set(not_reached) <= NEED_A_SPECIAL_SCENE, not_reached


# Points of tables, and of the compaction of writers' files, which this scene has none of:
# test_tables.py, test_compaction.py, test_compaction_serving.py, test_views.py and the modules' tests go through
# them.
OF_OTHERS = ("delta.", "iceberg.", "catalog.", "windows.", "compaction.", "workflow.",
             "view.", "publication.")

# Points that only a fault, a stop or another command brings about; the modules' own crash tests
# reach them.
NEED_A_SPECIAL_SCENE = {
    "compact.plan_abandoned", "convert.before_rename",
    "journal.recycle_ready", "journal.recycle_renamed", "journal.segment_unlinked",
    "state.close.marked_clean", "store.delete.durable",
    "store.delete.unlinked", "store.put.sidecar_published", "store.put.sidecar_synced",
}


def drive_until_dead(server, acked, unknown, seconds):
    deadline = time.monotonic() + seconds
    n = 0
    padding = "x" * 8000
    while server.process.poll() is None and time.monotonic() < deadline:
        numbers = list(range(n, n + 20))
        n += 20
        bodies = {
            "/ingest": {"batchId": f"b{n}", "events": [
                {"type": "n", "id": f"e{i}", "ts": 1706878800000 + i, "n": i, "pad": padding}
                for i in numbers]},
            "/tail": {"type": "tail_events", "instanceId": "c", "timestamp": 1,
                      "events": [trace("w", i) for i in numbers]}}
        for path, body in bodies.items():
            try:
                ok = server.post(path, body).status == 200
            except Exception:
                ok = False
                server.process.poll()
            (acked if ok else unknown)[path].append((None, numbers))
            if not ok:
                try:
                    server.process.wait(0.05)
                except Exception:
                    pass
