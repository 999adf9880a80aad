"""Windows of writers' files in a running server, compacted while everyone reads: each row once at
every moment, whenever the server dies."""

import os
import shutil
import threading
import time

import deltalake
import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from pyiceberg.table import StaticTable

from varve import wait_until

HOUR = 3_600_000
WRITERS, FILES, ROWS = 3, 4, 500
QUICKLY = {"VARVE_COMPACTION_CHECK_INTERVAL_MS": "100", "VARVE_COMPACTION_GRACE_MS": "1500",
           "VARVE_WORKFLOW_RETRY_MIN_MS": "50"}
EACH_ONCE = "SELECT count(*) AS n, count(DISTINCT (n, writer)) AS different, sum(n) AS total FROM {}"
EXPECTED = {"n": WRITERS * FILES * ROWS, "different": WRITERS * FILES * ROWS,
            "total": WRITERS * sum(range(FILES * ROWS))}


def write(varve, ns, begin_ms):
    """Interleaved rows of some minutes; each file appears whole."""
    folder = varve.data / "data" / ns
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        for writer in range(WRITERS):
            path = folder / f"{begin_ms + number}-w{writer}-{number}.parquet"
            duckdb.sql(f"""COPY (SELECT make_timestamptz({begin_ms * 1000}::BIGINT)
                + INTERVAL (range * {WRITERS} + {writer}) SECOND AS ts, range::INTEGER AS n,
                'w{writer}' AS writer FROM range({number * ROWS}, {(number + 1) * ROWS}))
                TO '{path}.tmp' (FORMAT parquet)""")
            path.with_name(path.name + ".tmp").rename(path)


def sources(varve, ns):
    return len(list((varve.data / "data" / ns).glob("*.parquet")))


def is_compacted(varve, ns):
    states = [one["state"] for one in varve.get("/workflows?kind=compaction").json()["workflows"]]
    return states and set(states) == {"succeeded"} and sources(varve, ns) == 0


def old_hour():
    return (int(time.time() * 1000) // HOUR - 48) * HOUR


def test_each_row_is_there_once_at_every_moment(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_TARGET_FORMAT": "iceberg+delta"})
    write(varve, "shop/users", old_hour())
    answers, ended = [], threading.Event()

    def read():
        while not ended.is_set():
            answers.append(varve.sql(EACH_ONCE.format("shop.users"))[0])

    wait_until("all files to be seen or compacted", lambda: varve.sql(
        EACH_ONCE.format("shop.users"))[0] == EXPECTED)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until("the sources to be gone", lambda: is_compacted(varve, "shop/users"), 60)
    finally:
        ended.set()
        reader.join()
    assert answers and all(answer == EXPECTED for answer in answers)
    delta = deltalake.DeltaTable(str(varve.data / "catalog/shop.users"))
    assert delta.to_pyarrow_table().num_rows == EXPECTED["n"]
    status = varve.get("/compaction/status?namespace=shop/users").json()
    assert status["totalPendingFiles"] == 0
    first = varve.sql("SELECT count(*) AS n FROM information_schema.tables WHERE table_name = "
                      "'shop.users'")
    assert first == [{"n": 1}]
    varve.stop()
    done = varve.cli("query", EACH_ONCE.format("shop.users"), "--data", varve.data, "--format",
                     "json")
    assert b'"different":6000' in done.stdout


def test_a_table_as_of_a_version_and_a_time(start):
    varve = start(env=QUICKLY)
    write(varve, "users", old_hour())
    wait_until("the first window", lambda: is_compacted(varve, "users"), 60)
    version = varve.cli("table", "history", "users", "--data", varve.data).stdout.split()[2]
    between = varve.value("SELECT CAST(now() AS VARCHAR) AS t")
    write(varve, "users", old_hour() + HOUR)
    wait_until("both windows", lambda: is_compacted(varve, "users")
               and varve.value("SELECT count(*) AS n FROM users") == 2 * EXPECTED["n"], 60)
    rows = varve.value(f"SELECT count(*) AS n FROM users AT (TIMESTAMP => '{between}')")
    assert rows == EXPECTED["n"]
    assert 0 < varve.value(
        f"SELECT count(*) AS n FROM users AT (VERSION => {version.decode()})") <= EXPECTED["n"]
    refused = varve.post("/sql", {"sql": "SELECT * FROM users AT (VERSION => 12)"})
    assert refused.status == 404 and refused.json()["code"] == "NO_SUCH_SNAPSHOT"


@pytest.mark.parametrize("point", [
    "compaction.committed", "windows.settle.before_commit", "workflow.after_step",
    "workflow.after_save", "windows.dispatch.before_commit", "windows.end.before_commit",
    "catalog.between_formats"])
def test_killed_at_a_named_point_it_goes_on(start, point):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_TARGET_FORMAT": "iceberg+delta",
                       "VARVE_CRASH": f"{point}:1"})
    write(varve, "users", old_hour())
    wait_until("the crash", lambda: varve.process.poll() is not None, 60)
    del varve.env["VARVE_CRASH"]
    varve.start()
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]
    wait_until("the sources to be gone", lambda: is_compacted(varve, "users"), 60)
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]
    delta = deltalake.DeltaTable(str(varve.data / "catalog/users"))
    assert delta.to_pyarrow_table().num_rows == EXPECTED["n"]


