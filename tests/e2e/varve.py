"""Runs the real program and talks to it as a user would: HTTP, WebSocket, CLI, files."""

import base64
import http.client
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("VARVE_BINARY", ROOT / "build/release/varve"))
WEB_ACCESS = ROOT / "data/web-access.ndjson"

# Short enough that a test need not wait, long enough that batching still happens.
QUICK = {
    "VARVE_FLUSH_EVENTS_FLUSH_MS": "200",
    "VARVE_FLUSH_FLUSH_INTERVAL_MS": "300",
    "VARVE_QUEUE_MAX_BATCH_TIMEOUT_MS": "200",
    "VARVE_QUEUE_RETRY_BASE_MS": "50",
    "VARVE_NOTIFY_RECONCILE_INTERVAL_MS": "500",
    "VARVE_NOTIFY_SETTLE_MS": "100",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, condition, seconds=30):
    """Polls until condition() is truthy; a deadline that passes is a failure that says for what."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}; last: {value!r}"
        time.sleep(0.02)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Server:
    """prefix: a command that runs the server in surroundings of its own."""

    def __init__(self, data, env=None, args=(), listen=None, wait=True, prefix=(), log=None,
                 host="127.0.0.1"):
        self.data = pathlib.Path(data)
        self.host, self.port = host, free_port()
        self.listen = listen or (f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}")
        self.env = {**os.environ, **QUICK, **(env or {})}
        self.log_path = log or self.data.parent / f"{self.data.name}.log"
        self.args, self.prefix = list(args), list(prefix)
        self.process = None
        self.start(wait)

    def start(self, wait=True):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.prefix, BINARY, "serve", "--data", self.data, "--listen", self.listen, *self.args],
            env=self.env, stderr=self.log, stdout=self.log)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=30):
        def ready():
            assert self.process.poll() is None, \
                f"varve ended with {self.process.returncode}:\n{self.log_text()[-3000:]}"
            try:
                return self.request("GET", "/ready").status == 200
            except OSError:
                return False
        wait_until("the server to be ready", ready, seconds)

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def restart(self):
        self.stop()
        self.start()

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, dict((k.lower(), v) for k, v in response.getheaders()),
                         response.read())
        finally:
            connection.close()

    def post(self, path, value, headers=None):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        body = body.encode() if isinstance(body, str) else body
        return self.request("POST", path, body,
                            {"Content-Type": "application/json", **(headers or {})})

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def ingest(self, events, headers=None, **more):
        return self.post("/ingest", {"events": events, **more}, headers)

    def sql(self, sql, headers=None, **more):
        reply = self.post("/sql", {"sql": sql, **more}, headers)
        assert reply.status == 200, reply.body
        return reply.json()["data"]

    def value(self, sql, headers=None):
        (row,) = self.sql(sql, headers)
        (value,) = row.values()
        return value

    def queue(self, name):
        for stats in self.get("/queues").json()["queues"]:
            if stats["name"] == name:
                return stats
        return None

    def files(self, pattern):
        return sorted(self.data.glob(pattern))

    def cli(self, *args, check=True, stdin=None):
        done = subprocess.run([BINARY, *map(str, args)], env=self.env, input=stdin,
                              capture_output=True, timeout=120)
        if check:
            assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done


class WebSocket:
    """A small RFC 6455 client: text messages, close."""

    def __init__(self, port, path="/tail", headers=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(4096)
            if not data:
                break
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])

    def send(self, value):
        payload = (value if isinstance(value, str) else json.dumps(value)).encode()
        mask = os.urandom(4)
        size = len(payload)
        head = b"\x81"
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += b"\xfe" + struct.pack(">H", size)
        else:
            head += b"\xff" + struct.pack(">Q", size)
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(
            (mask * (size // 4 + 1))[:size], "big")).to_bytes(size, "big") if size else b""
        self.socket.sendall(head + mask + masked)

    def _need(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self.buffer += data
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def receive(self):
        while True:
            first, second = self._need(2)
            size = second & 127
            if size == 126:
                (size,) = struct.unpack(">H", self._need(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._need(8))
            payload = self._need(size)
            opcode = first & 15
            if opcode == 1:
                return json.loads(payload)
            if opcode == 8:
                raise ConnectionError(f"closed: {payload!r}")
            if opcode == 9:
                self.socket.sendall(b"\x8a" + bytes([0x80 | size]) + b"\0\0\0\0" + payload)

    def tail(self, events):
        self.send({"type": "tail_events", "instanceId": "tail-test", "timestamp": 1,
                   "events": events})
        return self.receive()

    def close(self):
        try:
            self.socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        except OSError:
            pass
        self.socket.close()


def trace(script, number, logs=1, at=1706878800000, **more):
    return {"scriptName": script, "outcome": "ok", "eventTimestamp": at + number,
            "event": {"request": {"url": f"https://e.test/{number}", "method": "GET",
                                  "headers": {"cf-ray": f"ray-{number}"},
                                  "cf": {"colo": "AMS", "country": "NL"}},
                      "response": {"status": 200}},
            "logs": [{"timestamp": at + number, "level": "info",
                      "message": [f"item {number} log {i}"]} for i in range(logs)],
            "exceptions": [], **more}


def read_rows(path):
    """A Parquet file's rows as hyparquet, a reader of another family, sees them."""
    done = subprocess.run(["node", ROOT / "build/readers/rows.mjs", path], capture_output=True,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
