"""Writers' namespaces whose names mean something else in SQL, and the directories writers use."""

import json

import pyarrow as pa

from lake import Lake

TIME = 1770040800000


def rows(*ids):
    return pa.table({"ts": pa.array([TIME * 1000 + i for i in ids], pa.timestamp("us", "UTC")),
                     "id": pa.array(ids, pa.int64())})


def query(lake, sql):
    return [json.loads(line) for line in lake.varve("query", sql, "--format", "ndjson").stdout.splitlines()]


def test_every_lake_table_is_reached_as_lake_name(tmp_path):
    lake = Lake(tmp_path / "lake")
    lake.varve("compact", "--resume")  # makes it a data directory
    names = {"events": "lake.events", "Logs": 'lake."Logs"', "pg_stat": "lake.pg_stat",
             "view/daily": "lake.view.daily", "lake/users": "lake.lake.users", "users": "lake.users",
             "shop/eu": "lake.shop.eu"}
    for i, (ns, name) in enumerate(names.items()):
        waits = f"data/{ns}/{TIME}-w-1.parquet"
        lake.put(waits, rows(i, i + 100))
        assert query(lake, f"SELECT max(id) AS m FROM {name}") == [{"m": i + 100}]
        lake.varve("compact", waits, "--namespace", ns, "--to", "iceberg")
        lake.put(f"data/{ns}/{TIME}-w-2.parquet", rows(i + 200))
    for i, name in enumerate(names.values()):
        assert query(lake, f"SELECT count(*) AS n, max(id) AS m FROM {name}") == [{"n": 3, "m": i + 200}]
        assert query(lake, f"SELECT count(*) AS n FROM {name} x JOIN {name} USING (id)") == [{"n": 3}]
    assert query(lake, "SELECT count(*) AS n FROM events") == [{"n": 0}]
    assert query(lake, "SELECT count(*) AS n FROM users") == [{"n": 3}]
    assert query(lake, "SELECT count(*) AS n FROM shop.eu") == [{"n": 3}]
    listed = [line["table_name"] for line in query(lake, "SELECT table_name FROM information_schema.tables")]
    assert {"events", "lake.events", "lake.Logs", "lake.pg_stat", "lake.view.daily",
            "lake.lake.users", "users", "shop.eu"} <= set(listed)
    ls = lake.run("ls").stdout
    assert "events  (in SQL: lake.events)" in ls and "users  (in SQL: lake.lake.users)" in ls
    assert ls.count("in SQL") == 5
    assert {line["name"]: line["sql"] for line in lake.json("ls")}["events"] == "lake.events"


def test_directories_that_writers_use_stay(tmp_path):
    lake = Lake(tmp_path / "lake")
    for ns in ("users", "shop/eu"):
        lake.put(f"data/{ns}/{TIME}-w-1.parquet", rows(1))
        lake.varve("compact", "--prefix", f"data/{ns}/", "--namespace", ns, "--to", "parquet")
        lake.put(f"ns/acme/data/{ns}/{TIME}-w-1.parquet", rows(1))
        lake.varve("compact", "--prefix", f"ns/acme/data/{ns}/", "--namespace", ns, "--tenant", "acme", "--to", "iceberg")
        for root in ("data", "ns/acme/data"):
            assert not list((lake.root / root / ns).glob("*-w-*.parquet"))
            (lake.root / root / ns / f"{TIME}-w-2.parquet").touch()  # as a writer does that made no directory