def test_namespaces_are_migrated_while_they_are_read(start):
    varve = start(env=QUICKLY)
    now = int(time.time() * 1000)
    for ns in ("users", "shop/orders"):
        write(varve, ns, now)
    (varve.data / "data/broken").mkdir()
    (varve.data / f"data/broken/{now}-w-1.parquet").write_bytes(b"not Parquet at all")
    wait_until("the files to be seen", lambda: sum(
        window["fileCount"] for window in varve.get("/compaction/status").json()["windows"])
        == 2 * WRITERS * FILES + 1)
    done = varve.cli("migrate", "--to", "delta", "--data", varve.data, check=False)
    said = done.stdout.decode()
    assert done.returncode == 1 and "failed     broken  0 files" in said
    assert "error: broken: files in quarantine: 1; `varve compaction status broken`" in said
    assert "completed  shop/orders  12 files" in said and "completed  users  12 files" in said
    job = varve.get("/migrate/status").json()
    assert job["progressPercent"] == 100 and job["summary"]["entitiesMigrated"] == 2 * EXPECTED["n"]
    for name in ("users", "shop.orders"):
        assert varve.sql(EACH_ONCE.format(name)) == [EXPECTED]
        table = deltalake.DeltaTable(str(varve.data / "catalog" / name))
        assert table.to_pyarrow_table().num_rows == EXPECTED["n"]
    assert (varve.data / f"data/broken/{now}-w-1.parquet").exists()
    assert len(varve.get("/migrate/jobs").json()["history"]) == 1
    assert varve.post("/migrate/cancel", {}).status == 400
    bad = varve.post("/migrate", {"to": "hudi"})
    assert bad.status == 400 and bad.json()["code"] == "INVALID_FIELD"
    unknown = varve.cli("migrate", "nosuch", "--data", varve.data, check=False)
    assert unknown.returncode == 1 and b"there is no namespace 'nosuch'" in unknown.stdout
    assert "nosuch" not in varve.get("/compaction/status").body.decode()
    # A table that is there gets the other format over the same files.
    files = sorted((varve.data / "catalog/users").rglob("*.parquet"))
    again = varve.cli("migrate", "users", "--to", "iceberg", "--data", varve.data)
    assert b"completed  users" in again.stdout
    assert sorted((varve.data / "catalog/users").rglob("*.parquet")) == files
    newest = sorted((varve.data / "catalog/users/metadata").glob("v*.json"))[-1]
    iceberg = StaticTable.from_metadata(str(newest))
    assert iceberg.scan().count() == EXPECTED["n"]
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]


