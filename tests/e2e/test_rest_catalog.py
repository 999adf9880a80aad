"""The Iceberg REST catalog that `varve serve` has at /iceberg: PyIceberg and DuckDB attach to it by
URL and change tables; several at once lose nothing; what is wrong is refused in Iceberg's words."""

import concurrent.futures
import datetime
import http.server
import json
import multiprocessing
import os
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (BadRequestError, CommitFailedException, ForbiddenError,
                                  NamespaceAlreadyExistsError, NamespaceNotEmptyError,
                                  NoSuchNamespaceError, NoSuchTableError, RESTError,
                                  TableAlreadyExistsError, UnauthorizedError)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from table_lint import IcebergLint
from table_readers import duck, extension
from varve import BINARY, wait_until

ADMIN = "key-of-an-administrator-1"
READER = "key-of-a-reader-00000002"
ACME = "ns_acme_0123456789abcdef"


def rest(server, **more):
    return RestCatalog("varve", uri=f"http://127.0.0.1:{server.port}/iceberg", **more)


def numbers(first, count, **more):
    return pa.table({"n": pa.array(range(first, first + count), pa.int64()),
                     "s": [f"row {i}" for i in range(first, first + count)], **more})


def sorted_numbers(table):
    return sorted(table.scan().to_arrow().column("n").to_pylist())


def attach(server, secret=""):
    connection = duck()
    connection.execute(f"LOAD '{extension('httpfs')}'")
    auth = f", TOKEN '{secret}'" if secret else ", AUTHORIZATION_TYPE 'none'"
    connection.execute(f"ATTACH '' AS lake (TYPE iceberg, "
                       f"ENDPOINT 'http://127.0.0.1:{server.port}/iceberg'{auth})")
    return connection


def commit(server, table, requirements, updates, namespace="default"):
    return server.post(f"/iceberg/v1/namespaces/{namespace}/tables/{table}",
                       {"requirements": requirements, "updates": updates})


def test_namespaces_are_made_listed_changed_and_dropped(varve):
    catalog = rest(varve)
    assert catalog.list_namespaces() == [("default",)]
    catalog.create_namespace("web", {"owner": "ops"})
    catalog.create_namespace(("web", "eu"))
    with pytest.raises(NamespaceAlreadyExistsError):
        catalog.create_namespace("web")
    assert catalog.list_namespaces() == [("default",), ("web",)]
    assert catalog.list_namespaces("web") == [("web", "eu")]
    changed = catalog.update_namespace_properties("web", {"none"}, {"owner": "dev", "tier": "1"})
    assert sorted(changed.updated) == ["owner", "tier"] and changed.missing == ["none"]
    assert catalog.load_namespace_properties("web") == {"owner": "dev", "tier": "1"}
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace("web")
    catalog.drop_namespace(("web", "eu"))
    catalog.drop_namespace("web")
    assert not catalog.namespace_exists("web")
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("web")
    with pytest.raises(NoSuchNamespaceError):
        catalog.create_table("web.t", numbers(0, 1).schema)


