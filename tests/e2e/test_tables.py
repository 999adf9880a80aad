"""`varve table` on real files: after every step, readers that are not ours open the table and give
the same rows, and a strict linter reads what they do not look at. Traps are named by their number."""

import datetime
import decimal
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lake import COLUMNS, Lake, crash_points
from table_lint import lint_delta
from table_readers import Table, multiset

UTC = datetime.timezone.utc


def at(hour, second=0, micros=0):
    return datetime.datetime(2026, 2, 2, tzinfo=UTC) + datetime.timedelta(
        hours=hour, seconds=second, microseconds=micros)


def rows(hour, count, base=0, text="{:030}", start=0):
    return pa.table({
        "ts": pa.array([at(hour, start + i, i) for i in range(count)], pa.timestamp("us", tz="UTC")),
        "id": [text.format(base + i) for i in range(count)],
        "v": pa.array([None if i % 5 == 4 else i * 1.5 - 3 for i in range(count)], pa.float64()),
        "n": pa.array(range(base, base + count), pa.int32()),
    })


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def data(name, file, hour=None):
    return f"catalog/{name}/data/" + (f"ts_hour=2026-02-02-{hour:02}/" if hour is not None else "") + file


def test_one_parquet_set_is_hive_iceberg_and_delta_at_once(lake):
    parts = [rows(14, 20), rows(15, 30, 100)]
    keys = [lake.put(data("t", f"f{i}.parquet", 14 + i), part) for i, part in enumerate(parts)]
    (done,) = lake.json("register", "t", *keys, "--format", "iceberg+delta", "--partition", "hour(ts)",
                        "--sort", "ts")
    assert done["created"] and done["rows"] == 50
    lake.agree("t", parts, delta=True)
    hive = Table(lake.root / "catalog/t", iceberg=False).duck.sql(
        f"SELECT count(*), count(DISTINCT ts_hour) FROM read_parquet("
        f"'{lake.root}/catalog/t/data/*/*.parquet', hive_partitioning = true)").fetchone()
    assert hive == (50, 2)
    later = rows(14, 5, 1000)
    lake.run("register", "t", lake.put(data("t", "f2.parquet", 14), later))
    lake.agree("t", parts + [later], delta=True)
    history = lake.json("history", "t")
    assert [h["operation"] for h in history] == ["append", "append", "CREATE TABLE", "WRITE", "WRITE"]
    assert [h["asOf"] for h in history] == [True, True, False, False, False]


def test_readers_agree_on_filters_at_every_bound(lake):
    texts = ["{:030}", "\U0010ffff" * 17 + "{:03}", "ä" * 20 + "{:03}", "a:b%c {:03}"]
    parts = [rows(14 + i, 21, 1000 * i, text) for i, text in enumerate(texts)]
    keys = [lake.put(data("t", f"f{i}.parquet"), part) for i, part in enumerate(parts)]
    lake.run("register", "t", *keys, "--format", "iceberg+delta", "--partition", "hour(ts)")
    lake.agree("t", parts, delta=True)
    everything = pa.concat_tables(parts)
    for part in parts:
        for name in ("ts", "id", "n"):
            column = part.column(name)
            ordered = sorted(column.to_pylist())
            for value in (ordered[0], ordered[-1], ordered[7]):
                same = everything.filter(pa.compute.equal(everything.column(name), pa.scalar(value, column.type)))
                literal = value.isoformat() if name == "ts" else value
                sql = (f"ts = TIMESTAMPTZ '{literal}'" if name == "ts" else
                       f"id = '{literal}'" if name == "id" else f"n = {literal}")
                pyiceberg = f"ts == '{literal}'" if name == "ts" else sql.replace(" = ", " == ")
                lake_rows = Table(lake.root / "catalog/t", True, True)
                lake_rows.agree(multiset(same, COLUMNS), COLUMNS, pyiceberg_filter=pyiceberg, sql_filter=sql)


