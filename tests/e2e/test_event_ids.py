"""An event with an id is stored once: whatever its batch, over restarts and kill -9."""

import json
import random
import threading

from varve import wait_until

NOON = 1706878800000


def event(n, **more):
    return {"type": "n", "ts": NOON + n, "n": n, "id": f"event-{n}", **more}


def numbers(server, headers=None):
    return sorted(r["n"] for r in server.sql(
        "SELECT CAST(json_extract(payload, '$.n') AS BIGINT) AS n FROM events", headers))


def test_duplicates_are_counted_in_every_form_of_a_body(varve):
    reply = varve.ingest([event(1), event(2), event(1)])
    assert reply.status == 200
    assert reply.json() == {"ok": True, "received": 3, "duplicates": 1, "namespace": "default"}
    assert varve.ingest([event(3)]).json() == {"ok": True, "received": 1, "namespace": "default"}
    assert varve.post("/ingest", [event(3), event(4)]).json()["duplicates"] == 1
    assert varve.post("/ingest", event(4)).json()["duplicates"] == 1
    lines = "\n".join(json.dumps(event(n)) for n in (4, 5))
    reply = varve.post("/ingest", lines, {"Content-Type": "application/x-ndjson"})
    assert (reply.json()["received"], reply.json()["duplicates"]) == (2, 1)
    assert varve.ingest([{"type": "n", "ts": NOON, "n": 6, "id": n} for n in (7, 7, "7")]
                        ).json()["duplicates"] == 1
    assert numbers(varve) == [1, 2, 3, 4, 5, 6, 6]
    metrics = varve.get("/metrics").body.decode()
    assert "\nvarve_ingest_duplicate_events_total 5\n" in metrics
    assert "\nvarve_ingest_event_ids_forgotten_total 0\n" in metrics


def test_a_batch_with_an_id_of_its_own_is_still_known_by_it(varve):
    assert "duplicates" not in varve.ingest([event(1)], batchId="a").json()
    assert varve.ingest([event(1), event(2)], batchId="b").json()["duplicates"] == 1
    for batch in "ab":
        assert varve.ingest([event(9)], batchId=batch).json()["deduplicated"] is True
    assert numbers(varve) == [1, 2]


def test_ids_hold_over_a_stop_and_a_kill_with_and_without_flush(start):
    server = start()
    assert server.ingest([event(1)]).status == 200
    server.kill()
    server.start()
    assert server.ingest([event(1), event(2)]).json()["duplicates"] == 1
    server.restart()
    assert server.ingest([event(1), event(2), event(3)]).json()["duplicates"] == 2
    wait_until("a flush", lambda: server.get("/stats").json()["flush"]["waitingRows"] == 0)
    server.kill()
    server.start()
    assert server.ingest([event(1), event(2), event(3)]).json()["duplicates"] == 3
    assert numbers(server) == [1, 2, 3]


def test_the_bound_forgets_the_oldest(start):
    server = start(env={"VARVE_INGEST_EVENT_IDS_MAX": "10"})
    assert server.ingest([event(n) for n in range(12)]).status == 200
    assert server.ingest([event(n) for n in range(2, 12)]).json()["duplicates"] == 10
    assert "duplicates" not in server.ingest([event(0), event(1)]).json()
    assert server.get("/stats").json()["ingest"]["eventIdsForgotten"] == 4
    assert server.get("/stats").json()["ingest"]["eventIds"] == 10


class Sender(threading.Thread):
    """Sends batches until each is answered, over kills; new batches mix in events of old ones."""

    def __init__(self, server, first, seed):
        super().__init__(daemon=True)
        self.server, self.chance = server, random.Random(seed)
        self.first, self.sent = first, []
        self.enough = threading.Event()
        self.failed = None

    def run(self):
        while not self.enough.is_set() and self.failed is None:
            start = self.first + len(self.sent)
            fresh = list(range(start, start + 10))
            again = self.chance.sample(self.sent, min(len(self.sent), 3))
            self.failed = self.send([event(n) for n in fresh + again])
            self.sent += fresh

    def send(self, body):
        while True:
            try:
                reply = self.server.ingest(body)
            except Exception:  # no answer, or one cut short: the server was killed
                continue
            if reply.status == 200:
                return None
            if reply.status not in (429, 503):
                return reply.body


def test_retries_over_kills_store_every_event_exactly_once(start):
    chance = random.Random(20261121)
    server = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "40"})
    senders = [Sender(server, 1_000_000 * (i + 1), seed=i) for i in range(3)]
    for sender in senders:
        sender.start()
    pause = threading.Event()
    for _ in range(8):
        pause.wait(chance.uniform(0.05, 0.4))  # the moment of the kill is this test's input
        server.kill()
        server.start()
    for sender in senders:
        sender.enough.set()
    for sender in senders:
        sender.join(60)
    assert [(sender.is_alive(), sender.failed) for sender in senders] == [(False, None)] * 3
    expected = sorted(n for sender in senders for n in sender.sent)
    assert len(expected) > 100
    assert numbers(server) == expected
    server.restart()
    assert numbers(server) == expected
