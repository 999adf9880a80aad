"""`varve compact` on real files: after every step, and after a kill at every step, readers that are
not ours open the table and see it before or after; in the end each row is there once."""

import datetime
import json
import signal
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake import COLUMNS, Lake, crash_points
from table_readers import multiset
from varve import BINARY, Server

UTC = datetime.timezone.utc


def rows(writer, file, count=40):
    """In two hours; every second writer's are not sorted, and in other units and widths."""
    start = datetime.datetime(2026, 2, 2, 14, tzinfo=UTC) + datetime.timedelta(minutes=file)
    order = range(count) if writer % 2 == 0 else reversed(range(count))
    ts = [start + datetime.timedelta(seconds=100 * i, milliseconds=writer) for i in order]
    return pa.table({
        "ts": pa.array(ts, pa.timestamp("us" if writer % 2 else "ms", tz="UTC")),
        "id": [f"{writer}-{file}-{i:030}" for i in range(count)],
        "v": pa.array([None if i % 5 == 4 else i * 1.5 - 3 for i in range(count)], pa.float64()),
        "n": pa.array(range(count), pa.int64() if writer else pa.int32()),
    })


class Compacted(Lake):
    """One namespace of writers' files, `users`."""

    def put_window(self, writers=3, files=2, first=0, prefix="data/users"):
        parts = {f"{prefix}/{1770040800000 + f}-w{w}-{f}.parquet": rows(w, f)
                 for w in range(writers) for f in range(first, first + files)}
        for key, part in parts.items():
            self.put(key, part)
        return parts

    def compact(self, *args, **more):
        return self.varve("compact", *args, **more)

    def window(self, *args, to="iceberg+delta", **more):
        return self.compact("--prefix", "data/users/", "--namespace", "users", "--to", to, *args, **more)

    def users(self, parts, iceberg=True, delta=True):
        self.agree("users", parts, iceberg=iceberg, delta=delta)

    def before_or_after(self, parts, before=()):
        """What every reader of every format that is there sees."""
        old = sorted((row for part in before for row in multiset(part, COLUMNS)), key=repr)
        new = sorted([row for part in parts for row in multiset(part, COLUMNS)] + old, key=repr)
        root = self.root / "catalog/users"
        iceberg = (root / "metadata/version-hint.text").exists() and "null" not in self.snapshot()
        delta = bool(list(root.glob("_delta_log/*.json")))
        for name, seen in self.table("users", iceberg, delta).readers(COLUMNS).items():
            assert seen in (old, new), (name, len(seen), len(old), len(new))

    def snapshot(self):
        root = self.root / "catalog/users/metadata"
        metadata = json.loads((root / f"v{(root / 'version-hint.text').read_text()}.metadata.json").read_text())
        return json.dumps(metadata.get("current-snapshot-id"))

    def sources(self, prefix="data/users"):
        return sorted(str(p.relative_to(self.root)) for p in (self.root / prefix).rglob("*.parquet")) \
            if (self.root / prefix).exists() else []


@pytest.fixture
def lake(tmp_path):
    return Compacted(tmp_path / "lake")