def test_raw_files_are_registered_where_they_lie_by_name_mapping(lake):
    parts = [rows(14, 10), rows(14, 10, 100, start=20)]
    keys = [lake.put(f"data/app/{1770040800000 + i}-w1-{i}.parquet", part) for i, part in enumerate(parts)]
    lake.run("register", "raw", *keys)
    lake.agree("raw", parts)
    refused = lake.run("register", "raw2", *keys, "--format", "delta", check=False)
    assert refused.returncode == 1 and "is not under" in refused.stderr


def test_trap_4_and_5_field_ids_are_the_files_or_nobodys(lake):
    part = rows(14, 10)
    ids = pa.schema([pa.field(f.name, f.type, metadata={"PARQUET:field_id": str(10 + i)})
                     for i, f in enumerate(part.schema)])
    lake.run("register", "t", lake.put(data("t", "a.parquet"), part.cast(ids)))
    lake.agree("t", [part])
    assert [c["id"] for c in lake.json("show", "t")[0]["columns"]] == [10, 11, 12, 13]
    swapped = pa.schema([pa.field(f.name, f.type, metadata={"PARQUET:field_id": str(13 - i)})
                         for i, f in enumerate(part.schema)])
    refused = lake.run("register", "t", lake.put(data("t", "b.parquet"), part.cast(swapped)), check=False)
    assert refused.returncode == 1 and "field id" in refused.stderr
    lake.agree("t", [part])


def test_trap_18_and_19_columns_that_readers_get_wrong_are_refused(lake):
    part = rows(14, 10)
    wrong = {
        "millis": (part.set_column(0, "ts", part.column(0).cast(pa.timestamp("ms", tz="UTC"), safe=False)), {}),
        "nanos": (part.set_column(0, "ts", part.column(0).cast(pa.timestamp("ns", tz="UTC"))), {}),
        "uint64": (part.append_column("u", pa.array(range(10), pa.uint64())), {}),
        "split ints": (part, {"use_dictionary": False, "column_encoding": {"n": "BYTE_STREAM_SPLIT"}}),
        "delta text": (part, {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}}),
    }
    for name, (table, options) in wrong.items():
        key = lake.put(data("t", f"{name.replace(' ', '_')}.parquet"), table, **options)
        refused = lake.run("register", "t", key, check=False)
        assert refused.returncode == 1 and "the column" in refused.stderr, (name, refused.stderr)
        assert lake.json("ls") == []


def test_schema_evolution_new_columns_and_widening(lake):
    first = rows(14, 10)
    lake.run("register", "t", lake.put(data("t", "a.parquet"), first))
    second = rows(15, 10, 100).append_column("extra", pa.array(["x"] * 10))
    wide = second.set_column(3, "n", second.column("n").cast(pa.int64()))
    lake.run("register", "t", lake.put(data("t", "b.parquet"), wide))
    lake.agree("t", [first.append_column("extra", pa.nulls(10, pa.string())), wide], COLUMNS + ["extra"])
    third = rows(16, 10, 200)  # narrow again, and without the new column
    lake.run("register", "t", lake.put(data("t", "c.parquet"), third))
    lake.agree("t", [first, second, third])
    conflict = rows(16, 3).set_column(1, "id", pa.array([1, 2, 3]))
    refused = lake.run("register", "t", lake.put(data("t", "d.parquet"), conflict), check=False)
    assert refused.returncode == 1 and "'id' is string in the table and long in the file" in refused.stderr


