"""Delta tables that another engine has partitioned by columns: their values are in the log alone.
SQL shows them as deltalake does; nothing is added to such a table."""

import datetime
import decimal
import json

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lake import lake_of_others
from table_readers import plain

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 2, 2, 14, tzinfo=UTC)
SOURCE = "data/u/1770040800000-w-1.parquet"


def rows(ids, **columns):
    return pa.table({"ts": pa.array([START + datetime.timedelta(seconds=i) for i in ids], pa.timestamp("us", "UTC")),
                     "id": pa.array(ids, pa.int64()), **columns})


@pytest.fixture
def lake(tmp_path):
    return lake_of_others(tmp_path / "lake")


def write(lake, table, *partition_by):
    write_deltalake(str(lake.root / "catalog/u"), table, partition_by=list(partition_by), mode="append")


def query(lake, sql):
    return [json.loads(line) for line in lake.varve("query", sql, "--format", "ndjson").stdout.splitlines()]


def logged(lake):
    return sorted(p.name for p in (lake.root / "catalog/u/_delta_log").glob("*.json"))


VALUES = {
    "text": (pa.string(), ["it's", 'quo"te', "tür €/%20=[1, 2]", None]),
    "int": (pa.int32(), [-1, 0, 2**31 - 1, None]),
    "long": (pa.int64(), [2**53 + 1, -5, 7, None]),
    "day": (pa.date32(), [datetime.date(1969, 12, 31), datetime.date(2026, 2, 2), datetime.date(9999, 1, 1), None]),
    "flag": (pa.bool_(), [True, False, True, None]),
    "price": (pa.decimal128(10, 2), [decimal.Decimal("1.50"), decimal.Decimal("12345678.05"), decimal.Decimal("0.00"), None]),
    "ratio": (pa.float64(), [0.1, -1e20, 3.0, None]),
    "at": (pa.timestamp("us", "UTC"), [START, START.replace(microsecond=5), datetime.datetime(1901, 1, 1, tzinfo=UTC), None]),
}


@pytest.mark.parametrize("name", VALUES)
def test_sql_shows_a_partition_columns_values(lake, name):
    kind, values = VALUES[name]
    write(lake, rows([0, 1, 2, 3], p=pa.array(values, kind)), "p")
    write(lake, rows([4, 5], p=pa.array(values[:2], kind)), "p")
    theirs = DeltaTable(str(lake.root / "catalog/u")).to_pyarrow_table().sort_by("id")
    assert theirs["p"].to_pylist() == values + values[:2]
    shown = {"at": "epoch_us(p)", "int": "p", "flag": "p", "ratio": "p"}.get(name, "CAST(p AS VARCHAR)")
    wanted = [None if v is None else (v - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(microseconds=1)
              if name == "at" else v if "CAST" not in shown else str(v) for v in values + values[:2]]
    seen = query(lake, f"SELECT id, {shown} AS p FROM u ORDER BY id")
    assert [(row["id"], row["p"]) for row in seen] == list(enumerate(wanted))
    assert query(lake, "SELECT count(*) AS n FROM u WHERE p IS NULL") == [{"n": 1}]
    assert len(query(lake, "SELECT DISTINCT typeof(p) AS t FROM u")) == 1


def test_by_several_columns_and_with_a_moment(lake):
    write(lake, rows([0, 1], a=["x", "y"], b=pa.array([1, None], pa.int32())), "a", "b")
    write(lake, rows([2], a=["z"], b=pa.array([3], pa.int32())), "a", "b")
    assert query(lake, "SELECT id, a, b FROM u ORDER BY id") == [
        {"id": 0, "a": "x", "b": 1}, {"id": 1, "a": "y", "b": None}, {"id": 2, "a": "z", "b": 3}]
    assert query(lake, "SELECT id, a, b FROM u AT (VERSION => 0) WHERE a = 'y'") == [{"id": 1, "a": "y", "b": None}]
    assert query(lake, "SELECT a, sum(id) AS s FROM u GROUP BY a HAVING s > 0 ORDER BY a") == [
        {"a": "y", "s": 1}, {"a": "z", "s": 2}]


def test_a_table_of_many_partitions(lake):
    write(lake, rows(list(range(600)), p=[f"value {i}" for i in range(600)]), "p")
    assert query(lake, "SELECT count(DISTINCT p) AS n, count(*) FILTER (p = 'value ' || id) AS same FROM u") == [
        {"n": 600, "same": 600}]


@pytest.mark.parametrize("target", ["delta", "iceberg+delta", "iceberg"])
def test_a_compaction_into_it_is_refused_and_the_sources_stay(lake, target):
    write(lake, rows([0, 1], w=["eu", "as"]), "w")
    lake.put(SOURCE, rows([2], w=["us"], more=[1.5]))
    before = logged(lake)
    for plan in (["--plan"], []):
        done = lake.varve("compact", "--prefix", "data/u/", "--namespace", "u", "--to", target, *plan, check=False)
        assert done.returncode != 0 and "partitioned by the columns 'w'" in done.stderr, done
    assert logged(lake) == before and (lake.root / SOURCE).exists()
    assert not (lake.root / "catalog/u/metadata").exists()
    assert query(lake, "SELECT id, w, more FROM u ORDER BY id") == [
        {"id": 0, "w": "eu", "more": None}, {"id": 1, "w": "as", "more": None}, {"id": 2, "w": "us", "more": 1.5}]
    assert [plain(v) for v in DeltaTable(str(lake.root / "catalog/u")).to_pyarrow_table()["id"].to_pylist()] in (
        [0, 1], [1, 0])


def test_nothing_else_adds_files_to_it_either(lake):
    write(lake, rows([0], w=["eu"]), "w")
    before = logged(lake)
    key = lake.put("catalog/u/data/x.parquet", rows([1], w=["us"], more=["columns"]))
    for args in (["register", "u", key], ["publish", "u", "--to", "iceberg"]):
        done = lake.run(*args, check=False)
        assert done.returncode != 0 and "'w'" in done.stderr, done
    assert logged(lake) == before
    assert not (lake.root / "catalog/u/metadata").exists()
