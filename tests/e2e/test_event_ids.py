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

    def __init__(self, server, first, count, seed):
        super().__init__(daemon=True)
        self.server, self.chance = server, random.Random(seed)
        self.first, self.count = first, count
        self.stopping = threading.Event()
        self.failed = None

    def run(self):
        sent = []
        for batch in range(self.count):
            fresh = [self.first + batch * 10 + i for i in range(10)]
            again = self.chance.sample(sent, min(len(sent), 3))
            body = [event(n) for n in fresh + again]
            sent += fresh
            while not self.stopping.is_set():
                try:
                    reply = self.server.ingest(body)
                except Exception:  # no answer, or one cut short: the server was killed
                    continue
                if reply.status == 200:
                    break
                if reply.status not in (429, 503):
                    self.failed = reply.body
                    return


def test_retries_over_kills_store_every_event_exactly_once(start):
    chance = random.Random(20261121)
    server = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "40"})
    senders = [Sender(server, 1_000_000 * (i + 1), 150, seed=i) for i in range(3)]
    for sender in senders:
        sender.start()
    pause = threading.Event()
    kills = 0
    while any(sender.is_alive() for sender in senders):
        pause.wait(chance.uniform(0.05, 0.4))  # the moment of the kill is this test's input
        server.kill()
        kills += 1
        server.start()
        pause.wait(0.2)
    assert kills >= 3
    assert [sender.failed for sender in senders] == [None] * 3
    expected = sorted(s.first + n for s in senders for n in range(s.count * 10))
    assert numbers(server) == expected
    server.restart()
    assert numbers(server) == expected