def test_many_types_nulls_and_nested_columns(lake):
    table = pa.table({
        "ts": pa.array([at(14, i) for i in range(9)], pa.timestamp("us", tz="UTC")),
        "flag": pa.array([True, None, False] * 3),
        "day": pa.array([datetime.date(1969, 12, 31 - i) for i in range(9)], pa.date32()),
        "price": pa.array([decimal.Decimal(i * 7 - 20) / 100 for i in range(9)], pa.decimal128(18, 2)),
        "big": pa.array([decimal.Decimal(10) ** 25 * (i - 4) for i in range(9)], pa.decimal128(38, 0)),
        "f": pa.array([float("nan"), 1.5, None] * 3, pa.float32()),
        "bytes": pa.array([bytes([255] * (i * 3)) for i in range(9)], pa.binary()),
        "s": pa.array([{"a": i, "b": {"c": str(i)}} for i in range(9)],
                      pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))])),
        "l": pa.array([list(range(i)) for i in range(9)], pa.list_(pa.int32())),
        "nothing": pa.nulls(9, pa.string()),
    })
    lake.run("register", "t", lake.put(data("t", "a.parquet"), table), "--format", "iceberg+delta",
             "--partition", "day(ts)")
    columns = ["ts", "flag", "day", "price", "big", "bytes", "s", "l", "nothing"]
    lake.agree("t", [table], columns, delta=True)
    Table(lake.root / "catalog/t", True, True).agree(
        multiset(table.slice(3, 1), columns), columns, pyiceberg_filter="price == 0.01", sql_filter="price = 0.01")


def test_partitions_that_a_file_spans_are_refused_and_nothing_is_made(lake):
    key = lake.put(data("t", "a.parquet"), pa.concat_tables([rows(14, 5), rows(15, 5)]))
    refused = lake.run("register", "t", key, "--partition", "hour(ts)", check=False)
    assert refused.returncode == 1 and "several partitions" in refused.stderr
    assert lake.json("ls") == []


def test_bad_files_are_refused_by_name(lake):
    good = lake.put(data("t", "good.parquet"), rows(14, 5))
    (lake.root / data("t", "text.parquet")).write_text("no parquet at all, but long enough")
    (lake.root / data("t", "empty.parquet")).write_bytes(b"")
    (lake.root / data("t", "cut.parquet")).write_bytes((lake.root / good).read_bytes()[:-100])
    for bad in ("text", "empty", "cut", "missing"):
        refused = lake.run("register", "t", good, data("t", f"{bad}.parquet"), check=False)
        assert refused.returncode == 1 and f"{bad}.parquet" in refused.stderr
    assert lake.json("ls") == []
    lake.run("register", "t", good)
    twice = lake.run("register", "t", good, check=False)
    assert twice.returncode == 1 and "live already" in twice.stderr


def test_as_of_and_diff_give_the_exact_files(lake):
    keys, ids, times = [], [], []
    for i in range(3):
        keys.append(lake.put(data("t", f"f{i}.parquet"), rows(14, 5, 10 * i)))
        ids.append(lake.json("register", "t", keys[-1])[0]["snapshotId"])
        times.append(lake.json("history", "t")[-1]["time"])
    assert [f["key"] for f in lake.json("files", "t", "--as-of", ids[0])] == keys[:1]
    assert sorted(f["key"] for f in lake.json("files", "t", "--as-of", times[1])) == keys[:2]
    (diff,) = lake.json("diff", "t", "--from", ids[0])
    assert sorted(diff["added"]) == keys[1:] and diff["rowsAdded"] == 10 and not diff["removed"]
    assert lake.run("files", "t", "--as-of", "1", check=False).returncode == 1
    table = Table(lake.root / "catalog/t")
    assert table.static().scan(snapshot_id=ids[0]).to_arrow().num_rows == 5