def test_a_table_lives_its_whole_life_in_pyiceberg(varve):
    catalog = rest(varve)
    catalog.create_namespace("web")
    table = catalog.create_table("web.hits", numbers(0, 1).schema, properties={"owner": "ops"})
    assert table.location() == str(varve.data / "catalog/web.hits")
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table("web.hits", numbers(0, 1).schema)
    table.append(numbers(0, 10))
    table.append(numbers(10, 5))
    assert sorted_numbers(catalog.load_table("web.hits")) == list(range(15))
    table.overwrite(numbers(100, 3))
    table.delete("n = 101")
    assert sorted_numbers(catalog.load_table("web.hits")) == [100, 102]
    with table.update_schema() as change:
        change.add_column("city", StringType(), doc="where from")
        change.rename_column("s", "text")
    with table.update_spec() as change:
        change.add_field("n", IdentityTransform(), "n")
    with table.transaction() as transaction:
        transaction.set_properties(owner="dev")
    renamed = numbers(7, 1, city=["Ghent"]).rename_columns(["n", "text", "city"])
    table.append(renamed)
    table = catalog.load_table("web.hits")
    assert sorted_numbers(table) == [7, 100, 102]
    assert table.properties["owner"] == "dev"
    assert table.schema().find_field("city").doc == "where from"
    with table.manage_snapshots() as snapshots:
        snapshots.create_tag(table.current_snapshot().snapshot_id, "release")
    table.maintenance.expire_snapshots().older_than(datetime.datetime.now()).commit()
    table = catalog.load_table("web.hits")
    assert len(table.snapshots()) == 1 and sorted_numbers(table) == [7, 100, 102]
    hits = json.loads(varve.cli("table", "show", "web.hits", "--data", varve.data, "--json").stdout)
    assert [column["name"] for column in hits["columns"]] == ["n", "text", "city"]
    IcebergLint(varve.data / "catalog/web.hits").run(manifests=False)
    assert catalog.list_tables("web") == [("web", "hits")]
    catalog.drop_table("web.hits")
    assert catalog.list_tables("web") == [] and not catalog.table_exists("web.hits")
    with pytest.raises(RESTError, match="NoSuchTable"):
        table.append(renamed)
    assert varve.cli("table", "show", "web.hits", "--data", varve.data, check=False).returncode != 0
    refused = varve.cli("table", "orphans", "web.hits", "--older-than", "0s", "--yes", "--data", varve.data,
                        check=False)
    assert refused.returncode != 0 and b"--older-than 1h" in refused.stderr, refused.stderr
    remove_orphans(varve, "web.hits")
    assert not list((varve.data / "catalog/web.hits/data").rglob("*.parquet"))
    again = catalog.create_table("web.hits", numbers(0, 1).schema)
    again.append(numbers(1, 2))
    assert sorted_numbers(catalog.load_table("web.hits")) == [1, 2]


def test_a_created_table_may_come_with_its_first_rows_or_not_at_all(varve):
    catalog = rest(varve)
    schema = Schema(NestedField(1, "n", LongType(), required=False),
                    NestedField(2, "s", StringType(), required=False))
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "s"))
    with catalog.create_table_transaction("default.whole", schema, partition_spec=spec) as made:
        assert not catalog.table_exists("default.whole")
        made.append(numbers(0, 4))
    assert sorted_numbers(catalog.load_table("default.whole")) == [0, 1, 2, 3]
    first = catalog.create_table_transaction("default.twice", schema)
    second = catalog.create_table_transaction("default.twice", schema)
    first.commit_transaction()
    with pytest.raises(CommitFailedException):
        second.commit_transaction()


