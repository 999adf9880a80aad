"""A table opened by readers that are not ours: PyIceberg, DuckDB's extensions, deltalake, icebird."""

import datetime
import importlib
import json
import pathlib
import subprocess

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.table import StaticTable

from varve import ROOT

READERS = ROOT / "build/readers"


def extension(name):
    module = importlib.import_module(f"duckdb_extension_{name}")
    (found,) = pathlib.Path(module.__file__).parent.rglob("*.duckdb_extension")
    return str(found)


def duck():
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute("SET TimeZone = 'UTC'")
    for name in ("avro", "iceberg", "delta"):
        connection.execute(f"LOAD '{extension(name)}'")
    return connection


def plain(value):
    """One form of a value for all readers."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc).isoformat()
    return value


def multiset(table, columns):
    """The rows of a pyarrow table, sorted, the same for all readers."""
    columns = [c for c in columns]
    data = [table.column(c).to_pylist() for c in columns]
    return sorted((tuple(plain(v) for v in row) for row in zip(*data)), key=repr)


def to_arrow(relation):
    table = relation.to_arrow_table()
    return pa.Table.from_batches(table.to_batches(), schema=table.schema)


class Table:
    """root: the table's folder. Reads by every reader of its formats; all must agree."""

    def __init__(self, root, iceberg=True, delta=False):
        self.root, self.iceberg, self.delta = pathlib.Path(root), iceberg, delta
        self.duck = duck()

    def static(self):
        hint = (self.root / "metadata/version-hint.text").read_text()
        return StaticTable.from_metadata(str(self.root / f"metadata/v{hint}.metadata.json"))

    def readers(self, columns, pyiceberg_filter=None, sql_filter="true"):
        """name → rows, of each reader."""
        names = ", ".join(f'"{c}"' for c in columns)
        rows = {}
        if self.iceberg:
            table = self.static()
            scan = table.scan(row_filter=pyiceberg_filter) if pyiceberg_filter else table.scan()
            rows["pyiceberg"] = multiset(scan.to_arrow(), columns)
            rows["duckdb iceberg"] = multiset(to_arrow(self.duck.sql(
                f"SELECT {names} FROM iceberg_scan('{self.root}') WHERE {sql_filter}")), columns)
        if self.delta:
            dataset = DeltaTable(str(self.root)).to_pyarrow_table()
            duck_on_arrow = self.duck.sql(f"SELECT {names} FROM dataset WHERE {sql_filter}")
            rows["deltalake"] = multiset(to_arrow(duck_on_arrow), columns)
            rows["duckdb delta"] = multiset(to_arrow(self.duck.sql(
                f"SELECT {names} FROM delta_scan('{self.root}') WHERE {sql_filter}")), columns)
        return rows

    def icebird(self, columns):
        """JavaScript's numbers and dates lose digits: only columns without them."""
        done = subprocess.run(["node", "iceberg.mjs", self.root], cwd=READERS, capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return sorted((tuple(row.get(c) for c in columns) for row in found), key=repr)

    def counts(self):
        """name → count(*) by metadata, as each reader's optimiser takes it."""
        counts = {}
        if self.iceberg:
            counts["pyiceberg"] = self.static().scan().count()
            counts["duckdb iceberg"] = self.duck.sql(
                f"SELECT count(*) FROM iceberg_scan('{self.root}')").fetchone()[0]
        if self.delta:
            counts["deltalake"] = DeltaTable(str(self.root)).count()
            counts["duckdb delta"] = self.duck.sql(
                f"SELECT count(*) FROM delta_scan('{self.root}')").fetchone()[0]
        return counts

    def agree(self, expected, columns, **filters):
        """Every reader gives exactly these rows."""
        expected = sorted(expected, key=repr)
        for name, rows in self.readers(columns, **filters).items():
            assert rows == expected, (name, len(rows), len(expected), rows[:3], expected[:3])
        if self.iceberg and not filters:
            places = [i for i, c in enumerate(columns) if c in ("id", "n", "extra")]
            wanted = sorted((tuple(row[i] for i in places) for row in expected), key=repr)
            got = self.icebird([columns[i] for i in places])
            assert got == wanted, ("icebird", len(got), len(wanted), got[:3], wanted[:3])
        if not filters:
            for name, count in self.counts().items():
                assert count == len(expected), (name, count, len(expected))
