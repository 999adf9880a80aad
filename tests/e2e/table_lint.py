"""What must hold of a table's files although no reader says so: Iceberg's manifests byte by byte
(fastavro is not ours), counts and bounds against the Parquet files, Delta's log against its rules."""

import json
import pathlib
import re
import struct
import urllib.parse

import fastavro
import pyarrow.parquet as pq

MANIFEST_KEYS = {"schema", "schema-id", "partition-spec", "partition-spec-id", "format-version", "content"}
LIST_KEYS = {"snapshot-id", "parent-snapshot-id", "sequence-number", "format-version"}
SAFE_NAME = re.compile(r"[A-Za-z0-9._=/-]+")


def need(condition, *what):
    assert condition, " ".join(map(str, what))


def avro(path):
    with open(path, "rb") as file:
        reader = fastavro.reader(file)
        records = list(reader)
        return reader.metadata, json.loads(reader.metadata["avro.schema"]), records


def every_field_has_an_id(schema, where):
    if isinstance(schema, list):
        for one in schema:
            every_field_has_an_id(one, where)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            for field in schema["fields"]:
                need("field-id" in field, where, "field without id:", field["name"])
                every_field_has_an_id(field["type"], where)
        elif schema.get("type") == "array":
            need("element-id" in schema or schema.get("logicalType") == "map", where, schema)
            every_field_has_an_id(schema["items"], where)
        else:
            every_field_has_an_id(schema.get("type") if isinstance(schema.get("type"), dict) else None, where)


def decode(kind, data):
    if data is None:
        return None
    if kind in ("int", "date") or (kind == "long" and len(data) == 4):  # written before it was widened
        return struct.unpack("<i", data)[0]
    if kind in ("long", "timestamp", "timestamptz", "time"):
        return struct.unpack("<q", data)[0]
    if kind == "double" and len(data) == 8:
        return struct.unpack("<d", data)[0]
    if kind in ("float", "double"):
        return struct.unpack("<f", data)[0]
    if kind == "boolean":
        return data != b"\0"
    if kind.startswith("decimal"):
        return int.from_bytes(data, "big", signed=True)
    return bytes(data)


def cell(kind, value):
    """A Parquet cell as the bound's value."""
    if value is None:
        return None
    if kind in ("timestamp", "timestamptz", "long", "int", "date", "time", "double", "float", "boolean"):
        return value
    if kind == "string":
        return value.encode()
    if kind.startswith("decimal"):
        return int(value.scaleb(int(kind.rstrip(")").split(",")[1])))
    return value


def column_cells(table, name, kind):
    column = table.column(name)
    if kind in ("timestamp", "timestamptz"):
        import pyarrow as pa
        column = column.cast(pa.timestamp("us", tz="UTC" if kind == "timestamptz" else None)).cast("int64")
    elif kind == "date":
        column = column.cast("int32")
    return [cell(kind, v) for v in column.to_pylist()]