def test_expiry_orphans_vacuum_and_manifest_rewriting_keep_every_row(lake):
    parts = []
    for i in range(12):  # a Delta checkpoint is among them
        parts.append(rows(14 + i % 3, 4, 100 * i))
        lake.run("register", "t", lake.put(data("t", f"f{i}.parquet"), parts[-1]), "--format", "iceberg+delta",
                 "--partition", "hour(ts)")
    lake.agree("t", parts, delta=True)
    assert DeltaTable(str(lake.root / "catalog/t")).version() == 12
    assert (lake.root / "catalog/t/_delta_log/00000000000000000010.checkpoint.parquet").exists()
    lake.run("rewrite-manifests", "t")
    lake.agree("t", parts, delta=True)
    (dry,) = lake.json("expire", "t", "--older-than", "0s")
    assert dry["dryRun"] and len(dry["expiredSnapshots"]) == 12
    lake.agree("t", parts, delta=True)
    (done,) = lake.json("expire", "t", "--older-than", "0s", "--yes")
    assert sorted(done["deleted"]) == sorted(dry["deleted"]) and not any("/data/" in k for k in done["deleted"])
    lake.agree("t", parts, delta=True)
    stray = lake.put(data("t", "stray.parquet"), rows(14, 3))
    assert lake.json("orphans", "t")[0]["deleted"] == []  # too young
    assert lake.json("orphans", "t", "--older-than", "0s", "--yes")[0]["deleted"] == [stray]
    lake.json("vacuum", "t", "--older-than", "0s", "--yes")
    lake.agree("t", parts, delta=True)
    assert DeltaTable(str(lake.root / "catalog/t")).vacuum(dry_run=True) == []


def test_trap_28_a_delta_table_lives_on_from_its_checkpoint_alone(lake):
    parts = []
    for i in range(11):
        parts.append(rows(14, 4, 100 * i))
        lake.run("register", "t", lake.put(data("t", f"f{i}.parquet"), parts[-1]), "--format", "delta")
    before = DeltaTable(str(lake.root / "catalog/t"))
    app = next(k for k in lint_delta(lake.root / "catalog/t")[1])
    for version in range(10):
        (lake.root / f"catalog/t/_delta_log/{version:020}.json").unlink()
    lake.agree("t", parts, iceberg=False, delta=True)
    after = DeltaTable(str(lake.root / "catalog/t"))
    assert sorted(after.file_uris()) == sorted(before.file_uris())
    assert after.transaction_version(app) == before.transaction_version(app) == 0


def test_a_table_written_by_deltalake_is_taken_up(lake):
    from deltalake import write_deltalake
    root = lake.root / "catalog/theirs"
    for i in range(3):
        write_deltalake(str(root), rows(14, 10, 100 * i), mode="append")
    DeltaTable(str(root)).create_checkpoint()
    assert sum(f["rows"] for f in lake.json("files", "theirs")) == 30
    more = rows(15, 5, 900)
    lake.run("register", "theirs", lake.put(data("theirs", "more.parquet"), more))
    assert DeltaTable(str(root)).to_pyarrow_table().num_rows == 35
    assert DeltaTable(str(root)).optimize.compact()["numFilesRemoved"] >= 3
    assert sum(f["rows"] for f in lake.json("files", "theirs")) == 35


def test_a_kill_at_every_point_leaves_a_table_that_reads_and_goes_on(lake):
    points = crash_points("iceberg.", "delta.", "catalog.")
    assert {"iceberg.after_metadata", "catalog.between_formats", "delta.after_commit"} <= set(points)
    for number, point in enumerate(points):
        name = f"t{number}"
        parts = [rows(14, 5, 100 * i) for i in range(10)]
        for i in range(9):
            lake.run("register", name, lake.put(data(name, f"f{i}.parquet"), parts[i]), "--format", "iceberg+delta")
        key = lake.put(data(name, "f9.parquet"), parts[9])
        env = {"VARVE_CRASH": f"{point}:1"}
        if point in ("catalog.after_expire", "catalog.after_delete"):
            done = lake.run("expire", name, "--older-than", "0s", "--yes", env=env, check=False)
        else:
            done = lake.run("register", name, key, env=env, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done.returncode, done.stderr)
        table = Table(lake.root / "catalog" / name, True, True)
        for reader, got in table.readers(COLUMNS).items():
            assert len(got) in (45, 50), (point, reader, len(got))
        again = lake.run("register", name, key, check=False)
        committed = again.returncode != 0
        assert not committed or "live already" in again.stderr, (point, again.stderr)
        lake.agree(name, parts, delta=True)
        lake.run("register", name, lake.put(data(name, "after.parquet"), rows(14, 1, 9000)))
        rest = parts + [rows(14, 1, 9000)]
        lake.agree(name, rest, delta=True)
