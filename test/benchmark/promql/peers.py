"""The servers that promql_benchmark compares, as processes of which CPU and memory are known."""

import heapq
import http.client
import os
import shutil
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "promql"))
import remote_write  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402

# A server is quiet when it used next to no CPU for some seconds in a row: merges come in bursts.
QUIET_SECONDS = 3
QUIET_CPU_SECONDS = 0.02  # in each of them
QUIET_TIMEOUT_SECONDS = 180


class Measured:
    """Mixed into a server of servers.py: asks, and tells what that cost its process."""

    takes_lines = True

    @property
    def pid(self):
        return self._process.pid

    def cpu_seconds(self):
        """User and system time so far, to the nanosecond: the kernel's clock of that process."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def reset_peak_memory(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def memory_bytes(self, key="VmRSS"):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))

    def reconnect(self):
        """After a pause: servers close connections that are idle."""
        self._disconnect()

    def get(self, path):
        """The answer's body. One segment each way, so that no server waits for the rest."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{self.name}: {response.status} {body[:300]!r} for {path}")
        return body

    def post(self, path, body, headers):
        answer = self._request(path, body, headers)
        if answer.status // 100 != 2:
            raise RuntimeError(f"{self.name}: {answer}")

    def write(self, tables):
        """In the order of time: Prometheus takes nothing that is an hour older than its newest."""
        self.reconnect()
        if self.takes_lines:
            path, headers, bodies = "/write", {}, [table.line_bodies() for table in tables]
        else:
            path, headers = self.write_path, remote_write.HEADERS
            bodies = [table.remote_write_bodies() for table in tables]
        for _, body in heapq.merge(*bodies, key=lambda body: body[0]):
            self.post(path, body, headers)

    def finish_loading(self):
        """What makes all samples visible."""

    def wait_until_quiet(self):
        """Until the background has nothing to do."""
        deadline = time.monotonic() + QUIET_TIMEOUT_SECONDS
        quiet_seconds = 0
        while quiet_seconds < QUIET_SECONDS and time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(1)
            is_quiet = self.cpu_seconds() - before < QUIET_CPU_SECONDS
            quiet_seconds = quiet_seconds + 1 if is_quiet else 0


class Tsdbd(Measured, servers.Tsdbd):

    # Nothing is flushed before the benchmark says so.
    arguments = ("--set", "wal.sync=none", "--set", "head.memory=8GiB",
                 "--set", "head.max_log=16GiB", "--set", "head.max_age=30d")
    durability = "wal.sync=none"

    @property
    def pid(self):
        return self._daemon.process.pid

    def clear(self):
        self.close()
        self._daemon = harness.Daemon(*self.arguments).__enter__()

    @classmethod
    def version(cls):
        return _output([harness.binary(), "--version"])

    def flush(self):
        self.reconnect()
        self.post("/api/v1/admin/flush", b"", {})


class Prometheus(Measured, servers.Prometheus):

    takes_lines = False
    durability = "its own: WAL without fsync per write"

    def _command(self, folder):
        # As it comes: blocks of two hours, samples in order.
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8"):
            pass
        return [shutil.which(self.program), f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data", "--storage.tsdb.retention.time=90d",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver"]

    @classmethod
    def version(cls):
        return _output([shutil.which(cls.program), "--version"])


class VictoriaMetrics(Measured, servers.VictoriaMetrics):

    durability = "its own: parts in memory for a second"

    def _command(self, folder):
        # -search.disableCache is there: what is asked twice shall cost twice.
        return super()._command(folder) + ["-search.maxUniqueTimeseries=5000000"]

    @classmethod
    def version(cls):
        return _output([shutil.which(cls.program), "-version"])

    def finish_loading(self):
        self.reconnect()
        self.get("/internal/force_flush")

    def wait_until_quiet(self):
        # Then merged as far as can be, which it reads best. While it merges by itself it refuses.
        super().wait_until_quiet()
        self.reconnect()
        self.get("/internal/force_merge")
        super().wait_until_quiet()


SERVERS = {server.name: server for server in (Tsdbd, Prometheus, VictoriaMetrics)}


def query_path(query, end_s):
    """The request's target for a query that ends at `end_s`."""
    parameters = {"nocache": 1}  # which only VictoriaMetrics knows
    if query.hours == 0:
        path = "query"
        parameters |= {"query": query.expr, "time": end_s}
    else:
        parameters |= {"start": end_s - round(query.hours * 3600), "end": end_s}
        if query.label:
            path = f"label/{query.label}/values"
            parameters |= {"match[]": query.expr} if query.expr else {}
        else:
            path = "query_range"
            parameters |= {"query": query.expr, "step": query.step_s}
    return f"/api/v1/{path}?" + urllib.parse.urlencode(parameters)


def _output(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    # Debian's VictoriaMetrics does not know its version.
    return ((result.stdout + result.stderr).strip() or "unknown version").splitlines()[0]