def test_a_window_becomes_one_table_in_both_formats(lake):
    parts = lake.put_window()
    done = lake.window("--json")
    lake.users(parts.values())
    assert lake.sources() == []
    steps = {step["step"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["commit"]["detail"]["rows"] == 240
    assert steps["delete"]["detail"]["deleted"] == 6
    more = lake.put_window(first=5)
    lake.window()
    lake.users([*parts.values(), *more.values()])


@pytest.mark.parametrize("to", ["iceberg", "delta"])
def test_one_format_alone(lake, to):
    parts = lake.put_window()
    lake.window("--partition", "day", to=to)
    lake.users(parts.values(), iceberg=to == "iceberg", delta=to == "delta")


def test_plain_files_are_hive_paths(lake):
    parts = lake.put_window()
    lake.window(to="parquet")
    assert not (lake.root / "catalog").exists()
    found = pq.read_table(lake.root / "data/users", partitioning=None)
    assert multiset(found, COLUMNS) == sorted(
        (row for part in parts.values() for row in multiset(part, COLUMNS)), key=repr)
    assert all("/year=2026/month=02/day=02/hour=" in key for key in lake.sources())


def test_a_plan_changes_nothing(lake):
    lake.put_window()
    plan = json.loads(lake.window("--plan").stdout)
    assert (plan["files"], plan["rows"], plan["table"]) == (6, 240, "users")
    assert len(lake.sources()) == 6
    assert not (lake.root / "catalog").exists()


def test_what_cannot_be_read_stays_and_is_named(lake):
    parts = lake.put_window()
    (lake.root / "data/users/broken.parquet").write_bytes(b"PAR1 and nothing behind")
    lake.put("data/users/keyless.parquet", rows(0, 0).drop_columns(["ts"]))
    lake.put("data/users/other.parquet", rows(0, 0).set_column(3, "n", pa.array(["x"] * 40)))
    done = lake.window()
    lake.users(parts.values())
    assert lake.sources() == [f"data/users/{name}.parquet" for name in ("broken", "keyless", "other")]
    for name in ("broken", "keyless", "other"):
        assert f"data/users/{name}.parquet" in done.stdout


def test_files_that_were_registered_in_place_are_replaced(lake):
    parts = {key: part.set_column(0, "ts", part["ts"].cast(pa.timestamp("us", tz="UTC")))
             for key, part in lake.put_window().items()}
    for key, part in parts.items():
        lake.put(key, part)
    subprocess.run([BINARY, "table", "register", "users", "--prefix", "data/users/", "--data", lake.root],
                   check=True, capture_output=True)
    lake.users(parts.values(), delta=False)
    before = lake.snapshot()
    lake.window(to="iceberg")
    lake.users(parts.values(), delta=False)
    assert len(lake.sources()) == 6, "older snapshots need them"
    then = subprocess.run([BINARY, "table", "files", "users", "--as-of", before, "--data", lake.root],
                          check=True, capture_output=True, text=True).stdout
    assert len(then.splitlines()) == 6


@pytest.mark.parametrize("point", crash_points("compaction.", "iceberg.", "delta.", "catalog."))
def test_a_kill_at_every_point(lake, point):
    parts = lake.put_window(writers=2)
    done = lake.window(crash=f"{point}:1", check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    lake.before_or_after(parts.values())
    lake.compact("--resume")
    lake.users(parts.values())
    assert lake.sources() == []
    # The next window meets a table with rows, and is ended by the compaction that comes after it.
    more = lake.put_window(writers=2, first=5)
    lake.window(crash=f"{point}:1", check=False)
    lake.before_or_after(more.values(), before=parts.values())
    lake.put("data/users/last.parquet", rows(0, 9))
    lake.window()
    lake.users([*parts.values(), *more.values(), rows(0, 9)])
    assert lake.sources() == []


def sql_rows(lake):
    """What the program itself reads of the namespace: its files, and what has become of them."""
    out = lake.root.parent / "seen.parquet"
    out.unlink(missing_ok=True)
    lake.varve("query", "SELECT ts, id, v, n FROM users", "--format", "parquet", "-o", out)
    return multiset(pq.read_table(out), COLUMNS)


@pytest.mark.parametrize("point", crash_points("compaction.", "workflow.", "store."))
def test_a_kill_of_a_compaction_to_plain_files(lake, point):
    """Plain files have no commit: who lists the folder sees them beside their sources until these
    are deleted. The program itself reads each row once at any moment."""
    parts = lake.put_window(writers=2)
    expected = sorted((row for part in parts.values() for row in multiset(part, COLUMNS)), key=repr)
    for hit in (1, 3):
        done = lake.window(to="parquet", crash=f"{point}:{hit}", check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        assert sql_rows(lake) == expected
        lake.compact("--resume", crash=f"{point}:1", check=False)
        assert sql_rows(lake) == expected
        lake.compact("--resume")
        assert sql_rows(lake) == expected
        plain = pq.read_table(lake.root / "data/users", partitioning=None)
        assert multiset(plain, COLUMNS) == expected, "a twin was left"
        more = lake.put_window(writers=2, first=5)
        expected = sorted(expected + [row for part in more.values() for row in multiset(part, COLUMNS)],
                          key=repr)
        assert sql_rows(lake) == expected
        if hit == 3:
            return


def test_a_server_shows_its_workflows_and_keeps_others_out(lake):
    lake.put_window()
    server = Server(lake.root, {"VARVE_COMPACTION_ENABLED": "false"})
    try:
        assert server.get("/workflows").json() == {"workflows": []}
        assert server.get("/workflows?state=nonsense").status == 400
        assert server.get("/workflows/01ABC").status == 404
        assert server.post("/workflows/01ABC/cancel", b"").status == 404
        assert b"no workflows" in server.cli("workflow", "ls", "--data", lake.root).stdout
        assert b"varve_workflows{state=\"active\"} 0" in server.get("/metrics").body
        refused = lake.window(check=False)
        assert refused.returncode == 1 and "is in use by another varve process" in refused.stderr, refused.stderr
    finally:
        server.stop()
    assert len(lake.sources()) == 6


def newest_metadata(root):
    return max(root.glob("metadata/v*.metadata.json"), key=lambda p: int(p.name[1:].split(".")[0]))


def newest_list(root):
    metadata = json.loads(newest_metadata(root).read_text())
    return next(root / "metadata" / snapshot["manifest-list"].rsplit("/", 1)[1]
                for snapshot in metadata["snapshots"]
                if snapshot["snapshot-id"] == metadata["current-snapshot-id"])


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def say_99(root):
    (root / "metadata/version-hint.text").write_text("99")


DAMAGES = {  # format, what is done to the table, what every refusal names
    "metadata gone": ("iceberg", lambda root: newest_metadata(root).unlink(), "version-hint.text"),
    "metadata empty": ("iceberg", lambda root: newest_metadata(root).write_bytes(b""),
                       ".metadata.json"),
    "hint ahead": ("iceberg", say_99, "v99.metadata.json"),
    "manifest list cut": ("iceberg", lambda root: cut(newest_list(root)), "snap-"),
    "commit gone": ("delta", lambda root: (root / f"_delta_log/{1:020}.json").unlink(),
                    "version 1 is missing"),
    "commit empty": ("delta", lambda root: (root / f"_delta_log/{3:020}.json").write_bytes(b""),
                     f"{3:020}.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named_and_nothing_is_built_on_it(lake, damage):
    to, break_it, named = DAMAGES[damage]
    for file in range(3):
        lake.put_window(writers=1, files=1, first=file)
        lake.window(to=to)
    root = lake.root / "catalog/users"
    assert lake.varve("doctor").returncode == 0
    break_it(root)
    files = sorted(root.rglob("*"))
    late = lake.put_window(writers=1, files=1, first=7)
    for done in (lake.varve("query", "SELECT count(*) FROM users", check=False),
                 lake.run("show", "users", check=False), lake.window(to=to, check=False)):
        assert done.returncode != 0 and named in done.stdout + done.stderr, done
    assert sorted(path for path in root.rglob("*") if "compacted-" not in path.name) \
        == [path for path in files if "compacted-" not in path.name]
    assert all((lake.root / key).exists() for key in late)
    doctor = lake.varve("doctor", check=False)
    assert doctor.returncode == 1 and "table users: " in doctor.stdout and named in doctor.stdout


def test_a_data_file_that_is_gone_is_named_by_doctor(lake):
    lake.put_window()
    lake.window(to="iceberg")
    gone = next((lake.root / "catalog/users").rglob("*.parquet"))
    gone.unlink()
    doctor = lake.varve("doctor", check=False)
    assert doctor.returncode == 1 and f"'{gone.relative_to(lake.root)}' is missing" in doctor.stdout


def test_a_format_that_the_table_lacks_is_not_passed_over_in_silence(lake):
    lake.put_window(files=1)
    assert "warning" not in lake.window(to="iceberg").stdout
    lake.put_window(files=1, first=3)
    assert "varve table publish users --to delta" in lake.window(to="iceberg+delta").stdout
    lake.run("publish", "users", "--to", "delta")
    lake.put_window(files=1, first=5)
    assert "warning" not in lake.window(to="iceberg+delta").stdout


def test_no_compaction_waits_for_the_grace_of_another(lake):
    parts = lake.put_window()
    waiting = subprocess.Popen(
        [BINARY, "compact", "--prefix", "data/users/", "--namespace", "users", "--to", "iceberg",
         "--grace", "1h", "--data", str(lake.root)], stderr=subprocess.PIPE)
    assert b"waiting until" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(60) == 1
    for key, part in parts.items():
        lake.put(key.replace("users", "others"), part)
    lake.compact("--prefix", "data/others/", "--namespace", "others", "--to", "iceberg")
    lake.agree("others", list(parts.values()))
    # What waits for its deletion is not taken again.
    later = lake.put_window(first=2)
    lake.window(to="iceberg")
    lake.users([*parts.values(), *later.values()], delta=False)
    again = lake.window(to="iceberg", check=False)
    assert again.returncode == 1 and "waits for compaction" in again.stderr
    assert len(list((lake.root / "data/users").iterdir())) == len(parts)
