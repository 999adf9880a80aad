"""The linter of tables is worth what it catches: each trap of the formats, set in a good table, must
be called by its number. (Traps 4, 5, 18 and 19 are refused at registration: test_tables.py.)"""

import json
import pathlib
import re
import shutil
import struct

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import Lake
from table_lint import IcebergLint, lint_delta
from test_tables import data, rows


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Two hours, text longer than a bound, a manifest with EXISTING entries, a Delta checkpoint."""
    lake = Lake(tmp_path_factory.mktemp("good") / "lake")
    for i in range(10):
        part = rows(14 + i % 2, 15, 100 * i, "z" * 20 + "{:05}")
        lake.run("register", "t", lake.put(data("t", f"f{i}.parquet"), part), "--format", "iceberg+delta",
                 "--partition", "hour(ts)")
    lake.run("rewrite-manifests", "t")
    lake.run("register", "t", lake.put(data("t", "last.parquet"), rows(14, 15, 5000)))
    IcebergLint(lake.root / "catalog/t").run()
    lint_delta(lake.root / "catalog/t")
    return lake.root / "catalog/t"


@pytest.fixture
def table(good):
    """The table where it was made, for its locations are absolute; put back after the test."""
    kept = good.with_name("kept")
    shutil.copytree(good, kept)
    yield good
    shutil.rmtree(good)
    kept.rename(good)


def head(table):
    version = (table / "metadata/version-hint.text").read_text()
    path = table / f"metadata/v{version}.metadata.json"
    return path, json.loads(path.read_text())


def change_metadata(table, change):
    path, meta = head(table)
    change(meta)
    path.write_text(json.dumps(meta))


def change_avro(path, change=None, schema_change=None, codec="deflate"):
    with open(path, "rb") as file:
        reader = fastavro.reader(file)
        records, schema = list(reader), json.loads(reader.metadata["avro.schema"])
        header = {k: v for k, v in reader.metadata.items() if not k.startswith("avro.")}
    if change:
        change(records)
    if schema_change:
        schema = schema_change(schema)
    with open(path, "wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), records, codec=codec, metadata=header)


def manifest_list(table):
    _, meta = head(table)
    return meta["snapshots"][-1]["manifest-list"]


def change_list(table, change):
    change_avro(manifest_list(table), change)


def change_manifest(table, change=None, existing=False, **more):
    """Of the last snapshot: the newest manifest, or the rewritten one; its list's length is mended."""
    with open(manifest_list(table), "rb") as file:
        paths = [r["manifest_path"] for r in fastavro.reader(file)
                 if (r["existing_files_count"] > 0) == existing]
    change_avro(paths[0], change, **more)

    def mend(records):
        for record in records:
            record["manifest_length"] = pathlib.Path(record["manifest_path"]).stat().st_size
    for path in {s["manifest-list"] for s in head(table)[1]["snapshots"]}:
        change_avro(path, mend)


def without_ids(schema):
    return json.loads(re.sub(r', "field-id": \d+', "", json.dumps(schema)))


def first_file(records):
    return records[0]["data_file"]


def set_bound(records, name, field_id, value):
    for pair in first_file(records)[name]:
        if pair["key"] == field_id:
            pair["value"] = value(pair["value"])


