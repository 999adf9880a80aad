"""A table of one format is published in the other over the same files: before, while and after it,
and wherever it is killed, all readers of all formats give the same rows."""

import pytest
from lake import COLUMNS, Lake, crash_points
from table_readers import multiset
from test_compaction import rows
from varve import Server, wait_until


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def put_window(lake, first=0, writers=range(3)):
    parts = {f"data/users/{1770040800000 + f}-w{w}-{f}.parquet": rows(w, f)
             for w in writers for f in range(first, first + 2)}
    for key, part in parts.items():
        lake.put(key, part)
    return list(parts.values())


def compact(lake, to):
    lake.varve("compact", "--prefix", "data/users/", "--namespace", "users", "--to", to)


def data_files(lake):
    return {p: p.stat().st_mtime_ns for p in (lake.root / "catalog/users/data").rglob("*.parquet")}


OTHER = {"iceberg": "delta", "delta": "iceberg"}


def has(lake, to):
    below = "_delta_log/*.json" if to == "delta" else "metadata/v*.metadata.json"
    return any((lake.root / "catalog/users").glob(below))


@pytest.mark.parametrize("first", ["iceberg", "delta"])
def test_the_same_files_are_both_formats_from_then_on(lake, first):
    parts = put_window(lake)
    compact(lake, first)
    lake.agree("users", parts, iceberg=first == "iceberg", delta=first == "delta")
    files = data_files(lake)
    (done,) = lake.json("publish", "users", "--to", OTHER[first])
    assert done["formats"] == "iceberg+delta"
    assert data_files(lake) == files
    lake.agree("users", parts, delta=True)
    parts += put_window(lake, first=5)
    compact(lake, first)
    lake.agree("users", parts, delta=True)
    lake.run("publish", "users", "--to", "iceberg+delta")
    lake.run("rewrite-manifests", "users")
    lake.run("orphans", "users", "--older-than", "0s", "--yes")
    lake.agree("users", parts, delta=True)
    refused = lake.run("publish", "users", "--to", "hudi", check=False)
    assert refused.returncode != 0


@pytest.mark.parametrize("first", ["iceberg", "delta"])
@pytest.mark.parametrize("point", crash_points("publication.", "delta.", "iceberg."))
def test_a_kill_at_every_point(lake, first, point):
    parts = put_window(lake)
    compact(lake, first)
    lake.run("publish", "users", "--to", OTHER[first], crash=f"{point}:1", check=False)
    both = has(lake, OTHER[first])
    expected = sorted((row for part in parts for row in multiset(part, COLUMNS)), key=repr)
    table = lake.table("users", first == "iceberg" or both, first == "delta" or both)
    for name, seen in table.readers(COLUMNS).items():
        assert seen == expected, (name, len(seen), len(expected))
    more = put_window(lake, first=5)
    compact(lake, first)  # commits to what there is
    lake.agree("users", parts + more, iceberg=first == "iceberg" or both, delta=first == "delta" or both)
    # The lease of the one that was killed has a while to go: what is there is made level all the same.
    again = lake.run("publish", "users", "--to", OTHER[first], check=False)
    assert again.returncode == 0 or "until" in again.stderr, again.stderr
    if again.returncode == 0:
        lake.agree("users", parts + more, delta=True)


def test_what_cannot_be_published_is_refused_by_name(lake):
    lake.put("imports/a.parquet", rows(1, 0))
    lake.run("register", "users", "imports/a.parquet")
    refused = lake.run("publish", "users", "--to", "delta", check=False)
    assert refused.returncode == 1 and "is not under 'catalog/users/'" in refused.stderr, refused.stderr
    lake.put("catalog/old/data/a.parquet", rows(0, 0))
    lake.run("register", "old", "catalog/old/data/a.parquet", "--accept-problems")
    refused = lake.run("publish", "old", "--to", "delta", check=False)
    assert refused.returncode == 1 and "the column 'ts'" in refused.stderr, refused.stderr
    for name in ("users", "old"):
        assert not (lake.root / f"catalog/{name}/_delta_log").exists()


@pytest.mark.parametrize("first", ["iceberg", "delta"])
def test_a_migration_publishes_a_table_that_is_being_read_and_written(lake, first):
    parts = put_window(lake)
    compact(lake, first)
    server = Server(lake.root, env={"VARVE_COMPACTION_GRACE_MS": "5000"})
    try:
        def count():
            return server.value("SELECT count(*) AS c FROM users")
        wait_until("the table to be read", lambda: count() == 240)
        # Not w0, whose `n` is narrower: a compaction of its files alone would have a column that is
        # not as wide as the table's, which Delta's readers would get wrong.
        more = put_window(lake, first=5, writers=range(1, 4))
        wait_until("the files to be read", lambda: count() == 480)
        wait_until("them to be gathered", lambda: server.get(
            "/compaction/status?namespace=users").json()["totalPendingFiles"] == 6 or server.get(
                "/workflows?kind=compaction&state=active").json()["workflows"])
        reply = server.post("/migrate", {"to": "iceberg+delta", "namespaces": ["users"]})
        assert reply.status in (200, 201, 202), reply.body

        def ended():
            assert count() == 480
            job = server.get("/migrate/status").json()["job"]
            return job["status"] in ("completed", "failed") and job
        wait_until("the migration", ended, seconds=60)
        job = server.get("/migrate/status").json()["job"]
        assert job["status"] == "completed", job
        wait_until("the sources to go", lambda: not list((lake.root / "data/users").rglob("*.parquet")))
        assert count() == 480
    finally:
        server.stop()
    lake.agree("users", parts + more, delta=True)
