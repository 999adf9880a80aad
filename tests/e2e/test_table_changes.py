"""What other programs do to a table between two compactions: columns that they rename and drop,
types of their own, commits to the Delta log. Every reader has the same rows afterwards."""

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.rest import RestCatalog

from lake import Lake
from table_lint import IcebergLint
from table_readers import Table, duck
from varve import wait_until

HOUR = 3_600_000
QUICKLY = {"VARVE_COMPACTION_CHECK_INTERVAL_MS": "100", "VARVE_COMPACTION_GRACE_MS": "200",
           "VARVE_COMPACTION_MIN_FILES_TO_COMPACT": "1", "VARVE_COMPACTION_MAX_WAIT_TIME_MS": "0",
           "VARVE_COMPACTION_WRITER_INACTIVE_MS": "0", "VARVE_WORKFLOW_RETRY_MIN_MS": "50"}


def old_hour():
    return (int(time.time() * 1000) // HOUR - 48) * HOUR


def rows(count, first=0, **more):
    at = [(old_hour() + i * 1000) * 1000 for i in range(first, first + count)]
    columns = {"ts": pa.array(at, pa.timestamp("us", "UTC")),
               "id": pa.array(range(first, first + count), pa.int64())}
    return pa.table({**columns, **{name: pa.array([value] * count) for name, value in more.items()}})


class Writer:
    """Of one namespace in a running server."""

    def __init__(self, server):
        self.server, self.folder, self.count = server, server.data / "data/users", 0
        self.folder.mkdir(parents=True)

    def put(self, table):
        """The file, and how the workflow that took it ended it."""
        path = self.folder / f"{old_hour() + self.count}-w-{self.count}.parquet"
        self.count += 1
        pq.write_table(table, path.with_suffix(".tmp"))
        os.rename(path.with_suffix(".tmp"), path)

        def ended():
            workflows = self.server.get("/workflows?kind=compaction").json()["workflows"]
            return len(workflows) == self.count and all(
                one["state"] == "succeeded" for one in workflows) and workflows
        wait_until("its compaction", ended, 60)
        return path


def read(catalog, *columns):
    """What PyIceberg and DuckDB have; they must agree."""
    table = catalog.load_table("default.users")
    seen = table.scan().to_arrow().select(columns)
    theirs = duck().sql(f"SELECT {', '.join(columns)} FROM iceberg_scan('{table.metadata_location}')")
    expected = sorted(zip(*(seen.column(name).to_pylist() for name in columns)), key=repr)
    assert sorted(theirs.fetchall(), key=repr) == expected
    return expected


def sql(server, column):
    """What the program itself has of the first rows."""
    rows = server.sql(f"SELECT id, {column} AS c FROM users WHERE id < 10 ORDER BY id")
    return [(row["id"], row["c"]) for row in rows]


def test_a_renamed_column_keeps_its_rows_and_a_dropped_one_does_not_come_back(start):
    server = start(env=QUICKLY)
    writer = Writer(server)
    catalog = RestCatalog("varve", uri=f"http://127.0.0.1:{server.port}/iceberg")
    tags = pa.array([["x", "y"]] * 2)
    writer.put(rows(2, w="a", secret="s").append_column("tags", tags))
    with catalog.load_table("default.users").update_schema() as change:
        change.rename_column("w", "writer")
    waits = writer.put(rows(2, 10, w="b", secret="s").append_column("tags", tags))
    assert waits.exists(), "it has the old name"
    assert [field.name for field in catalog.load_table("default.users").schema().fields] == [
        "ts", "id", "writer", "secret", "tags"]
    writer.put(rows(2, 20, writer="c", secret="s").append_column("tags", tags))
    assert read(catalog, "id", "writer") == [(0, "a"), (1, "a"), (20, "c"), (21, "c")]
    assert sql(server, "writer") == [(0, "a"), (1, "a")]

    with catalog.load_table("default.users").update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("secret")
    writer.put(rows(2, 30, writer="d", secret="new"))
    assert read(catalog, "id", "secret") == [
        (0, None), (1, None), (20, None), (21, None), (30, "new"), (31, "new")]
    assert sql(server, "secret") == [(0, None), (1, None)]
    assert read(catalog, "id", "tags")[:2] == [(0, ["x", "y"]), (1, ["x", "y"])]
    schema = catalog.load_table("default.users").schema()
    assert schema.find_field("secret").field_id > schema.find_field("tags").field_id
    IcebergLint(server.data / "catalog/users").run()
    # In the table's files the names are the writers', the ids the table's.
    for path in (server.data / "catalog/users/data").rglob("*.parquet"):
        for field in pq.read_schema(path):
            now = {"w": "writer"}.get(field.name, field.name)
            assert field.name == "secret" or \
                int(field.metadata[b"PARQUET:field_id"]) == schema.find_field(now).field_id
    refused = server.cli("table", "register", "users", waits.relative_to(server.data), "--data",
                         server.data, check=False)
    assert refused.returncode != 0 and b"renamed to 'writer'" in refused.stderr, refused.stderr


class Namespace(Lake):
    """users, in both formats."""

    def __init__(self, root):
        super().__init__(root)
        self.count, self.path = 0, root / "catalog/users"

    def put_rows(self, table):
        self.put(f"data/users/{old_hour()}-w-{self.count}.parquet", table)
        self.count += 1

    def compact(self, check=True):
        return self.varve("compact", "--prefix", "data/users/", "--namespace", "users", "--to",
                          "iceberg+delta", check=check)

    def ids(self):
        """By every reader, and by the program itself."""
        seen = Table(self.path, True, True).readers(["id"])
        out = self.root.parent / "seen.parquet"
        out.unlink(missing_ok=True)
        self.varve("query", "SELECT id FROM users", "--format", "parquet", "-o", out)
        seen["varve"] = sorted(((i,) for i in pq.read_table(out)["id"].to_pylist()), key=repr)
        for name, found in seen.items():
            assert found == seen["varve"], (name, found, seen["varve"])
        return sorted(i for (i,) in seen["varve"])


@pytest.fixture
def lake(tmp_path):
    return Namespace(tmp_path / "lake")


def test_what_deltalake_commits_comes_into_iceberg(lake):
    lake.put_rows(rows(5))
    lake.compact()
    assert lake.ids() == list(range(5))
    write_deltalake(str(lake.path), rows(4, 100), mode="append")
    shown = lake.run("show", "users").stdout
    assert "another program has committed to the Delta log (versions 2 to 2)" in shown
    assert "notice" in lake.json("show", "users")[0]
    lake.put_rows(rows(2, 10))
    lake.compact()
    assert lake.ids() == [*range(5), 10, 11, *range(100, 104)]
    assert "notice" not in lake.json("show", "users")[0]
    DeltaTable(str(lake.path)).delete("id < 3")
    lake.run("publish", "users", "--to", "iceberg+delta")
    assert lake.ids() == [3, 4, 10, 11, *range(100, 104)]
    # Rewritten, and the old files deleted.
    DeltaTable(str(lake.path)).optimize.compact()
    DeltaTable(str(lake.path)).vacuum(0, enforce_retention_duration=False, dry_run=False)
    lake.put_rows(rows(1, 20))
    lake.compact()
    assert lake.ids() == [3, 4, 10, 11, 20, *range(100, 104)]
    write_deltalake(str(lake.path), rows(1, 200, new="x"), mode="append", schema_mode="merge")
    lake.put_rows(rows(1, 21))
    lake.compact()
    assert lake.ids() == [3, 4, 10, 11, 20, 21, *range(100, 104), 200]
    assert [c["name"] for c in lake.json("show", "users")[0]["columns"]] == ["ts", "id", "new"]
    IcebergLint(lake.path).run(manifests=False)


def test_what_cannot_come_into_iceberg_waits_for_an_operator(lake):
    lake.put_rows(rows(5))
    lake.compact()
    other = rows(3, 50)
    write_deltalake(str(lake.path), other.set_column(1, "id", pa.array(["x"] * 3)), mode="overwrite",
                    schema_mode="overwrite")
    lake.put_rows(rows(1, 20))
    refused = lake.compact(check=False)
    assert refused.returncode != 0
    assert "another program has committed to the Delta log" in refused.stdout + refused.stderr
    assert len(list((lake.root / "data/users").iterdir())) == 1
    DeltaTable(str(lake.path)).restore(1)
    lake.varve("compact", "--resume", check=False)
    lake.compact()
    assert lake.ids() == [*range(5), 20]


def test_types_of_the_writers_own_memory_do_not_get_into_the_table(lake):
    for number, kind in enumerate([pa.string(), pa.large_string(), pa.string_view(),
                                   pa.dictionary(pa.int32(), pa.string())]):
        table = rows(2, 10 * number)
        lake.put_rows(table.append_column("w", pa.array(["a", "b"], pa.string()).cast(kind)
                                          if kind != pa.string_view() else pa.array(["a", "b"], kind)))
        lake.compact()
    expected = [(10 * number + i, "ab"[i]) for number in range(4) for i in range(2)]
    table = Table(lake.path, True, True)
    for name, found in table.readers(["id", "w"]).items():
        assert found == sorted(expected, key=repr), name
    for path in (lake.path / "data").rglob("*.parquet"):
        assert b"ARROW:schema" not in (pq.read_metadata(path).metadata or {})
    assert json.loads((lake.path / "metadata/v1.metadata.json").read_text())["format-version"] == 2