def test_a_migration_may_keep_the_writers_files(start):
    """They stay, are read no more, and are taken no second time, after a crash neither. Those
    that nobody has announced yet are found."""
    varve = start(env=QUICKLY)
    now = int(time.time() * 1000)  # a window that is not ready by itself
    write(varve, "users", now)
    body = {"to": "iceberg", "from": "auto", "namespaces": ["users"], "batchSize": 400,
            "deleteSource": False}
    started = varve.post("/migrate", body)
    assert started.status == 202 and started.json()["job"]["deleteSource"] is False
    wait_until("its end", lambda: varve.get("/migrate").json()["job"]["status"] == "completed", 60)
    for _ in range(2):
        assert sources(varve, "users") == WRITERS * FILES
        assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]
        varve.kill()
        varve.start()
    write(varve, "users", now + FILES)
    twice = {"n": 2 * EXPECTED["n"], "different": EXPECTED["n"], "total": 2 * EXPECTED["total"]}
    again = varve.cli("migrate", "users", "--keep-sources", "--data", varve.data)
    assert b"completed  users  12 files" in again.stdout
    assert varve.sql(EACH_ONCE.format("users")) == [twice]
    assert sources(varve, "users") == 2 * WRITERS * FILES
    for bad in ({"from": "native"}, {"batchSize": 0}, {"deleteSource": "no"}):
        refused = varve.post("/migrate", {**body, **bad}).json()
        assert refused["code"] == "INVALID_FIELD" and list(bad)[0] in refused["error"]
    varve.stop()
    left = varve.cli("compact", "--prefix", "data/users/", "--namespace", "users", "--data",
                     varve.data, check=False)
    assert left.returncode == 1 and b"waits for compaction" in left.stderr


def test_a_compaction_in_its_grace_keeps_what_is_to_be_kept_by_now(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_GRACE_MS": "3000"})
    write(varve, "users", old_hour())
    path = "/compaction/status?namespace=users"
    wait_until("the commit", lambda: varve.sql(EACH_ONCE.format("users")) == [EXPECTED] and any(
        one["state"] == "active" and one["step"] == "delete"
        for one in varve.get("/workflows?kind=compaction").json()["workflows"]), 60)
    before = sources(varve, "users")
    assert before > 0
    varve.cli("migrate", "users", "--keep-sources", "--data", varve.data)
    assert varve.get(path).json()["settings"]["deleteSources"] is False
    wait_until("the end of the grace", lambda: {one["state"] for one in varve.get(
        "/workflows?kind=compaction").json()["workflows"]} == {"succeeded"}, 60)
    assert sources(varve, "users") == before
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]


