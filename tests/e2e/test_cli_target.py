"""How the commands find their data: addresses, servers that were killed, directories in use."""

import json
import os
import subprocess

from varve import BINARY, Server, wait_until

TS = 1706878800000


def test_ipv6_addresses(start):
    server = start(host="::1")
    assert server.ingest([{"type": "a", "ts": TS}]).status == 200
    info = json.loads((server.data / ".varve/serve.json").read_text())
    assert info["url"] == f"http://[::1]:{server.port}"
    for target in (["--data", server.data], ["--url", info["url"]]):
        done = server.cli("query", *target, "SELECT count(*) AS n FROM events")
        assert done.stdout.split() == [b"n", b"1"]
    server.cli("ingest", "--url", info["url"], "-", stdin=b'{"type":"b"}\n')
    assert server.value("SELECT count(*) FROM events") == 2
    tail = subprocess.Popen([BINARY, "tail", "--url", info["url"], "--limit", "1", "--json"],
                            env=server.env, stdout=subprocess.PIPE)
    wait_until("the watcher", lambda: b"varve_live_subscribers 1" in server.get("/metrics").body)
    server.ingest([{"type": "seen"}])
    assert b'"seen"' in tail.communicate(timeout=30)[0]
    assert server.cli("doctor", "--data", server.data).returncode == 0


def test_query_works_at_once_after_a_kill(start):
    server = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "600000"})
    for i in range(30):
        server.ingest([{"type": "a", "ts": TS + i, "pad": os.urandom(2000).hex()}])
    for _ in range(5):
        server.process.kill()  # not awaited: it may be dying still
        done = server.cli("query", "--data", server.data, "SELECT count(*) AS n FROM events")
        assert done.stdout.split() == [b"n", b"30"]
        server.process.wait()
        server.start()


def test_several_queries_read_a_directory_at_once(start):
    server = start(env={"VARVE_FLUSH_EVENTS_FLUSH_MS": "600000"})
    server.ingest([{"type": "a", "ts": TS}])
    server.kill()
    running = [subprocess.Popen([BINARY, "query", "--data", server.data,
                                 "SELECT count(*) AS n FROM events, range(3000000)"],
                                env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(3)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.split()) == (0, [b"n", b"3000000"]), err


def test_a_directory_in_use_names_the_process(start):
    server = start()
    second = Server(server.data, wait=False, log=server.data.parent / "second.log")
    assert second.process.wait(30) == 1
    last = second.log_text().splitlines()[-1]
    assert str(server.data) in last and f"process {server.process.pid}" in last
    server.process.send_signal(19)  # SIGSTOP: it has the directory and does not answer
    try:
        done = server.cli("query", "--data", server.data, "SELECT 1", check=False)
        assert done.returncode == 1
        assert f"process {server.process.pid}".encode() in done.stderr
    finally:
        server.process.send_signal(18)
    server.cli("query", "--data", server.data, "SELECT 1")


def test_store_commands_over_http_and_beside_a_server(start):
    server = start()
    server.ingest([{"type": "a", "ts": TS}])
    key = str(wait_until("an object", lambda: server.files("events/**/*.parquet"))[0]
              .relative_to(server.data))
    (server.data / "notes").mkdir()
    (server.data / "notes/50% & more.txt").write_bytes(b"x" * 300_000)
    for target in (["--data", server.data], ["--url", f"http://127.0.0.1:{server.port}"]):
        listed = server.cli("store", "ls", *target, "--json").stdout.splitlines()
        keys = [json.loads(line)["key"] for line in listed]
        assert keys == sorted(keys) and {key, "notes/50% & more.txt"} <= set(keys)
        assert server.cli("store", "ls", *target, "events/", "--limit", "1").stdout.count(b"\n") == 1
        assert server.cli("store", "cat", *target, key).stdout == (server.data / key).read_bytes()
        assert len(server.cli("store", "cat", *target, "notes/50% & more.txt").stdout) == 300_000
        gone = server.cli("store", "cat", *target, "events/none.parquet", check=False)
        assert gone.returncode == 1 and b"events/none.parquet" in gone.stderr
    assert b"etag" in server.cli("store", "head", "--data", server.data, key).stdout
    over_http = server.cli("store", "head", "--url", f"http://127.0.0.1:{server.port}", key,
                           check=False)
    assert over_http.returncode == 1 and b"--data" in over_http.stderr
