"""Writers whose columns differ in type, width or name: what fits becomes one table that every reader
opens, what does not is quarantined by name, and never spoils the rest."""

import datetime
import decimal
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import Lake
from table_readers import duck

START = datetime.datetime(2026, 2, 2, 14, tzinfo=datetime.timezone.utc)
NUMBERS = ["id", "n", "f", "d"]


def part(first, columns, count=20):
    ts = [START + datetime.timedelta(seconds=first + i) for i in range(count)]
    fixed = {"ts": pa.array(ts, pa.timestamp("us", tz="UTC")), "id": [f"{first + i}" for i in range(count)]}
    return pa.table({**fixed, **{name: pa.array([value] * count, kind)
                                 for name, (value, kind) in columns.items()}})


def numbers(first, wide):
    d = decimal.Decimal("12.25")
    return part(first, {
        "n": (first, pa.int64() if wide else pa.int32()),
        "f": (0.5, pa.float64() if wide else pa.float32()),
        "d": (d, pa.decimal128(18 if wide else 9, 2)),
        "s": ({"a": first}, pa.struct([("a", pa.int64() if wide else pa.int32())])),
        "l": ([first], pa.list_(pa.int64() if wide else pa.int32())),
    })


class Writers(Lake):
    files = 0

    def write(self, *parts, **options):
        keys = []
        for one in parts:
            self.files += 1
            keys.append(self.put(f"data/users/{1770040800000 + self.files}-w{self.files}-{self.files}.parquet",
                                 one, **options))
        return keys

    def compact(self, to="iceberg+delta"):
        return self.varve("compact", "--prefix", "data/users/", "--namespace", "users", "--to", to).stdout

    def left(self):
        return sorted(str(p.relative_to(self.root)) for p in (self.root / "data").rglob("*.parquet"))

    def nested(self):
        """The nested columns, by DuckDB's readers."""
        root = self.root / "catalog/users"
        return [duck().sql(f"SELECT s.a, l FROM {scan}('{root}') ORDER BY ts").fetchall()
                for scan in ("iceberg_scan", "delta_scan")]


@pytest.fixture
def lake(tmp_path):
    return Writers(tmp_path / "lake")


@pytest.mark.parametrize("order", ["narrower later", "together", "together, one file a batch"])
def test_every_file_of_a_table_has_its_width(lake, order):
    parts = [numbers(0, True), numbers(100, False), numbers(200, False)]
    if order == "narrower later":
        lake.write(parts[0])
        lake.compact()
        lake.write(*parts[1:])
    else:
        lake.write(*reversed(parts))
    env = {"VARVE_COMPACTION_BATCH_BYTES_MAX": "1MiB"} if "batch" in order else {}
    lake.varve("compact", "--prefix", "data/users/", "--namespace", "users", "--to", "iceberg+delta", env=env)
    lake.agree("users", parts, NUMBERS, delta=True)
    iceberg, delta = lake.nested()
    assert iceberg == delta == [(first, [first]) for first in (0, 100, 200) for _ in range(20)]
    for file in (lake.root / "catalog/users").rglob("*.parquet"):
        if "data" not in file.parts:
            continue
        schema = pq.read_schema(file)
        assert schema.field("n").type == pa.int64(), file
        assert schema.field("d").type == pa.decimal128(18, 2), file
        assert schema.field("s").type.field("a").type == pa.int64(), file
        assert schema.field("l").type.value_type == pa.int64(), file


def test_names_that_differ_in_case_alone_are_no_two_columns(lake):
    good = part(0, {"v": (1, pa.int64())})
    other, both = part(50, {"V": (2, pa.int64())}), part(90, {"v": (3, pa.int64()), "V": (4, pa.int64())})
    lake.write(good, good)
    refused = lake.write(other, both)
    said = lake.compact()
    assert lake.left() == sorted(refused)
    assert all(key in said for key in refused) and "case" in said
    lake.agree("users", [good, good], ["id", "v"], delta=True)


def test_a_column_of_nulls_waits_for_its_type(lake):
    untyped, typed = part(0, {"c": (None, pa.null())}), part(50, {"c": ("x", pa.string())})
    lake.write(untyped)
    lake.compact()
    lake.agree("users", [untyped], ["id"], delta=True)
    lake.write(typed, untyped)
    lake.compact()
    assert lake.left() == []
    none = untyped.set_column(2, "c", pa.array([None] * 20, pa.string()))
    lake.agree("users", [none, none, typed], ["id", "c"], delta=True)


def test_names_with_dots_are_names(lake):
    parts = [part(0, {"a.b": ("flat", pa.string())}), part(50, {"a.b": ("other", pa.string())})]
    lake.write(*parts)
    lake.compact(to="iceberg")
    assert lake.left() == []
    lake.agree("users", parts, ["id", "a.b"])
    refused = lake.write(part(90, {"a": ({"b": 1}, pa.struct([("b", pa.int64())]))}))
    said = lake.varve("compact", "--prefix", "data/users/", "--namespace", "users", "--to", "iceberg", check=False)
    assert lake.left() == refused and "a.b" in said.stdout + said.stderr
    lake.agree("users", parts, ["id", "a.b"])


def test_a_type_that_delta_lacks_is_found_before_anything_is_made(lake):
    good = part(0, {"u": ("text", pa.string())})
    bad = part(50, {"k": (uuid.uuid4().bytes, pa.uuid())})
    lake.write(good)
    refused = lake.write(bad)
    said = lake.compact()
    assert lake.left() == refused and "uuid" in said
    lake.agree("users", [good], ["id", "u"], delta=True)


def test_rare_encodings_are_written_anew(lake):
    parts = [part(first, {"n": (first, pa.int64())}) for first in (0, 50)]
    lake.write(*parts, row_group_size=1 << 20, use_dictionary=False, compression="lz4",
               column_encoding={"id": "DELTA_BYTE_ARRAY", "n": "BYTE_STREAM_SPLIT"})
    lake.compact()
    lake.agree("users", parts, ["id", "n"], delta=True)
    for file in (lake.root / "catalog/users").rglob("data/**/*.parquet"):
        group = pq.read_metadata(file).row_group(0)
        used = {encoding for i in range(group.num_columns) for encoding in group.column(i).encodings}
        assert not used & {"DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT"}, used
