"""The servers that queries are put to: tsdbd, and as its peers Prometheus and VictoriaMetrics.

    with servers.start("tsdbd") as server:      # or "prometheus", "victoriametrics"
        server.load([({"__name__": "m"}, [(0, 1.0), (15000, 2.0)])])
        result = server.query("m", 15000)

Each has a folder of its own, which goes away with it. Peers are taken from the PATH.
"""

import dataclasses
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402

import remote_write  # noqa: E402

START_TIMEOUT_SECONDS = 60
# One request's samples: well below the servers' limits on bodies.
SAMPLES_PER_REQUEST = 50_000

# Everything that the language has, and no waiting for the disk.
TSDBD_ARGUMENTS = ("--set", "wal.sync=none", "--set", "wal.segment_size=1MiB")


@dataclasses.dataclass
class Result:
    """An answered query. `value`: a float for a scalar, a str for a string, [(labels, value)] for a
    vector, [(labels, [(ms, value)])] for a matrix."""
    kind: str
    value: object
    warnings: list
    infos: list


@dataclasses.dataclass
class QueryError(Exception):
    """A refused query."""
    status: int
    kind: str
    message: str

    def __str__(self):
        return f"{self.status} {self.kind}: {self.message}"


class _Client:
    """The Prometheus API on one keep-alive connection."""

    write_path = "/api/v1/write"

    def __init__(self):
        self._connection = None

    def load(self, series):
        batch, count = [], 0
        for labels, samples in series:
            batch.append((labels, samples))
            count += len(samples)
            if count >= SAMPLES_PER_REQUEST:
                self._write(batch)
                batch, count = [], 0
        if batch:
            self._write(batch)

    def flush(self):
        """Moves what is loaded to where old samples are, if the server has such a place."""

    def _write(self, batch):
        answer = self._request(self.write_path, remote_write.request(batch), remote_write.HEADERS)
        if answer.status // 100 != 2:
            raise RuntimeError(f"loading failed: {answer}")

    def query(self, expr, time_ms, **parameters):
        return self._query("/api/v1/query", {"query": expr, "time": seconds(time_ms)} | parameters)

    def query_range(self, expr, start_ms, end_ms, step_ms, **parameters):
        return self._query("/api/v1/query_range",
                           {"query": expr, "start": seconds(start_ms), "end": seconds(end_ms),
                            "step": seconds(step_ms)} | parameters)

    def _query(self, path, parameters):
        answer = self._request(path, urllib.parse.urlencode(parameters),
                               {"Content-Type": "application/x-www-form-urlencoded"})
        try:
            parsed = answer.json()
        except json.JSONDecodeError:
            raise QueryError(answer.status, "no JSON", answer.text[:200]) from None
        if answer.status != 200 or parsed["status"] != "success":
            raise QueryError(answer.status, parsed.get("errorType", ""), parsed.get("error", ""))
        data = parsed["data"]
        return Result(data["resultType"], _value(data["resultType"], data["result"]),
                      parsed.get("warnings", []), parsed.get("infos", []))

    def _request(self, path, body, headers):
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            return harness.exchange(self._connection, "POST", path, body, headers)
        except (http.client.HTTPException, OSError):
            self._disconnect()
            raise

    def _disconnect(self):
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def seconds(milliseconds):
    """Milliseconds as the decimal number of seconds that the APIs take."""
    sign = "-" if milliseconds < 0 else ""
    whole, part = divmod(abs(milliseconds), 1000)
    return f"{sign}{whole}" + (f".{part:03}" if part else "")


def _value(kind, result):
    if kind == "scalar":
        return _float(result[1])
    if kind == "string":
        return result[1]
    if kind == "vector":
        return [(entry["metric"], _float(entry["value"][1]) if "value" in entry else None)
                for entry in result]
    return [(entry["metric"], [(round(time * 1000), _float(value))
                               for time, value in entry.get("values", [])]) for entry in result]


def _float(text):
    return float(text)  # "+Inf", "-Inf" and "NaN" too


class Tsdbd(_Client):

    name = "tsdbd"

    def __init__(self):
        super().__init__()
        self._daemon = None
        self.clear()

    @property
    def port(self):
        return self._daemon.port

    def clear(self):
        """An empty database: a new process with a new folder."""
        self.close()
        self._daemon = harness.Daemon(*TSDBD_ARGUMENTS).__enter__()

    def flush(self):
        self._daemon.flush()

    def close(self):
        self._disconnect()
        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Peer(_Client):
    """A peer as a process."""

    ready_path = "/-/ready"

    def __init__(self):
        super().__init__()
        self._folder = None
        self._process = None
        self.port = None
        self.clear()

    def clear(self):
        self.close()
        self._folder = tempfile.mkdtemp(prefix="tsdbd-peer-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log = open(os.path.join(self._folder, "log"), "wb")
        self._process = subprocess.Popen(self._command(self._folder), stdin=subprocess.DEVNULL,
                                         stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"{self.name} does not start")
            time.sleep(0.02)

    def _is_ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            return harness.exchange(connection, "GET", self.ready_path).status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def close(self):
        self._disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._log.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Prometheus(_Peer):

    name = "prometheus"
    program = "prometheus"

    def _command(self, folder):
        # Loads begin at 1970 again and again: samples come late, and nothing is too old.
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("storage:\n  tsdb:\n    out_of_order_time_window: 100y\n")
        return [shutil.which(self.program), f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                "--storage.tsdb.retention.time=200y", "--storage.tsdb.min-block-duration=200d",
                "--storage.tsdb.max-block-duration=200d",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver"]


class VictoriaMetrics(_Peer):

    name = "victoriametrics"
    program = "victoria-metrics"
    ready_path = "/health"

    def _command(self, folder):
        return [shutil.which(self.program), f"-storageDataPath={folder}/data",
                "-retentionPeriod=100y", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-search.latencyOffset=0s", "-search.disableCache"]

    def load(self, series):
        super().load(series)
        # Samples become visible when they are flushed.
        harness.exchange(http.client.HTTPConnection("127.0.0.1", self.port), "GET",
                         "/internal/force_flush")


_SERVERS = {server.name: server for server in (Tsdbd, Prometheus, VictoriaMetrics)}


def is_installed(name):
    return name == Tsdbd.name or shutil.which(_SERVERS[name].program) is not None


def start(name):
    return _SERVERS[name]()
