"""Materialised views in a running server: they follow their tables, are whole at every moment, and
have each row once, whatever is compacted and whenever the server dies."""

import subprocess
import threading
import time

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

from varve import BINARY, wait_until

HOUR = 3_600_000
ROWS = 200
QUICKLY = {"VARVE_COMPACTION_CHECK_INTERVAL_MS": "100", "VARVE_COMPACTION_GRACE_MS": "1000",
           "VARVE_WORKFLOW_RETRY_MIN_MS": "50", "VARVE_VIEW_DEBOUNCE_MS": "100",
           "VARVE_VIEW_MAX_WAIT_MS": "500", "VARVE_VIEW_RETRY_MS": "100"}
WATCHED = {**QUICKLY, "VARVE_COMPACTION_ENABLED": "false"}
EVEN = "SELECT n, writer, ts FROM shop.orders WHERE n % 2 = 0"
COUNTS = "SELECT writer, count(*) AS n, sum(n) AS total FROM shop.orders GROUP BY writer"
EACH_ONCE = "SELECT count(*) AS n, count(DISTINCT n) AS different, sum(n) AS total FROM {}"


def old_hour():
    return (int(time.time() * 1000) // HOUR - 48) * HOUR


def write(varve, number, ns="shop/orders", columns="", writer="w"):
    """The number-th file: rows that no other has; it appears whole."""
    folder = varve.data / "data" / ns
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{old_hour() + number}-{writer}-{number}.parquet"
    duckdb.connect().sql(f"""COPY (SELECT make_timestamptz({old_hour() * 1000}::BIGINT)
        + INTERVAL (range) SECOND AS ts, range::INTEGER AS n, '{writer}' AS writer {columns}
        FROM range({number * ROWS}, {(number + 1) * ROWS})) TO '{path}.tmp' (FORMAT parquet)""")
    path.with_name(path.name + ".tmp").rename(path)
    return path


def make(varve, name, sql, **more):
    """A view, once its sources are seen."""
    def made():
        reply = varve.post("/views", {"name": name, "sql": sql, **more})
        if reply.status == 400 and reply.json()["code"] == "VIEW_SOURCE_UNKNOWN":
            return None
        assert reply.status in (200, 201), reply.body
        return reply.json()
    return wait_until("the view to be made", made)


def file_of(varve, name):
    return varve.data / "_views" / name / "data.parquet"


def rows_of(path):
    """Opened once: whoever opens it twice may meet two outputs, each whole."""
    return pyarrow.parquet.read_table(pyarrow.BufferReader(path.read_bytes()))


def read(path):
    values = rows_of(path).column("n").to_pylist()
    return len(values), len(set(values)), sum(values)


def evens(files):
    values = range(0, files * ROWS, 2)
    return len(values), len(values), sum(values)


def has_evens(varve, files, name="even"):
    path = file_of(varve, name)
    return path.exists() and read(path) == evens(files)


def refreshes(varve):
    """What the run step of each refresh has said, newest first."""
    details = []
    for one in varve.get("/workflows?kind=view-refresh").json()["workflows"]:
        steps = varve.get(f"/workflows/{one['id']}").json()["steps"]
        details += [step["detail"] for step in steps if step["step"] == "run" and step["ended"]]
    return details


def test_a_streaming_view_follows_its_table(start):
    varve = start(env=WATCHED)
    write(varve, 0)
    view = make(varve, "counts", COUNTS)
    assert view["sources"] == ["shop.orders"] and view["table"] == "view.counts"
    path = file_of(varve, "counts")
    wait_until("the first output", path.exists)
    for number in range(1, 4):
        write(varve, number, writer=f"w{number % 2}")
        expected = wait_until("the file to be seen", lambda: (
            lambda rows: rows if sum(row["n"] for row in rows) == (number + 1) * ROWS else None)(
            varve.sql(COUNTS + " ORDER BY writer")))
        wait_until("the next output", lambda: sorted(
            (row["writer"], row["n"], float(row["total"])) for row in rows_of(path).to_pylist())
            == [(row["writer"], row["n"], float(row["total"])) for row in expected])
    assert sum(row[1] for row in duckdb.sql(f"FROM '{path}'").fetchall()) == 4 * ROWS
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == ["writer", "n", "total"] and table.num_rows == 3
    shown = wait_until("the view to be idle", lambda: (
        lambda one: one if one["state"] == "idle" else None)(varve.get("/views/counts").json()))
    assert shown["output"]["rows"] == 3 and shown["output"]["key"] == "_views/counts/data.parquet"
    assert shown["pendingChanges"] == 0 and shown["error"] is None
    assert varve.value("SELECT sum(n) AS n FROM view.counts") == 4 * ROWS
    assert varve.value("SELECT count(*) AS n FROM information_schema.tables "
                       "WHERE table_name = 'view.counts'") == 1
    status = varve.get("/views/status").json()
    assert [status[f"{state}MVs"] for state in ("pending", "processing", "dispatched")] == [0, 0, 0]
    assert status["mvs"][0]["name"] == "counts"
    varve.stop()
    done = varve.cli("query", "SELECT sum(n) AS n FROM view.counts", "--data", varve.data,
                     "--format", "csv")
    assert done.stdout.split() == [b"n", str(4 * ROWS).encode()]


def test_views_of_tenants_are_apart(start):
    varve = start(env=WATCHED)
    acme = {"X-Namespace": "acme"}
    write(varve, 0, ns="../ns/acme/data/users")
    body = {"name": "mine", "sql": "SELECT n FROM users"}
    wait_until("the tenant's view", lambda: varve.post("/views", body, acme).status == 201)
    wait_until("its output", (varve.data / "ns/acme/_views/mine/data.parquet").exists)
    assert varve.get("/views").json() == {"views": []}
    assert varve.get("/views/mine").status == 404
    wait_until("it to be read", lambda: varve.post(
        "/sql", {"sql": "SELECT count(*) AS n FROM view.mine"}, acme).json().get("data")
        == [{"n": ROWS}])
    assert varve.post("/sql", {"sql": "SELECT * FROM view.mine"}).status == 400


def test_what_cannot_be_a_view_is_refused(start):
    varve = start(env=WATCHED)
    write(varve, 0)
    make(varve, "good", EVEN, mode="manual")

    def refused(status, code, name="v", sql=EVEN, **more):
        reply = varve.post("/views", {"name": name, "sql": sql, **more})
        assert (reply.status, reply.json()["code"]) == (status, code), reply.body
        return reply.json()["error"]

    for name in ("", "..", "a/b", "A", "status", "x" * 65):
        refused(400, "INVALID_VIEW_NAME", name=name)
    assert "Parser Error" in refused(400, "SQL_ERROR", sql="SELEC n FROM shop.orders")
    assert "nothere" in refused(400, "SQL_ERROR", sql="SELECT nothere FROM shop.orders")
    refused(400, "SQL_NOT_ALLOWED", sql="DROP TABLE shop.orders")
    refused(400, "SQL_NOT_ALLOWED", sql="SELECT 1; SELECT 2")
    refused(400, "SQL_NOT_ALLOWED", sql="EXPLAIN SELECT n FROM shop.orders")
    refused(403, "SQL_FORBIDDEN", sql="SELECT * FROM read_parquet('/etc/passwd')")
    assert "no.such" in refused(400, "VIEW_SOURCE_UNKNOWN", sql="SELECT * FROM no.such")
    refused(400, "VIEW_WITHOUT_SOURCES", sql="SELECT 1 AS one")
    refused(400, "VIEW_WITHOUT_SOURCES", sql="SELECT type FROM events")
    refused(400, "VIEW_OF_VIEW", sql="SELECT * FROM view.good")
    refused(400, "VIEW_OF_CATALOG", sql="SELECT * FROM duckdb_tables()")
    refused(400, "INVALID_FIELD", mode="often")
    refused(400, "INVALID_FIELD", debounceMs="1s")
    for sql in ("SELECT count(*) FROM shop.orders", "SELECT DISTINCT n FROM shop.orders",
                "SELECT n FROM shop.orders ORDER BY n", "SELECT n FROM shop.orders LIMIT 1",
                "SELECT n, sum(n) OVER () FROM shop.orders", "SELECT now(), n FROM shop.orders",
                "SELECT random() AS r FROM shop.orders", "SELECT current_date, n FROM shop.orders",
                "SELECT a.n FROM shop.orders a JOIN shop.orders b USING (n)",
                "SELECT n FROM shop.orders WHERE n IN (SELECT max(n) FROM shop.orders)",
                "WITH o AS (SELECT * FROM shop.orders) SELECT n FROM o",
                "SELECT n FROM shop.orders UNION ALL SELECT n FROM shop.orders",
                "SELECT n FROM shop.orders TABLESAMPLE 10%", "SELECT n FROM shop.orders GROUP BY n",
                "SELECT unnest([n]) FROM shop.orders", "SELECT list(n ORDER BY n) FROM shop.orders", "SELECT type FROM events",
                "SELECT max(n) FILTER (n > 1) FROM shop.orders", "FROM shop.orders, range(3)"):
        refused(400, "VIEW_NOT_INCREMENTAL", sql=sql, refresh="incremental", mode="manual")
    for sql in ("SELECT * FROM shop.orders", "FROM shop.orders AS o WHERE o.n BETWEEN 1 AND 5",
                "SELECT n + 1 AS m, upper(writer) || 'x' AS u, ts::DATE AS d, "
                "CASE WHEN n IN (1, 2) THEN 'a' ELSE coalesce(writer, '-') END AS c, "
                "list_transform([n], x -> x + 1) AS l FROM shop.orders WHERE writer LIKE 'w%' "
                "AND NOT (n IS NULL)  -- with a remark\n ;"):
        make(varve, "fine", sql, refresh="incremental", mode="manual")
    assert varve.post("/views", b"{").json()["code"] == "INVALID_JSON"
    for method, path in (("GET", "/views/none"), ("DELETE", "/views/none"),
                         ("POST", "/views/none/refresh")):
        reply = varve.request(method, path)
        assert (reply.status, reply.json()["code"]) == (404, "VIEW_NOT_FOUND")


def test_the_file_is_whole_at_every_moment(start):
    varve = start(env=WATCHED)
    write(varve, 0)
    make(varve, "even", EVEN)
    path = file_of(varve, "even")
    wait_until("the first output", path.exists)
    seen, problems, ended = set(), [], threading.Event()
    allowed = {evens(files) for files in range(1, 13)}

    def look():
        while not ended.is_set():
            try:
                seen.add(read(path))
                seen.add(tuple(varve.sql(EACH_ONCE.format("view.even"))[0].values()))
            except Exception as error:  # a reader must see no failure
                problems.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for number in range(1, 12):
            write(varve, number)
            wait_until("the next output", lambda: has_evens(varve, number + 1))
    finally:
        ended.set()
        reader.join()
    assert not problems and seen <= allowed and len(seen) > 3


def test_an_incremental_view_has_each_row_once_while_its_table_is_compacted(start):
    varve = start(env=QUICKLY)
    write(varve, 0)
    make(varve, "even", EVEN, refresh="incremental")
    for number in range(1, 25):
        write(varve, number)
        if number % 4 == 0:
            wait_until("the view to follow", lambda: has_evens(varve, number + 1), 60)
    wait_until("all to be compacted", lambda: not list(
        (varve.data / "data/shop/orders").glob("*.parquet")), 60)
    make(varve, "whole", EVEN, mode="manual")
    assert varve.post("/views/whole/refresh", {}).status == 202
    wait_until("the full one", lambda: has_evens(varve, 25, "whole"))
    varve.post("/views/even/refresh", {})
    wait_until("the refresh", lambda: varve.get("/views/even").json()["state"] == "idle", 60)
    assert read(file_of(varve, "even")) == read(file_of(varve, "whole")) == evens(25)
    details = refreshes(varve)
    assert sum(detail["type"] == "incremental" for detail in details) >= 2, details


def test_other_columns_make_a_full_refresh(start):
    varve = start(env=WATCHED)
    write(varve, 0)
    make(varve, "all", "SELECT * FROM shop.orders", refresh="incremental")
    path = file_of(varve, "all")
    wait_until("the first output", path.exists)
    write(varve, 1)
    wait_until("the second", lambda: read(path)[0] == 2 * ROWS)
    assert refreshes(varve)[0]["type"] == "incremental"
    write(varve, 2, columns=", 'new' AS extra")
    wait_until("the third", lambda: read(path)[0] == 3 * ROWS)
    assert refreshes(varve)[0]["type"] == "full"
    assert rows_of(path).column("extra").null_count == 2 * ROWS
    write(varve, 3)
    wait_until("the fourth", lambda: read(path)[0] == 4 * ROWS)
    assert refreshes(varve)[0]["type"] == "incremental"
    next(iter((varve.data / "data/shop/orders").glob("*-3.parquet"))).unlink()
    wait_until("what has gone to go", lambda: read(path)[0] == 3 * ROWS)
    assert "gone" in refreshes(varve)[0]["why"]


def crash_points():
    """Each of ours at the second refresh, and those behind the steps of two refreshes."""
    listed = subprocess.run([BINARY, "debug", "crash-points"], capture_output=True, check=True)
    ours = [name for name in listed.stdout.decode().split() if name.startswith("view.")]
    assert len(ours) >= 5
    return [f"{name}:2" for name in ours] + ["workflow.after_step:6", "workflow.after_save:6",
                                             "workflow.after_save:7"]


@pytest.mark.parametrize("refresh", ["full", "incremental"])
@pytest.mark.parametrize("point", crash_points())
def test_killed_at_a_named_point_it_goes_on(start, point, refresh):
    varve = start(env={**WATCHED, "VARVE_CRASH": point})
    write(varve, 0)
    make(varve, "even", EVEN, refresh=refresh)
    wait_until("the first output", lambda: has_evens(varve, 1))
    write(varve, 1)
    wait_until("the crash", lambda: varve.process.poll() is not None, 60)
    assert read(file_of(varve, "even")) in (evens(1), evens(2))
    del varve.env["VARVE_CRASH"]
    varve.start()
    wait_until("the second output", lambda: has_evens(varve, 2))
    write(varve, 2)
    wait_until("the third", lambda: has_evens(varve, 3))
    wait_until("the view to be free", lambda: varve.get("/views/even").json()["state"] == "idle")
    assert varve.sql(EACH_ONCE.format("view.even"))[0]["n"] == evens(3)[0]


def test_killed_again_and_again_it_has_each_row_once(start):
    varve = start(env=QUICKLY)
    write(varve, 0)
    make(varve, "even", EVEN, refresh="incremental")
    for number in range(1, 9):
        write(varve, number)
        deadline = time.monotonic() + 0.15 * number
        wait_until("a moment", lambda: time.monotonic() > deadline)
        varve.kill()
        if file_of(varve, "even").exists():
            count, different, _ = read(file_of(varve, "even"))
            assert count == different
        varve.start()
    wait_until("all rows", lambda: has_evens(varve, 9), 60)


def test_the_commands(start):
    varve = start(env=WATCHED)
    url = ("--url", f"http://127.0.0.1:{varve.port}")
    assert varve.cli("view", "ls", *url).stdout == b"no views\n"
    write(varve, 0)
    make(varve, "even", EVEN, mode="manual")
    shown = varve.cli("view", "create", "even", "--sql", EVEN, "--incremental", "--mode", "manual",
                      "--debounce", "500", *url).stdout.decode()
    assert "incremental" in shown and "debounce 500 ms" in shown and "view.even" in shown
    assert "100 rows" in varve.cli("view", "refresh", "even", *url).stdout.decode()
    write(varve, 1)
    wait_until("the file to be seen", lambda: varve.value(
        "SELECT count(*) AS n FROM shop.orders") == 2 * ROWS)
    assert b"200 rows" in varve.cli("view", "refresh", "even", "--full", *url).stdout
    assert b"even" in varve.cli("view", "ls", *url).stdout
    assert b'"full"' in varve.cli("view", "show", "even", "--json", *url).stdout
    refused = varve.cli("view", "create", "n", "--sql", "SELECT count(*) FROM shop.orders",
                        "--incremental", *url, check=False)
    assert refused.returncode == 1 and b"new rows alone" in refused.stderr
    assert b"dropped" in varve.cli("view", "drop", "even", *url).stdout
    assert not list(varve.data.glob("_views/even/**/*.parquet"))
    assert varve.cli("view", "show", "even", *url, check=False).returncode == 1
    assert b"Examples:" in varve.cli("view", "--help").stdout