def test_varves_own_tables_are_read_and_changed_by_both(varve, tmp_path):
    (varve.data / "imports").mkdir()
    pq.write_table(numbers(0, 20), varve.data / "imports/a.parquet")
    pq.write_table(numbers(20, 20), varve.data / "imports/b.parquet")
    varve.cli("table", "register", "trips", "imports/a.parquet", "--data", varve.data)
    catalog = rest(varve)
    table = catalog.load_table("default.trips")
    assert sorted_numbers(table) == list(range(20))
    table.append(numbers(100, 5))
    varve.cli("table", "register", "trips", "imports/b.parquet", "--data", varve.data)
    stale = table.current_snapshot().snapshot_id
    reply = commit(varve, "trips", [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": stale}],
                   [{"action": "set-properties", "updates": {"a": "b"}}])
    assert reply.status == 409 and reply.json()["error"]["type"] == "CommitFailedException"
    table.append(numbers(200, 5))  # finds that its base is no longer the table's, and goes on from there
    expected = [*range(40), *range(100, 105), *range(200, 205)]
    assert sorted_numbers(catalog.load_table("default.trips")) == expected
    IcebergLint(varve.data / "catalog/trips").run(manifests=False)
    # Expired and cleaned by varve, and still whole for the others.
    varve.cli("table", "expire", "trips", "--older-than", "0s", "--yes", "--data", varve.data)
    remove_orphans(varve, "trips")
    assert sorted_numbers(catalog.load_table("default.trips")) == expected


def remove_orphans(varve, table):
    """Of any age: none of them can be a commit's that is under way."""
    varve.stop()
    varve.cli("table", "orphans", table, "--older-than", "0s", "--yes", "--data", varve.data)
    varve.start()


def append_some(port, first, count):
    catalog = RestCatalog("varve", uri=f"http://127.0.0.1:{port}/iceberg")
    done = 0
    for i in range(count):
        for _ in range(200):
            try:
                catalog.load_table("default.busy").append(numbers(first + i, 1))
                done += 1
                break
            except CommitFailedException:
                continue
    return done


def test_appends_of_several_processes_at_once_are_all_there(varve):
    catalog = rest(varve)
    catalog.create_table("default.busy", numbers(0, 1).schema)
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=spawn) as pool:
        runs = [pool.submit(append_some, varve.port, 1000 * i, 8) for i in range(3)]
        (varve.data / "imports").mkdir()
        for i in range(5):  # and our own commits between theirs
            pq.write_table(numbers(9000 + i, 1), varve.data / f"imports/{i}.parquet")
            varve.cli("table", "register", "busy", f"imports/{i}.parquet", "--data", varve.data)
        assert [run.result(300) for run in runs] == [8, 8, 8]
    expected = sorted([1000 * i + k for i in range(3) for k in range(8)] + [9000 + i for i in range(5)])
    assert sorted_numbers(catalog.load_table("default.busy")) == expected
    IcebergLint(varve.data / "catalog/busy").run(manifests=False)


def test_duckdb_attaches_reads_and_writes(varve):
    catalog = rest(varve)
    catalog.create_namespace("web")
    catalog.create_table("web.hits", numbers(0, 1).schema).append(numbers(0, 10))
    lake = attach(varve)
    assert lake.sql("SELECT count(*), sum(n) FROM lake.web.hits").fetchall() == [(10, 45)]
    lake.execute("INSERT INTO lake.web.hits SELECT 100 + i, 'duck' FROM range(5) t(i)")
    assert sorted_numbers(catalog.load_table("web.hits")) == [*range(10), *range(100, 105)]
    lake.execute("CREATE TABLE lake.web.made (a BIGINT, b VARCHAR)")
    lake.execute("INSERT INTO lake.web.made VALUES (1, 'x'), (2, 'y')")
    made = catalog.load_table("web.made")
    assert sorted(made.scan().to_arrow().column("a").to_pylist()) == [1, 2]
    IcebergLint(varve.data / "catalog/web.made").run(manifests=False)
    lake.execute("DELETE FROM lake.web.made WHERE a = 1")
    lake.execute("ALTER TABLE lake.web.made ADD COLUMN c INTEGER")
    assert lake.sql("FROM lake.web.made").fetchall() == [(2, "y", None)]
    lake.execute("CREATE TABLE lake.web.selected AS SELECT n FROM lake.web.hits WHERE n > 100")
    assert sorted_numbers(catalog.load_table("web.selected")) == [101, 102, 103, 104]
    assert not (varve.data / "catalog/web.selected/metadata/staged").exists()
    lake.execute("BEGIN")  # several tables: one commit each
    lake.execute("INSERT INTO lake.web.selected VALUES (1000)")
    lake.execute("INSERT INTO lake.web.hits VALUES (1000, 'both')")
    lake.execute("COMMIT")
    assert 1000 in sorted_numbers(catalog.load_table("web.hits"))
    assert 1000 in sorted_numbers(catalog.load_table("web.selected"))
    lake.execute("DROP TABLE lake.web.selected")
    lake.execute("DROP TABLE lake.web.made")
    assert catalog.list_tables("web") == [("web", "hits")]