class IcebergLint:
    """data_files: how many are live, where the caller knows it."""

    def __init__(self, root, strict_files=True):
        self.root, self.strict_files = pathlib.Path(root), strict_files
        self.checked = {}

    def run(self, manifests=True):
        """manifests=False: of a table whose manifests other programs have written too."""
        hint = (self.root / "metadata/version-hint.text").read_bytes()
        need(re.fullmatch(rb"[1-9][0-9]*", hint), "trap 3: hint", hint)
        versions = sorted(int(re.fullmatch(r"v(\d+)\.metadata\.json", p.name)[1])
                          for p in (self.root / "metadata").glob("v*.metadata.json"))
        need(versions[-1] == int(hint), "trap 2: hint", hint, "newest", versions[-1])
        need(versions == list(range(versions[0], versions[-1] + 1)), "gaps in", versions)
        previous = None
        for version in versions:
            meta = json.loads((self.root / f"metadata/v{version}.metadata.json").read_text())
            self.metadata(meta, previous, version)
            previous = meta
        for snapshot in previous["snapshots"] if manifests else ():
            self.snapshot(previous, snapshot)
        return previous

    def metadata(self, meta, previous, version):
        for key in ("format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
                    "last-column-id", "schemas", "current-schema-id", "partition-specs", "default-spec-id",
                    "last-partition-id", "sort-orders", "default-sort-order-id"):
            need(key in meta, "trap 16: metadata has no", key)
        need(meta["format-version"] == 2, "format version")
        need(pathlib.Path(meta["location"]).is_absolute(), "trap 30: location", meta["location"])
        if "current-snapshot-id" in meta:
            need(meta["refs"]["main"]["snapshot-id"] == meta["current-snapshot-id"], "trap 16: main")
        else:
            need("refs" not in meta, "refs without a snapshot")
        numbers = [s["sequence-number"] for s in meta["snapshots"]]
        need(len(set(numbers)) == len(numbers), "duplicate sequence numbers", numbers)
        need(max(numbers, default=0) <= meta["last-sequence-number"], "trap 16: last-sequence-number")
        for log in ("snapshot-log", "metadata-log"):
            times = [e["timestamp-ms"] for e in meta[log]]
            need(times == sorted(times), "trap 16:", log, times)
        for snapshot in meta["snapshots"]:
            need(snapshot["snapshot-id"] > 2**53, "trap 15: id", snapshot["snapshot-id"])
            need(all(isinstance(v, str) for v in snapshot["summary"].values()), "trap 17: numbers in summary")
            need("operation" in snapshot["summary"], "trap 17: no operation")
        if previous:
            need(meta["table-uuid"] == previous["table-uuid"], "uuid changed")
            need(meta["last-column-id"] >= previous["last-column-id"], "last-column-id")
            need(meta["last-updated-ms"] >= previous["last-updated-ms"], "last-updated-ms")
            need(meta["metadata-log"][-1]["metadata-file"].endswith(f"v{version - 1}.metadata.json"), "log")

    def snapshot(self, meta, snapshot):
        header, schema, rows = avro(snapshot["manifest-list"])
        need(LIST_KEYS <= set(header), "list header lacks", LIST_KEYS - set(header))
        need(header["avro.codec"] in ("null", "deflate"), "trap 14: codec", header["avro.codec"])
        need(header["snapshot-id"] == str(snapshot["snapshot-id"]), "list's snapshot id")
        need(header["sequence-number"] == str(snapshot["sequence-number"]), "list's sequence number")
        every_field_has_an_id(schema, "trap 13: list")
        live, rows_live, bytes_live = set(), 0, 0
        for row in rows:
            need(pathlib.Path(row["manifest_path"]).stat().st_size == row["manifest_length"], "manifest_length")
            need(row["sequence_number"] <= snapshot["sequence-number"], "a manifest from the future")
            for entry in self.manifest(meta, snapshot, row):
                path = entry["data_file"]["file_path"]
                need(path not in live, "trap 1: live twice:", path)
                live.add(path)
                rows_live += entry["data_file"]["record_count"]
                bytes_live += entry["data_file"]["file_size_in_bytes"]
        summary = snapshot["summary"]
        need(summary["total-data-files"] == str(len(live)), "total-data-files", summary, len(live))
        need(summary["total-records"] == str(rows_live), "total-records")
        need(summary["total-files-size"] == str(bytes_live), "total-files-size")
        if summary["operation"] == "replace":
            need(summary.get("added-records") == summary.get("deleted-records"), "replace keeps rows")

    def manifest(self, meta, snapshot, row):
        header, schema, entries = avro(row["manifest_path"])
        need(MANIFEST_KEYS <= set(header), "manifest header lacks", MANIFEST_KEYS - set(header))
        need(header["avro.codec"] in ("null", "deflate"), "trap 14: codec")
        need(isinstance(json.loads(header["partition-spec"]), list), "partition-spec is the fields' array")
        every_field_has_an_id(schema, "trap 13: manifest")
        names = {0: "existing", 1: "added", 2: "deleted"}
        counts = {name: [0, 0] for name in names.values()}
        smallest, live = [], []
        for entry in entries:
            file = entry["data_file"]
            need(entry["snapshot_id"] is not None, "entry without snapshot id")
            if entry["status"] != 1:
                need(entry["sequence_number"] is not None and entry["file_sequence_number"] is not None,
                     "trap 12: no sequence number")
            data_sequence = entry["sequence_number"] if entry["sequence_number"] is not None \
                else row["sequence_number"]
            counts[names[entry["status"]]][0] += 1
            counts[names[entry["status"]]][1] += file["record_count"]
            if entry["status"] != 2:
                smallest.append(data_sequence)
                live.append(entry)
                self.data_file(meta, row, file)
        for name, (files, rows) in counts.items():
            need(row[f"{name}_files_count"] == files, "trap 9:", name, "files", row, files)
            need(row[f"{name}_rows_count"] == rows, "trap 9:", name, "rows")
        need(row["min_sequence_number"] == min(smallest, default=row["sequence_number"]), "min_sequence_number")
        spec = next(s for s in meta["partition-specs"] if s["spec-id"] == row["partition_spec_id"])
        need(len(row["partitions"] or []) == len(spec["fields"]), "trap 8: summaries")
        for field, summary in zip(spec["fields"], row["partitions"] or []):
            values = [e["data_file"]["partition"][field["name"]] for e in entries]
            values = [(v - __import__("datetime").date(1970, 1, 1)).days if hasattr(v, "isoformat") else v
                      for v in values]
            need(summary["contains_null"] == (None in values), "trap 8: contains_null")
            present = [v for v in values if v is not None]
            kind = "int" if present and isinstance(present[0], int) else "string"
            want = (min(present), max(present)) if present else (None, None)
            got = (decode(kind, summary["lower_bound"]), decode(kind, summary["upper_bound"]))
            if kind == "string":
                got = tuple(None if v is None else v.decode() for v in got)
            need(got == want, "trap 8: summary", got, want)
        return live

    def data_file(self, meta, row, file):
        path = pathlib.Path(file["file_path"])
        need(SAFE_NAME.fullmatch(str(path)), "trap 20: name", path)
        need(path.is_absolute(), "trap 30: path", path)
        key = (repr(file), meta["current-schema-id"])
        if not path.exists() or key in self.checked:
            need(path.exists() or not self.strict_files, "missing", path)
            return
        self.checked[key] = True
        footer = pq.read_metadata(path)
        need(file["record_count"] == footer.num_rows, "trap 10: record_count", path)
        need(file["file_size_in_bytes"] == path.stat().st_size, "file size")
        offsets = []
        for g in range(footer.num_row_groups):
            column = footer.row_group(g).column(0)
            offsets.append(column.dictionary_page_offset if column.has_dictionary_page
                           else column.data_page_offset)
        need(file["split_offsets"] == offsets, "trap 11: split_offsets", file["split_offsets"], offsets)
        self.columns(meta, file, path, footer)
        self.partition(meta, row, file, path)

    def columns(self, meta, file, path, footer):
        schema = next(s for s in meta["schemas"] if s["schema-id"] == meta["current-schema-id"])
        fields = {f["id"]: f for f in schema["fields"] if isinstance(f["type"], str)}
        by_key = {name: {e["key"]: e["value"] for e in file[name] or []}
                  for name in ("column_sizes", "value_counts", "null_value_counts", "lower_bounds", "upper_bounds")}
        table = pq.read_table(path, partitioning=None)
        ids = {f.metadata[b"PARQUET:field_id"]: f.name for f in table.schema
               if f.metadata and b"PARQUET:field_id" in f.metadata}
        for field_id, field in fields.items():
            name = ids.get(str(field_id).encode()) if ids else field["name"]
            if name not in table.column_names:
                need(field_id not in by_key["value_counts"], "stats of a column that is not there")
                continue
            cells = column_cells(table, name, field["type"])
            index = next(i for i in range(footer.num_columns)
                         if footer.schema.column(i).path == name)
            sizes = sum(footer.row_group(g).column(index).total_compressed_size
                        for g in range(footer.num_row_groups))
            need(by_key["column_sizes"][field_id] == sizes, "column_sizes", field["name"])
            need(by_key["value_counts"][field_id] == len(cells), "value_counts includes nulls")
            need(by_key["null_value_counts"][field_id] == cells.count(None), "null_value_counts")
            present = [c for c in cells if c is not None and c == c]
            low, high = (decode(field["type"], by_key[b].get(field_id)) for b in ("lower_bounds", "upper_bounds"))
            if present and low is not None:
                need(low <= min(present), "trap 6: lower bound of", field["name"], low, min(present))
            if present and high is not None:
                need(high >= max(present), "trap 7:" if field["type"] == "string" else "trap 6:", "upper bound of",
                     field["name"], high, max(present))
            if present and field["type"] not in ("string", "binary") and not field["type"].startswith("fixed"):
                need((low, high) == (min(present), max(present)), "bounds are not tight", field["name"])
            for bound in (low, high):
                if isinstance(bound, bytes) and field["type"] == "string":
                    need(len(bound.decode()) <= 16, "a bound of more than 16 code points")

    def partition(self, meta, row, file, path):
        spec = next(s for s in meta["partition-specs"] if s["spec-id"] == row["partition_spec_id"])
        names = {f["id"]: f["name"] for s in meta["schemas"] for f in s["fields"]}
        table = pq.read_table(path, partitioning=None)
        for field in spec["fields"]:
            got = file["partition"][field["name"]]
            source = names[field["source-id"]]
            if field["transform"] in ("hour", "day"):
                unit = 3_600_000_000 if field["transform"] == "hour" else 86_400_000_000
                want = {c // unit for c in column_cells(table, source, "timestamptz")}
                if hasattr(got, "isoformat"):
                    got = (got - __import__("datetime").date(1970, 1, 1)).days
                need(want == {got}, "trap 6: partition", field["name"], got, want)
            elif field["transform"] == "identity":
                need(set(table.column(source).to_pylist()) == {got}, "identity partition", got)


def same(part):
    return set(part) if any(isinstance(v, dict) for v in part.values()) else part


def read_checkpoint(path):
    actions = pq.read_table(path).to_pylist()
    need(sum(a["protocol"] is not None for a in actions) == 1, "trap 28: protocol")
    need(sum(a["metaData"] is not None for a in actions) == 1, "trap 28: metaData")
    need(all(sum(v is not None for v in a.values()) == 1 for a in actions), "one action a row")
    live = {a["add"]["path"]: {**a["add"], "partitionValues": dict(a["add"]["partitionValues"])}
            for a in actions if a["add"]}
    return live, {a["txn"]["appId"]: a["txn"]["version"] for a in actions if a["txn"]}


def lint_delta(root):
    """Replays the log by the specification's words; returns the live files."""
    root = pathlib.Path(root)
    log = root / "_delta_log"
    for path in log.iterdir():
        need(path.name == "_last_checkpoint" or re.fullmatch(r"\d{20}(\.json|\.checkpoint\.parquet)", path.name),
             "trap 22: name", path.name)
    live, txns, versions = {}, {}, []
    checkpoints = {int(p.name[:20]): p for p in log.glob("*.checkpoint.parquet")}
    first = min(int(p.name[:20]) for p in log.glob("*.json"))
    if first > 0:  # cleaned up: the oldest checkpoint that still is there begins the state
        live, txns = read_checkpoint(checkpoints[min(v for v in checkpoints if v >= first)])
    begin = min((v for v in checkpoints if v >= first), default=-1) if first > 0 else -1
    for path in sorted(log.iterdir()):
        if path.suffix != ".json":
            continue
        versions.append(int(path.name[:20]))
        if versions[-1] <= begin:
            continue
        text = path.read_text()
        need(text and "\n\n" not in text, "trap 27: blank line")
        actions = [json.loads(line) for line in text.split("\n")]
        need("commitInfo" in actions[0], "commitInfo is first")
        seen = set()
        for action in actions:
            ((kind, body),) = action.items()
            if kind in ("add", "remove"):
                need(body["path"] not in seen, "trap 23: twice in one commit", body["path"])
                seen.add(body["path"])
            if kind == "add":
                add(root, body, live)
            elif kind == "remove":
                need(body["path"] in live, "trap 21: removes what is not there", body["path"])
                need(body["partitionValues"] == live[body["path"]]["partitionValues"], "partitionValues")
                need(body["deletionTimestamp"] > 1_600_000_000_000, "deletionTimestamp in ms")
                del live[body["path"]]
            elif kind == "txn":
                need(body["appId"] not in txns or txns[body["appId"]] < body["version"], "txn goes back")
                txns[body["appId"]] = body["version"]
        if versions[-1] in checkpoints:
            need((set(live), txns) == tuple(map(same, read_checkpoint(checkpoints[versions[-1]]))),
                 "trap 28: the checkpoint is not what the log adds up to")
    need(versions == list(range(versions[0], versions[-1] + 1)), "versions", versions)
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        version = json.loads(pointer.read_text())["version"]
        need((log / f"{version:020}.checkpoint.parquet").exists(), "trap 29: pointer without checkpoint")
        need((log / f"{version:020}.json").exists(), "the checkpoint's own commit is gone")
    return live, txns


def add(root, body, live):
    need(body["path"] == urllib.parse.quote(urllib.parse.unquote(body["path"]), safe="/=~!*'()"), "trap 27: URI")
    need(not body["path"].startswith("/") and ":" not in body["path"], "relative path")
    path = root / urllib.parse.unquote(body["path"])
    stats = json.loads(body["stats"])
    if path.exists():
        need(body["size"] == path.stat().st_size, "trap 24: size")
        need(stats["numRecords"] == pq.read_metadata(path).num_rows, "trap 26: numRecords")
    need("" not in body["partitionValues"].values(), "trap 25: empty partition value")
    need(body["path"] not in live, "added twice", body["path"])
    live[body["path"]] = body
