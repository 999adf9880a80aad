"""A disk without room, or that may not be written: clients hear of it, the process lives on, what
was acknowledged stays, and once there is room again the server goes on by itself."""

import os
import subprocess

import pytest

from small_disk import SmallDisk
from varve import Server, wait_until

TS = 1706878800000
SMALL_JOURNAL = {"VARVE_JOURNAL_SEGMENT_BYTES": str(1 << 20), "VARVE_JOURNAL_READY_SEGMENTS": "2",
                 "VARVE_JOURNAL_BYTES_MAX": str(512 << 20)}
REFUSED = {(507, "DISK_FULL"), (429, "JOURNAL_FULL")}


class Sender:
    """Sends numbered events and knows which of them were acknowledged."""

    def __init__(self, server):
        self.server, self.next, self.acked = server, 0, []

    def send(self):
        numbers = list(range(self.next, self.next + 40))
        self.next += 40
        reply = self.server.ingest([{"type": "n", "ts": TS + n, "n": n,
                                     "pad": os.urandom(4000).hex()} for n in numbers])
        if reply.status == 200:
            self.acked += numbers
        return reply

    def until_refused(self, refused=REFUSED):
        for _ in range(2000):
            reply = self.send()
            if reply.status != 200:
                assert (reply.status, reply.json()["code"]) in refused, reply.body
                assert reply.json()["error"] and "retry-after" in reply.headers
                return reply
        raise AssertionError("the disk did not become full")

    def check(self):
        rows = self.server.sql("SELECT CAST(json_extract(payload, '$.n') AS BIGINT) AS n"
                               " FROM events")
        assert sorted(row["n"] for row in rows) == self.acked


def ready(server):
    return server.get("/ready").status == 200


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", 48)
    yield disk
    disk.close()


@pytest.fixture
def on_disk(disk, tmp_path):
    servers = []

    def start(**kwargs):
        env = {**SMALL_JOURNAL, **kwargs.pop("env", {})}
        server = Server(disk.path / "data", prefix=disk.prefix, log=tmp_path / "server.log",
                        env=env, **kwargs)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def test_a_full_disk_refuses_lives_and_goes_on(disk, on_disk):
    disk.take(16)
    server = on_disk()
    sender = Sender(server)
    sender.until_refused()
    for _ in range(20):
        sender.send()
    assert server.process.poll() is None
    assert server.get("/health").status == 200
    not_ready = wait_until("/ready to say why", lambda: not ready(server)) and server.get("/ready")
    assert not_ready.json()["code"] in ("DISK_FULL", "JOURNAL_FULL")
    sender.check()  # questions are answered meanwhile

    disk.free()
    wait_until("the server to go on by itself", lambda: ready(server))
    assert sender.send().status == 200
    wait_until("objects to be written again",
               lambda: server.get("/stats").json()["flush"]["lastError"] == "")
    sender.check()
    assert server.stop() == 0


def test_a_kill_on_a_full_disk_loses_nothing(disk, on_disk):
    disk.take(16)
    server = on_disk()
    sender = Sender(server)
    sender.until_refused()
    disk.fill("rest")
    sender.send()
    server.kill()

    server.start(wait=False)  # still full: it says so, or it serves what it can
    wait_until("an end or an answer", lambda: server.process.poll() is not None or alive(server))
    if server.process.poll() is not None:
        assert server.process.returncode == 1
        last = server.log_text().splitlines()[-1]
        assert "No space left" in last or "full" in last, last
        assert str(disk.path / "data") in last and "make room" in last
    else:
        server.kill()

    disk.free("rest")
    disk.free()
    server.start()
    sender.check()
    assert sender.send().status == 200
    sender.check()
    assert server.stop() == 0


def alive(server):
    try:
        return server.get("/health").status == 200
    except OSError:
        return False


def test_a_file_size_limit_is_an_error_of_the_write(start):
    server = start(prefix=["prlimit", "--fsize=700000:unlimited"],
                   env={**SMALL_JOURNAL, "VARVE_FLUSH_EVENTS_FLUSH_MS": "50"})
    reply = wait_until("a refusal", lambda: server.ingest([{"type": "a"}]))
    assert (reply.status, reply.json()["code"]) == (507, "DISK_FULL")
    assert server.get("/ready").json()["code"] == "DISK_FULL"
    subprocess.run(["prlimit", f"--pid={server.process.pid}", "--fsize=unlimited:unlimited"],
                   check=True)
    wait_until("room", lambda: ready(server))
    assert server.ingest([{"type": "a", "ts": TS}]).status == 200
    assert server.value("SELECT count(*) FROM events") == 1
    assert server.stop() == 0


def test_a_read_only_file_system_is_refused_by_name(disk, on_disk):
    on_disk().stop()
    disk.remount("ro")
    server = on_disk(wait=False)
    assert server.process.wait(30) == 1
    last = server.log_text().splitlines()[-1]
    assert str(disk.path / "data") in last and "Read-only file system" in last
    assert "remount it writable" in last and "varve doctor" in last


def test_a_directory_that_becomes_read_only_refuses_and_recovers(start):
    # Root may write where its rights say no, unless it gives that up.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] \
        if os.geteuid() == 0 else []
    server = start(prefix=prefix, env={**SMALL_JOURNAL, "VARVE_FLUSH_EVENTS_FLUSH_MS": "50"})
    sender = Sender(server)
    assert sender.send().status == 200
    folders = [server.data, *(p for p in server.data.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        reply = sender.until_refused({(503, "JOURNAL_BLOCKED"), (429, "JOURNAL_FULL")})
        assert server.get("/ready").json()["code"] == reply.json()["code"]
        assert server.process.poll() is None
        sender.check()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    wait_until("the server to go on by itself", lambda: ready(server))
    assert sender.send().status == 200
    sender.check()
    assert server.stop() == 0

    server.data.chmod(0o555)
    (server.data / ".varve").chmod(0o555)
    (server.data / ".varve/lock").chmod(0o444)
    server.start(wait=False)
    try:
        assert server.process.wait(30) == 1
    finally:
        server.data.chmod(0o755)
        (server.data / ".varve").chmod(0o755)
    last = server.log_text().splitlines()[-1]
    assert str(server.data) in last and "read, write and search rights" in last