def test_writers_files_are_added_to_a_table_of_which_duckdb_deletes_rows(start):
    server = start(env={"VARVE_COMPACTION_CHECK_INTERVAL_MS": "100",
                        "VARVE_COMPACTION_MAX_WAIT_TIME_MS": "0",
                        "VARVE_COMPACTION_MIN_FILES_TO_COMPACT": "1",
                        "VARVE_COMPACTION_WRITER_INACTIVE_MS": "0",
                        "VARVE_COMPACTION_GRACE_MS": "0"})
    past_ms = int((time.time() - 7200) * 1000)

    def put(file, ids):
        path = server.data / f"data/users/{past_ms + file}-w-{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        ts = [datetime.datetime.fromtimestamp(past_ms / 1000, datetime.timezone.utc)] * len(ids)
        pq.write_table(pa.table({"id": pa.array(ids, pa.int64()),
                                 "ts": pa.array(ts, pa.timestamp("us", tz="UTC"))}), path)

    def compacted():
        return not list((server.data / "data").rglob("*.parquet"))

    def ids():
        return [row["id"] for row in server.sql("SELECT id FROM users ORDER BY id")]

    put(0, range(10))
    wait_until("the first file to be in the table", compacted, 60)
    attach(server).execute('DELETE FROM lake."default".users WHERE id < 3')
    assert ids() == list(range(3, 10))
    put(1, range(100, 103))
    wait_until("the second file to be in the table", compacted, 60)
    assert ids() == [*range(3, 10), 100, 101, 102]
    assert sorted(row[0] for row in attach(server).sql(
        'SELECT id FROM lake."default".users').fetchall()) == ids()
    shown = json.loads(server.cli("table", "show", "users", "--data", server.data, "--json").stdout)
    assert shown["deleteFiles"] == 1
    published = server.cli("table", "publish", "users", "--to", "delta", "--data", server.data,
                           check=False)
    assert published.returncode != 0 and b"delete files" in published.stderr


class Breaking(http.server.BaseHTTPRequestHandler):
    """In front of a catalog: does or does not do what it is told, by the list of its server."""

    def answer(self):
        plan, body = self.server.plan, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        commit = self.command == "POST" and "/tables/" in self.path
        what = plan.pop(0) if commit and plan else "serve"
        if what in ("silent", "500"):
            status, reply = 500, b"{}"
        else:
            done = self.server.behind.request(self.command, self.path, body or None,
                                              {"Content-Type": "application/json"})
            status, reply = done.status, done.body
        if what.endswith("silent"):
            self.close_connection = True
            return
        self.send_response(500 if what == "done, 500" else status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *args):
        pass


