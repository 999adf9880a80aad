"""Writers' files in a running server: seen, gathered in windows, explained."""

import json
import time

from varve import wait_until

HOUR = 3_600_000


def put(varve, key, size=100):
    """As another program would: written beside, then renamed."""
    path = varve.data / key
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_bytes(b"x" * size)
    beside.rename(path)


def status(varve, query="", **more):
    reply = varve.get("/compaction/status" + query, **more)
    assert reply.status == 200, reply.body
    return reply.json()


def files_of(varve, ns, headers=None):
    return status(varve, f"?namespace={ns}", headers=headers)["totalPendingFiles"]


def test_files_of_writers_are_gathered_in_windows_and_explained(start):
    varve = start()
    now = int(time.time() * 1000) // HOUR * HOUR
    for writer in ("a", "b"):
        for sequence in range(3):
            put(varve, f"data/shop/users/{now - 5 * HOUR + sequence}-{writer}-{sequence}.parquet")
    put(varve, f"data/shop/users/{now // 1000}-a-9.parquet")
    put(varve, f"ns/acme/data/users/{now}-t-0.parquet", 7)
    put(varve, "data/shop/users/export.parquet")
    wait_until("the files to be seen", lambda: files_of(varve, "shop/users") == 7)
    tenant = {"X-Namespace": "acme"}
    wait_until("the tenant's too", lambda: files_of(varve, "users", tenant) == 1)
    wait_until("the other one", lambda: status(varve)["consumer"]["skipped"] == 1)

    everything = status(varve)
    assert everything["activeWindows"] == 3
    assert everything["knownWriters"] == ["a", "b", "t"]
    assert everything["consumer"]["skippedLast"][0]["key"] == "data/shop/users/export.parquet"
    assert (varve.data / "data/shop/users/export.parquet").exists()
    old, new = status(varve, "?namespace=shop/users")["windows"]
    assert (old["fileCount"], new["fileCount"]) == (6, 1)
    assert old["waitingFor"] == ["minFiles"] and new["waitingFor"] == ["time"]

    shown = varve.cli("compaction", "status", "--data", varve.data).stdout.decode()
    assert "shop/users: healthy; 2 windows wait" in shown
    assert "acme:users: healthy; 1 windows wait" in shown
    assert "data/shop/users/export.parquet: the name is not" in shown
    plan = varve.cli("compaction", "plan", "shop/users", "--data", varve.data).stdout.decode()
    assert "6 files" in plan and "waits for minFiles" in plan and "to iceberg" in plan
    as_json = varve.cli("compaction", "status", "--json", "shop/users", "--data", varve.data)
    assert json.loads(as_json.stdout)["namespace"] == "shop/users"

    put(varve, f"data/shop/users/{now - 5 * HOUR}-a-0.parquet", 150)  # other bytes
    wait_until("the bytes", lambda: status(varve, "?namespace=shop/users")[
        "totalPendingBytes"] == 750)
    (varve.data / f"data/shop/users/{now - 5 * HOUR}-a-0.parquet").unlink()
    wait_until("the deletion", lambda: files_of(varve, "shop/users") == 6)


def test_windows_and_settings_outlive_kills(start):
    varve = start()
    now = int(time.time() * 1000) // HOUR * HOUR
    for sequence in range(20):
        put(varve, f"data/users/{now}-w-{sequence}.parquet")
        if sequence == 10:
            varve.cli("compaction", "config", "users", "priority=0", "sortBy=id desc", "--data",
                      varve.data)
            varve.kill()
            varve.start()
    wait_until("all of them", lambda: files_of(varve, "users") == 20)
    varve.kill()
    varve.start()
    after = status(varve, "?namespace=users")
    assert after["totalPendingFiles"] == 20 and after["priority"] == 0
    assert after["effectiveMaxWaitTimeMs"] == 60_000
    assert after["settings"]["sortBy"] == "id desc"
    wait_until("an empty queue", lambda: varve.queue("varve-compaction-events")["backlog"] == 0)
    assert varve.get("/compaction/health").status == 200
    page = varve.get("/compaction/dashboard")
    assert page.status == 200 and b"users" in page.body
    assert b'varve_compaction_files_pending{namespace="users"} 20' in \
        varve.get("/compaction/metrics").body
    assert b'varve_compaction_files_pending{namespace="users"} 20' in varve.get("/metrics").body
    wrong = varve.post("/compaction/config?namespace=users", {"priority": 4})
    assert wrong.status == 400 and wrong.json()["code"] == "INVALID_FIELD"


def test_without_the_compaction_its_routes_and_queue_are_not_there(start):
    varve = start(env={"VARVE_COMPACTION_ENABLED": "false"})
    assert varve.get("/compaction/status").status == 404
    assert varve.queue("varve-compaction-events") is None
    refused = varve.cli("compaction", "status", "--data", varve.data, check=False)
    assert refused.returncode == 1
