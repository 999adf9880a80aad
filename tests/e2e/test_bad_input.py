"""Bad input costs its sender a clear error, never another event, and never the process."""

import gzip
import hashlib
import hmac
import json
import socket
import time

import pytest

from varve import Server, WebSocket, trace

TS = 1706878800000


def good(n=1):
    return [{"type": "ok", "ts": TS + i} for i in range(n)]


CASES = [
    ("truncated JSON", b'{"events":[{"type":"a"', {}, 400, "INVALID_JSON"),
    ("not UTF-8", b'{"events":[{"type":"a","x":"\xff\xfe"}]}', {}, 400, "INVALID_JSON"),
    ("a bad literal deep inside", b'{"events":[{"type":"a","x":{"y":[nul]}}]}', {}, 400,
     "INVALID_JSON"),
    ("trailing garbage", b'{"events":[]} x', {}, 400, "INVALID_JSON"),
    ("empty body", b"", {}, 400, "INVALID_JSON"),
    ("a number", b"5", {}, 400, "INVALID_BATCH"),
    ("events not an array", b'{"events":5}', {}, 400, "INVALID_BATCH"),
    ("1,001 events", json.dumps({"events": good(1001)}).encode(), {}, 400, "INVALID_BATCH"),
    ("an event without type", json.dumps({"events": good() + [{"ts": 1}]}).encode(), {}, 400,
     "INVALID_EVENT"),
    ("an event that is no object", json.dumps({"events": good() + [7]}).encode(), {}, 400,
     "INVALID_EVENT"),
    ("a type with a space", b'{"events":[{"type":"a b"}]}', {}, 400, "INVALID_EVENT"),
    ("an unreadable ts", b'{"events":[{"type":"a","ts":"soon"}]}', {}, 400, "INVALID_EVENT"),
    ("an 11 KB event", json.dumps({"events": good(3) + [{"type": "a", "x": "y" * 11264}]}).encode(),
     {}, 400, "EVENT_TOO_LARGE"),
    ("a 2 MB body", json.dumps({"events": [{"type": "a", "x": "y" * 2_000_000}]}).encode(), {},
     413, "PAYLOAD_TOO_LARGE"),
    ("a zip bomb", gzip.compress(b" " * 200_000_000), {"Content-Encoding": "gzip"}, 413,
     "PAYLOAD_TOO_LARGE"),
    ("gzip that is none", b"plainly not gzip", {"Content-Encoding": "gzip"}, 400, None),
    ("an unknown encoding", b"[]", {"Content-Encoding": "snappy"}, 415, None),
    ("a namespace that climbs", b'{"events":[]}', {"X-Namespace": "../x"}, 400,
     "INVALID_NAMESPACE"),
    ("a bad NDJSON line", b'{"type":"a"}\n{"type":\n', {"Content-Type": "application/x-ndjson"},
     400, "INVALID_JSON"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("bad") / "data")
    yield server
    assert server.process.poll() is None, "the process ended: " + server.log_text()[-2000:]
    assert server.value("SELECT count(*) FROM events") == 0, "something refused was stored"
    assert server.stop() == 0


@pytest.mark.parametrize("name,body,headers,status,code", CASES, ids=[c[0] for c in CASES])
def test_refused_whole_with_a_code(server, name, body, headers, status, code):
    reply = server.post("/ingest", body, headers)
    assert reply.status == status, reply.body
    if code:
        assert reply.json()["code"] == code
        assert reply.json()["error"]
    assert "x-correlation-id" in reply.headers


def test_errors_name_the_index_the_line_and_the_limit(server):
    reply = server.ingest(good(4) + [{"ts": 1}] + good(1) + [{"type": ""}]).json()
    assert reply["details"]["indices"] == [4, 6]
    reply = server.ingest(good(2) + [{"type": "a", "x": "y" * 11264}]).json()
    assert reply["details"]["indices"] == [2] and reply["details"]["maxSize"] == 10240
    reply = server.post("/ingest", b'{"type":"a"}\n{"type":"b"}\n{"type" "c"}\n',
                        {"Content-Type": "application/x-ndjson"}).json()
    assert "3" in json.dumps(reply)


def test_a_key_that_climbs_is_refused(server):
    for key in ["../state.db", "%2e%2e/state.db", "events/../../x", ".varve/state.db",
                "a%00b", "%2fetc/passwd"]:
        reply = server.get("/store/" + key)
        assert reply.status in (400, 403, 404), (key, reply.status)
        assert b"SQLite" not in reply.body and b"root:" not in reply.body


def test_tail_speaks_websocket_and_says_what_is_wrong(server):
    assert server.get("/tail").status == 426
    socket = WebSocket(server.port)
    socket.send({"type": "greetings"})
    assert socket.receive()["message"] == "Unknown message type: greetings"
    socket.send("{broken")
    assert socket.receive()["type"] == "error"
    socket.send({"type": "tail_events", "instanceId": "i", "timestamp": 1, "events": []})
    socket.send({"type": "nothing-came-before-this"})
    assert socket.receive()["message"] == "Unknown message type: nothing-came-before-this"
    socket.close()


def test_webhook_signatures_are_checked(start):
    varve = start(env={"GITHUB_WEBHOOK_SECRET": "s3cret", "SLACK_SIGNING_SECRET": "slack"})
    body = b'{"action":"opened"}'
    sign = lambda text, key: hmac.new(key, text, hashlib.sha256).hexdigest()
    right = {"X-Hub-Signature-256": "sha256=" + sign(body, b"s3cret"), "X-GitHub-Event": "push"}
    reply = varve.post("/webhooks?provider=github", body, right)
    assert reply.status == 200 and reply.json()["verified"] is True
    assert varve.post("/webhooks/github", body, right).status == 200
    wrong = {**right, "X-Hub-Signature-256": "sha256=" + sign(body, b"other")}
    reply = varve.post("/webhooks/github", body, wrong)
    assert (reply.status, reply.json()["errorCode"]) == (401, "INVALID_SIGNATURE")
    reply = varve.post("/webhooks/github", body)
    assert (reply.status, reply.json()["errorCode"]) == (401, "MISSING_HEADERS")
    old = str(int(time.time()) - 4000)
    reply = varve.post("/webhooks/slack", body, {
        "X-Slack-Request-Timestamp": old,
        "X-Slack-Signature": "v0=" + sign(f"v0:{old}:".encode() + body, b"slack")})
    assert (reply.status, reply.json()["errorCode"]) == (401, "TIMESTAMP_EXPIRED")
    reply = varve.post("/webhooks/nobody", body)
    assert (reply.status, reply.json()["errorCode"]) == (400, "UNSUPPORTED_PROVIDER")
    reply = varve.post("/webhooks/stripe", body)
    assert (reply.status, reply.json()["errorCode"]) == (500, "SECRET_NOT_CONFIGURED")
    rows = varve.sql("SELECT type, source, provider, event_type, verified, payload FROM events")
    assert rows[0] == {"type": "webhook.github.push", "source": "github", "provider": "github",
                       "event_type": "push", "verified": True, "payload": body.decode()}
    assert len(rows) == 2


SQL_REFUSED = [
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM glob('/*')",
    "ATTACH '/tmp/x.db'", "INSTALL httpfs", "LOAD httpfs", "COPY events TO '/tmp/out.parquet'",
    "COPY (SELECT 1) TO '/tmp/o.csv'", "CREATE TABLE t AS SELECT 1", "SELECT 1; SELECT 2",
    "SET enable_external_access=true", "PRAGMA database_list", "EXPORT DATABASE '/tmp/e'",
    "DROP VIEW events", "SELECT * FROM sniff_csv('/etc/passwd')",
    "WITH x AS (SELECT * FROM read_blob('/proc/self/environ')) SELECT * FROM x",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')", "CALL pragma_version()", "",
    "SELECT * FROM", "SELECT * FROM nothing_of_that_name",
]


@pytest.mark.parametrize("sql", SQL_REFUSED)
def test_sql_has_no_files_and_no_network(server, sql):
    reply = server.post("/sql", {"sql": sql})
    assert 400 <= reply.status < 500, reply.body
    assert b"root:" not in reply.body
    assert reply.json()["code"]


def test_hostile_http_is_closed_without_harm(server):
    for raw in [b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 70000 + b"\r\n\r\n",
                b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"POST /ingest HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n"]:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while data := s.recv(65536):
                answer += data
            assert not answer or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:80]
    assert server.get("/health").status == 200


def test_a_file_in_the_directorys_place_is_refused_at_start(tmp_path):
    target = tmp_path / "file-in-the-way"
    target.write_text("not a directory")
    server = Server(target, wait=False)
    assert server.process.wait(30) != 0
    assert "file-in-the-way" in server.log_text()


def test_without_a_key_only_loopback_may_listen_quietly(tmp_path):
    server = Server(tmp_path / "data", listen="0.0.0.0:0", wait=False)
    assert server.process.wait(30) != 0
    assert "key" in server.log_text()