@pytest.fixture
def breaking(varve):
    """A catalog that answers as its plan says, to each commit one; it is varve's own behind."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
    server.plan, server.behind = [], varve
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def register_with(url, data, key, check=True, **more):
    env = {**os.environ, "VARVE_CATALOG_REST_URL": url, "VARVE_CATALOG_REST_BACKOFF_MS": "5", **more}
    done = subprocess.run([BINARY, "table", "register", "trips", key, "--data", data], env=env,
                          capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, (done.stdout, done.stderr)
    return done


def test_varves_client_commits_to_another_catalog_through_any_trouble(varve, breaking):
    url = f"http://127.0.0.1:{breaking.server_port}/iceberg"
    (varve.data / "imports").mkdir()
    for i in range(6):
        pq.write_table(numbers(10 * i, 10), varve.data / f"imports/{i}.parquet")
    register_with(url, varve.data, "imports/0.parquet")
    for i, plan in enumerate([["500"], ["done, 500"], ["silent"], ["done, silent", "500"]], start=1):
        breaking.plan[:] = plan
        register_with(url, varve.data, f"imports/{i}.parquet")
    assert sorted_numbers(rest(varve).load_table("default.trips")) == list(range(50))
    breaking.plan[:] = ["500"] * 100
    unknown = register_with(url, varve.data, "imports/5.parquet", check=False,
                            VARVE_CATALOG_REST_ATTEMPTS_MAX="3")
    assert unknown.returncode == 1
    assert sorted_numbers(rest(varve).load_table("default.trips")) == list(range(50))
    nobody = register_with("http://127.0.0.1:1/iceberg", varve.data, "imports/5.parquet", check=False,
                           VARVE_CATALOG_REST_ATTEMPTS_MAX="2")
    assert nobody.returncode == 1 and "127.0.0.1:1" in nobody.stderr


def test_a_delta_table_is_not_left_behind(varve):
    (varve.data / "imports").mkdir()
    pq.write_table(numbers(0, 3), varve.data / "imports/a.parquet")
    os.makedirs(varve.data / "catalog/both/data")
    os.rename(varve.data / "imports/a.parquet", varve.data / "catalog/both/data/a.parquet")
    varve.cli("table", "register", "both", "catalog/both/data/a.parquet", "--format",
              "iceberg+delta", "--data", varve.data)
    table = rest(varve).load_table("default.both")
    with pytest.raises(BadRequestError, match="Delta"):
        table.append(numbers(10, 1))
    with table.transaction() as transaction:
        transaction.set_properties(owner="ops")
    assert sorted_numbers(rest(varve).load_table("default.both")) == [0, 1, 2]


def test_keys_scopes_and_tenants(start):
    server = start(env={"ROOT": ADMIN, "READER": READER, "ACME": ACME, "VARVE_AUTH_KEYS": """[
        {name = "root", key_env = "ROOT", scopes = ["admin"]},
        {name = "reader", key_env = "READER", scopes = ["query"]},
        {name = "acme", key_env = "ACME", scopes = ["admin"], namespace = "acme"}]"""})
    admin, reader = rest(server, token=ADMIN), rest(server, credential=f"me:{READER}")
    acme = rest(server, token=ACME)
    admin.create_table("default.ours", numbers(0, 1).schema)
    acme.create_table("default.theirs", numbers(0, 1).schema).append(numbers(0, 2))
    assert (server.data / "ns/acme/catalog/theirs/metadata").is_dir()
    assert reader.list_tables("default") == [("default", "ours")]
    assert acme.list_tables("default") == [("default", "theirs")]
    with pytest.raises(NoSuchTableError):
        acme.load_table("default.ours")
    with pytest.raises(ForbiddenError):
        reader.create_table("default.more", numbers(0, 1).schema)
    with pytest.raises(UnauthorizedError):
        rest(server, token="no-key-of-this-server")
    assert attach(server, ACME).sql("SELECT count(*) FROM lake.default.theirs").fetchall() == [(2,)]


ERRORS = [
    ("not json", 400, "BadRequestException"),
    ("[" * 100_000, 400, "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"fly"}]}', 400, "BadRequestException"),
    ('{"requirements":[{"type":"assert-luck"}],"updates":[]}', 400, "BadRequestException"),
    ('{"requirements":[{"type":"assert-table-uuid","uuid":"x"}],"updates":[]}', 409,
     "CommitFailedException"),
    ('{"requirements":[{"type":"assert-create"}],"updates":[]}', 409, "CommitFailedException"),
    ('{"requirements":[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":7}],"updates":[]}',
     409, "CommitFailedException"),
    ('{"requirements":[],"updates":[{"action":"set-location","location":"/elsewhere"}]}', 400,
     "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"upgrade-format-version","format-version":3}]}', 400,
     "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"set-current-schema","schema-id":99}]}', 400,
     "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"add-schema","schema":{"type":"struct","fields":'
     '[{"id":-4,"name":"x","required":false,"type":"long"}]}}]}', 400, "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"set-properties","updates":{"varve.hwm.a":"9"}}]}', 400,
     "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"add-snapshot","snapshot":{"snapshot-id":5,'
     '"sequence-number":9,"timestamp-ms":1,"manifest-list":"/nowhere/list.avro",'
     '"summary":{"operation":"append"}}}]}', 400, "BadRequestException"),
    ('{"requirements":[],"updates":[{"action":"set-snapshot-ref","ref-name":"main","type":"branch",'
     '"snapshot-id":12345}]}', 400, "BadRequestException"),
]


def test_what_is_wrong_is_refused_in_icebergs_words(varve):
    catalog = rest(varve)
    table = catalog.create_table("default.t", numbers(0, 1).schema)
    table.append(numbers(0, 2))
    before = varve.get("/iceberg/v1/namespaces/default/tables/t").json()
    path = "/iceberg/v1/namespaces/default/tables/t"
    for body, status, kind in ERRORS:
        reply = varve.post(path, body)
        error = reply.json()["error"]
        assert (reply.status, error["code"], error["type"]) == (status, status, kind), (body, reply.body)
        assert error["message"]
    assert varve.get(path).json() == before
    for method, where, status, kind in [
            ("GET", "/namespaces/none", 404, "NoSuchNamespaceException"),
            ("GET", "/namespaces/default/tables/none", 404, "NoSuchTableException"),
            ("GET", "/namespaces/default/tables/..%2F..%2Fstate", 404, "NoSuchTableException"),
            ("DELETE", "/namespaces/default/tables/none", 404, "NoSuchTableException"),
            ("DELETE", "/namespaces/default", 400, "BadRequestException"),
            ("GET", "/config?warehouse=other", 404, "NoSuchWarehouseException"),
            ("GET", "/nothing", 404, "NotFoundException"),
            ("GET", "/namespaces/default/tables?pageSize=0", 400, "BadRequestException"),
            ("GET", "/namespaces/default/tables/t?snapshots=some", 400, "BadRequestException")]:
        reply = varve.request(method, "/iceberg/v1" + where)
        error = reply.json()["error"]
        assert (reply.status, error["code"], error["type"]) == (status, status, kind), (where, reply.body)
    assert varve.request("HEAD", path).status == 204
    assert varve.request("HEAD", path + "x").status == 404
    rename = varve.post("/iceberg/v1/tables/rename", {})
    assert rename.status == 406 and rename.json()["error"]["type"] == "UnsupportedOperationException"
    etag = varve.get(path).headers["etag"]
    assert varve.get(path, {"If-None-Match": etag}).status == 304
    table.append(numbers(2, 1))
    assert varve.get(path, {"If-None-Match": etag}).status == 200
    refs = varve.get(path + "?snapshots=refs").json()["metadata"]
    assert len(refs["snapshots"]) == 1


def test_lists_come_in_pages(varve):
    catalog = rest(varve, **{"rest-page-size": "2"})
    for name in "edcba":
        catalog.create_table(f"default.{name}", numbers(0, 1).schema)
    assert catalog.list_tables("default") == [("default", name) for name in "abcde"]
    page = varve.get("/iceberg/v1/namespaces/default/tables?pageSize=2").json()
    assert len(page["identifiers"]) == 2 and page["next-page-token"] == "b"


def test_a_table_with_cut_metadata_is_an_error_of_its_own(varve):
    catalog = rest(varve)
    catalog.create_table("default.whole", numbers(0, 1).schema)
    catalog.create_table("default.cut", numbers(0, 1).schema)
    newest = varve.data / "catalog/cut/metadata/v1.metadata.json"
    newest.write_bytes(newest.read_bytes()[:100])
    reply = varve.get("/iceberg/v1/namespaces/default/tables/cut")
    assert reply.status == 500 and "v1.metadata.json" in reply.json()["error"]["message"]
    assert commit(varve, "cut", [], [{"action": "set-properties", "updates": {"a": "b"}}]).status == 500
    catalog.load_table("default.whole").append(numbers(0, 1))
    assert catalog.list_tables("default") == [("default", "cut"), ("default", "whole")]


def test_register_takes_a_dropped_table_up_again(varve):
    catalog = rest(varve)
    catalog.create_table("default.t", numbers(0, 1).schema).append(numbers(0, 3))
    last = catalog.load_table("default.t").metadata_location
    catalog.drop_table("default.t")
    again = catalog.register_table("default.t", last)
    assert sorted_numbers(again) == [0, 1, 2]
    again.append(numbers(3, 1))
    assert sorted_numbers(catalog.load_table("default.t")) == [0, 1, 2, 3]
    with pytest.raises(BadRequestError, match="another table"):
        catalog.register_table("default.copy", last)
    with pytest.raises(BadRequestError):
        catalog.register_table("default.passwd", "/etc/passwd")