def test_a_migration_behind_a_compaction_that_is_under_way_has_its_format(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_MAX_WAIT_TIME_MS": "0"})
    begin = old_hour()
    folder = varve.data / "data/big"
    folder.mkdir(parents=True)
    for number in range(2):
        duckdb.sql(f"""COPY (SELECT make_timestamptz({begin * 1000}::BIGINT) AS ts, range AS n
            FROM range(300000)) TO '{folder}/{number}.tmp' (FORMAT parquet)""")
        (folder / f"{number}.tmp").rename(folder / f"{begin}-w{number}-1.parquet")
    wait_until("a compaction to iceberg",
               lambda: varve.get("/workflows?kind=compaction").json()["workflows"], 60)
    said = varve.cli("migrate", "big", "--to", "delta", "--data", varve.data).stdout
    assert b"completed  big" in said
    table = deltalake.DeltaTable(str(varve.data / "catalog/big"))
    assert table.to_pyarrow_table().num_rows == 600_000


def test_a_migration_ends_while_its_namespace_is_written(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_MIN_FILES_TO_COMPACT": "1000"})
    ended, written = threading.Event(), []

    def write_on():
        folder = varve.data / "data/busy"
        folder.mkdir(parents=True)
        while not ended.is_set():
            now = int(time.time() * 1000)
            path = folder / f"{now}-w-{len(written)}.parquet"
            pyarrow.parquet.write_table(pyarrow.table({"ts": [now], "n": [1]}), f"{path}.tmp")
            path.with_name(path.name + ".tmp").rename(path)
            written.append(path)
            ended.wait(0.05)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        wait_until("some files to be seen", lambda: sum(window["fileCount"] for window in varve.get(
            "/compaction/status").json()["windows"]) > 3)
        said = varve.cli("migrate", "busy", "--to", "delta", "--data", varve.data).stdout
        assert b"completed  busy" in said
    finally:
        ended.set()
        writer.join()
    wait_until("all rows", lambda: varve.value("SELECT sum(n) AS n FROM busy") == len(written))


def test_a_directory_that_is_copied_with_its_times_is_the_same_lake(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_GRACE_MS": "3600000"})
    write(varve, "users", old_hour())
    wait_until("the commit", lambda: [one["step"] for one in varve.get(
        "/workflows?kind=compaction").json()["workflows"]] == ["delete"], 60)
    varve.stop()
    backup = varve.data.with_name("backup")
    shutil.copytree(varve.data, backup)
    shutil.rmtree(varve.data)
    backup.rename(varve.data)
    varve.start()
    write(varve, "later", old_hour())
    wait_until("what came later", lambda: [one["step"] for one in varve.get(
        "/workflows?kind=compaction").json()["workflows"]] == ["delete"] * 2, 60)
    assert sources(varve, "users") == WRITERS * FILES
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]


def test_row_groups_without_rows_are_read(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_MIN_FILES_TO_COMPACT": "1000"})
    folder = varve.data / "data/gaps"
    folder.mkdir(parents=True)
    rows = pyarrow.table({"ts": [old_hour()] * 5, "n": [1] * 5})
    with pyarrow.parquet.ParquetWriter(folder / "a.tmp", rows.schema) as writer:
        for part in (rows, rows.slice(0, 0), rows):
            writer.write_table(part)
    pyarrow.parquet.write_table(rows.slice(0, 0), folder / "b.tmp")
    for name in ("a", "b"):
        (folder / f"{name}.tmp").rename(folder / f"{old_hour()}-{name}-1.parquet")
    wait_until("both files", lambda: sum(
        window["fileCount"] for window in varve.get("/compaction/status").json()["windows"]) == 2)
    answer = varve.post("/sql", {"sql": "SELECT sum(n) AS n FROM gaps"}).json()
    assert answer["data"] == [{"n": 10}] and not answer.get("warnings")


def put_one(varve, key, n):
    """A file of one row, whose size does not depend on it."""
    path = varve.data / key
    rows = pyarrow.table({"ts": pyarrow.array([old_hour() * 1000], pyarrow.timestamp("us", "UTC")),
                          "n": pyarrow.array([n], pyarrow.int32()), "writer": ["one"]})
    pyarrow.parquet.write_table(rows, f"{path}.tmp", use_dictionary=False, compression="none")
    path.with_name(path.name + ".tmp").rename(path)
    return path.stat().st_size


def put_again(varve, ns):
    """Each file, with the same bytes: touched, or replaced."""
    for number, path in enumerate(sorted((varve.data / "data" / ns).glob("*.parquet"))):
        if number % 2 == 0:
            os.utime(path)
            continue
        aside = path.with_name(path.name + ".tmp")
        aside.write_bytes(path.read_bytes())
        aside.rename(path)


def wait_until_only_the_sources_end_is_left(varve):
    wait_until("the verification", lambda: all(
        one["step"] == "delete" or one["state"] == "succeeded" for one in varve.get(
            "/workflows?kind=compaction").json()["workflows"]))


def wait_for_announcements(varve, sign):
    """Of what was put before: a file that is put now is announced no sooner."""
    (varve.data / "data/signs").mkdir(exist_ok=True)
    put_one(varve, f"data/signs/{int(time.time() * 1000)}-w-{sign}.parquet", sign)
    wait_until("the sign", lambda: sum(
        window["fileCount"] for window in varve.get("/compaction/status?namespace=signs").json()[
            "windows"]) == sign)


@pytest.mark.parametrize("keep", [False, True])
def test_the_same_bytes_put_again_are_no_new_rows(start, keep):
    """A source that stays, for its grace or for good, is known by its bytes."""
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_GRACE_MS": "3600000",
                       "VARVE_COMPACTION_MAX_WAIT_TIME_MS": "3600000"})
    begin = int(time.time() * 1000)  # a window that is not ready by itself
    write(varve, "users", begin)
    one = f"data/users/{begin}-one-1.parquet"
    size = put_one(varve, one, 70_001)
    keep_sources = ["--keep-sources"] if keep else []
    varve.cli("migrate", "users", "--to", "iceberg", *keep_sources, "--data", varve.data)
    wait_until_only_the_sources_end_is_left(varve)
    expected = {key: EXPECTED[key] + more for key, more in
                (("n", 1), ("different", 1), ("total", 70_001))}
    query = EACH_ONCE.format("users")
    assert varve.sql(query) == [expected]
    answers, ended = [], threading.Event()

    def read():
        while not ended.is_set():
            answers.append(varve.sql(query)[0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for sign in (1, 2):
            put_again(varve, "users")
            wait_for_announcements(varve, sign)
    finally:
        ended.set()
        reader.join()
    assert answers and all(answer == expected for answer in answers)

    def rows_of_the_table():
        newest = sorted((varve.data / "catalog/users/metadata").glob("v*.json"))[-1]
        return StaticTable.from_metadata(str(newest)).scan().count()

    varve.post("/compaction/run", {"namespace": "users"})
    varve.cli("migrate", "users", *keep_sources, "--data", varve.data)
    assert rows_of_the_table() == expected["n"] and varve.sql(query) == [expected]
    varve.kill()
    put_again(varve, "users")
    varve.start()
    assert varve.sql(query) == [expected]
    wait_for_announcements(varve, 3)
    varve.cli("migrate", "users", *keep_sources, "--data", varve.data)
    assert rows_of_the_table() == expected["n"] and varve.sql(query) == [expected]
    # Other bytes are other rows, be there as many.
    assert put_one(varve, one, 70_002) == size
    more = {"n": expected["n"] + 1, "different": expected["different"] + 1,
            "total": expected["total"] + 70_002}
    assert varve.sql(query) == [more]
    varve.cli("migrate", "users", *keep_sources, "--data", varve.data)
    assert rows_of_the_table() == more["n"] and varve.sql(query) == [more]
    wait_until_only_the_sources_end_is_left(varve)
    # The server stopped, they are claimed by name no more often.
    put_again(varve, "users")
    varve.stop()
    refused = varve.cli("compact", one, "--namespace", "users", "--to", "iceberg", "--data",
                        varve.data, check=False)
    assert refused.returncode == 1 and b"compacted before" in refused.stderr


def test_what_is_put_again_within_the_grace_goes_with_it(start):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_GRACE_MS": "4000"})
    write(varve, "users", int(time.time() * 1000))
    varve.cli("migrate", "users", "--to", "iceberg", "--data", varve.data)
    wait_until_only_the_sources_end_is_left(varve)
    put_again(varve, "users")
    wait_until("the sources to be gone", lambda: is_compacted(varve, "users"), 60)
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]


@pytest.mark.parametrize("point", ["compaction.step_done:5", "windows.twin.before_commit:1"])
def test_killed_while_it_looks_at_bytes_it_knows_them_all_the_same(start, point):
    varve = start(env={**QUICKLY, "VARVE_COMPACTION_GRACE_MS": "3600000", "VARVE_CRASH": point})
    write(varve, "users", int(time.time() * 1000))
    varve.post("/migrate", {"to": "iceberg", "namespaces": ["users"]})

    def restart_after_the_crash():
        wait_until("the crash", lambda: varve.process.poll() is not None, 60)
        del varve.env["VARVE_CRASH"]
        varve.start()

    if point.startswith("compaction"):  # at the end of the verification
        restart_after_the_crash()
    wait_until("the verification", lambda: [one["step"] for one in varve.get(
        "/workflows?kind=compaction").json()["workflows"]] == ["delete"], 60)
    put_again(varve, "users")
    if point.startswith("windows"):
        restart_after_the_crash()
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]
    wait_for_announcements(varve, 1)
    assert varve.sql(EACH_ONCE.format("users")) == [EXPECTED]