def to_millis(bound):
    return struct.pack("<q", struct.unpack("<q", bound)[0] // 1000)


def duplicate(records):
    records.append(records[0])


def twice_live(table):
    change_manifest(table, duplicate)
    change_list(table, lambda rows_: rows_[0].update(added_files_count=2, added_rows_count=30))


ICEBERG = {
    "1: live twice": twice_live,
    "2: stale hint": lambda t: (t / "metadata/version-hint.text").write_text("2"),
    "3: newline in the hint": lambda t: (t / "metadata/version-hint.text").write_text(
        (t / "metadata/version-hint.text").read_text() + "\n"),
    "6: bounds in milliseconds": lambda t: change_manifest(
        t, lambda r: set_bound(r, "upper_bounds", 1, to_millis) or set_bound(r, "lower_bounds", 1, to_millis)),
    "6: partition one off": lambda t: (
        change_manifest(t, lambda r: first_file(r)["partition"].update(
            ts_hour=first_file(r)["partition"]["ts_hour"] + 1)),
        change_list(t, lambda r: r[0]["partitions"][0].update(
            lower_bound=struct.pack("<i", struct.unpack("<i", r[0]["partitions"][0]["lower_bound"])[0] + 1),
            upper_bound=struct.pack("<i", struct.unpack("<i", r[0]["partitions"][0]["upper_bound"])[0] + 1)))),
    "7: upper bound cut": lambda t: change_manifest(
        t, lambda r: set_bound(r, "upper_bounds", 2, lambda b: b"z" * 16), existing=True),
    "8: partition summary": lambda t: change_list(
        t, lambda r: r[0]["partitions"][0].update(upper_bound=struct.pack("<i", 5))),
    "9: counts": lambda t: change_list(t, lambda r: r[0].update(added_files_count=0)),
    "10: record count": lambda t: (
        change_manifest(t, lambda r: first_file(r).update(record_count=16)),
        change_list(t, lambda r: r[0].update(added_rows_count=16))),
    "11: first row group": lambda t: change_manifest(
        t, lambda r: first_file(r).update(split_offsets=first_file(r)["split_offsets"][1:])),
    "12: sequence numbers": lambda t: change_manifest(
        t, lambda r: r[0].update(sequence_number=None), existing=True),
    "13: field ids": lambda t: change_manifest(t, schema_change=without_ids),
    "14: codec": lambda t: change_manifest(t, codec="bzip2"),
    "15: small ids": lambda t: change_metadata(t, lambda m: m["snapshots"][0].update({"snapshot-id": 7})),
    "16: last-sequence-number": lambda t: change_metadata(t, lambda m: m.update({"last-sequence-number": 0})),
    "16: main": lambda t: change_metadata(t, lambda m: m["refs"]["main"].update({"snapshot-id": 1})),
    "16: uuid": lambda t: change_metadata(t, lambda m: m.pop("table-uuid")),
    "16: log": lambda t: change_metadata(t, lambda m: m["snapshot-log"].reverse()),
    "17: operation": lambda t: change_metadata(t, lambda m: m["snapshots"][-1]["summary"].pop("operation")),
    "17: numbers": lambda t: change_metadata(
        t, lambda m: m["snapshots"][-1]["summary"].update({"total-records": 3})),
    "20: names": lambda t: change_manifest(t, lambda r: first_file(r).update(file_path="/lake/a b:c%.parquet")),
    "30: relative path": lambda t: change_manifest(
        t, lambda r: first_file(r).update(file_path="data/last.parquet")),
}


@pytest.mark.parametrize("trap", ICEBERG)
def test_iceberg_trap(table, trap):
    ICEBERG[trap](table)
    with pytest.raises(AssertionError, match=f"trap {trap.split(':')[0]}:"):
        IcebergLint(table).run()


UNNUMBERED = {
    "manifest header": lambda t: strip_header(t),
    "manifest_length": lambda t: change_list(t, lambda r: r[0].update(manifest_length=r[0]["manifest_length"] + 100)),
    "min_sequence_number": lambda t: change_list(t, lambda r: r[0].update(min_sequence_number=99)),
    "duplicate sequence number": lambda t: change_metadata(
        t, lambda m: m["snapshots"][0].update({"sequence-number": 2})),
    "file size": lambda t: change_manifest(
        t, lambda r: first_file(r).update(file_size_in_bytes=first_file(r)["file_size_in_bytes"] - 7)),
}


def strip_header(table):
    with open(manifest_list(table), "rb") as file:
        path = next(fastavro.reader(file))["manifest_path"]
    with open(path, "rb") as file:
        reader = fastavro.reader(file)
        records, schema = list(reader), json.loads(reader.metadata["avro.schema"])
    with open(path, "wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), records, codec="deflate")
    change_manifest(table)


@pytest.mark.parametrize("mistake", UNNUMBERED)
def test_what_no_reader_notices(table, mistake):
    UNNUMBERED[mistake](table)
    with pytest.raises(AssertionError):
        IcebergLint(table).run()


def commit(table, version):
    return table / f"_delta_log/{version:020}.json"


def change_commit(table, kind, change, version=3):
    path = commit(table, version)
    actions = [json.loads(line) for line in path.read_text().split("\n")]
    for action in list(actions):
        if kind in action:
            change(action[kind], actions)
    path.write_text("\n".join(map(json.dumps, actions)))


def add_next(table, *actions):
    path = commit(table, 12)
    path.write_text("\n".join(map(json.dumps, [{"commitInfo": {}}, *actions])))


def remove_of(path):
    return {"remove": {"path": path, "deletionTimestamp": 1_770_000_000_000, "dataChange": True,
                       "partitionValues": {}}}


def stats(body, _):
    body["stats"] = body["stats"].replace('"numRecords":15', '"numRecords":14')


def change_checkpoint(table, keep):
    path = table / "_delta_log/00000000000000000010.checkpoint.parquet"
    content = pq.read_table(path)
    pq.write_table(content.filter(pa.array([keep(a) for a in content.to_pylist()])), path)


def drop_first_add(table):
    seen = []
    change_checkpoint(table, lambda a: not (a["add"] and not seen and seen.append(1) is None))


DELTA = {
    "21: remove of another path": lambda t: add_next(t, remove_of("data/./f1.parquet")),
    "22: version of 19 digits": lambda t: commit(t, 11).rename(t / "_delta_log/0000000000000000011.json"),
    "23: added and removed at once": lambda t: change_commit(
        t, "add", lambda body, actions: actions.append(remove_of(body["path"]))),
    "24: size": lambda t: change_commit(t, "add", lambda body, _: body.update(size=body["size"] + 1)),
    "25: empty partition value": lambda t: change_commit(
        t, "add", lambda body, _: body.update(partitionValues={"h": ""})),
    "26: numRecords": lambda t: change_commit(t, "add", stats),
    "27: blank line": lambda t: commit(t, 3).write_text(commit(t, 3).read_text().replace("\n", "\n\n", 1)),
    "27: unencoded path": lambda t: change_commit(t, "add", lambda body, _: body.update(path="data/a b.parquet")),
    "28: checkpoint without an add": drop_first_add,
    "28: checkpoint without a txn": lambda t: change_checkpoint(t, lambda a: not a["txn"]),
    "28: checkpoint without protocol": lambda t: change_checkpoint(t, lambda a: not a["protocol"]),
    "29: pointer without checkpoint": lambda t: (
        t / "_delta_log/00000000000000000010.checkpoint.parquet").unlink(),
}


@pytest.mark.parametrize("trap", DELTA)
def test_delta_trap(table, trap):
    DELTA[trap](table)
    with pytest.raises(AssertionError, match=f"trap {trap.split(':')[0]}:"):
        lint_delta(table)
