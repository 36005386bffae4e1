"""Starts the real tsdbd and talks to it: the base of all tests that need a running daemon.

    with harness.Daemon() as daemon:
        daemon.write("cpu,host=a usage=1 1700000000000000000")
        daemon.kill()                     # as a crash would
        daemon.start()
        assert daemon.export('{__name__="cpu_usage"}') == [...]

The binary is named by the environment variable TSDBD_BINARY (ctest sets it). Every daemon has its
own folder, which goes away with it, and a port that the kernel chooses. A daemon that reports a bug
of its own (BUG:, a sanitizer) makes the test fail when it is closed.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

# A sanitizer build recovers slowly on a busy machine.
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
REQUEST_TIMEOUT_SECONDS = 60

# For builds with ThreadSanitizer; no other build looks at it.
_TSAN_OPTIONS = "suppressions=" + os.path.join(os.path.dirname(os.path.abspath(__file__)), "tsan.supp")
_BUG_MARKS = ("BUG: ", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:")


def binary():
    """The path of the program under test."""
    path = os.environ.get("TSDBD_BINARY")
    if not path:
        raise RuntimeError("TSDBD_BINARY does not name the program to test")
    return path


class Answer:
    """One HTTP answer, read in full."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Answer({self.status}, {self.body[:500]!r})"


def exchange(connection, method, path, body=None, headers=None):
    """Sends one request on an http.client connection and reads its answer."""
    if isinstance(body, str):
        body = body.encode()
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    answer_headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, answer_headers, response.read())


def with_parameters(path, parameters):
    """`path` with a query string. `parameters`: a dict, or a list of pairs where names repeat."""
    return path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")


class Daemon:
    """A tsdbd process and its folder. Starts when entered as a context, ends when left."""

    def __init__(self, *arguments, data_dir=None):
        """`arguments` are added to the command line of every start. A `data_dir` that is given is
        kept; without one there is a temporary folder."""
        self.arguments = list(arguments)
        self.folder = tempfile.mkdtemp(prefix="tsdbd-test-")
        self.data_dir = data_dir or os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.port = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    # The process.

    def start(self, *arguments, wait=True):
        """Starts it and, unless told not to wait, returns when it serves."""
        assert self.process is None, "it runs already"
        log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        command = [binary(), "--data-dir", self.data_dir, "--listen", "127.0.0.1:0",
                   *self.arguments, *arguments]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log,
                                            env={"TSAN_OPTIONS": _TSAN_OPTIONS} | os.environ)
        self.port = int(self._wait_for("listening", lambda: self._find_port(log_start)))
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        self._wait_for("ready", lambda: self.request("GET", "/-/ready").status == 200)

    def stop(self):
        """SIGTERM, and the exit status after it."""
        self.process.send_signal(signal.SIGTERM)
        return self._wait_exit()

    def kill(self):
        """SIGKILL: the end of a crash."""
        self.process.kill()
        return self._wait_exit()

    def restart(self, *arguments):
        self.stop()
        return self.start(*arguments)

    def close(self):
        """Ends the process, removes the folder and complains of bugs in the log."""
        try:
            if self.process is not None:
                self.kill()
            bugs = [line for line in self.log() if any(mark in line for mark in _BUG_MARKS)]
            assert not bugs, "\n".join(self.log())
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        """The lines that it has written, of all starts."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read().splitlines()

    def _find_port(self, log_start):
        with open(self.log_path, "rb") as log:
            log.seek(log_start)
            match = re.search(rb"listening address=\S+ port=(\d+)", log.read())
        return match and match.group(1)

    def _wait_for(self, what, condition):
        """The first true value of `condition`; an error if the process ends before."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                status = self._wait_exit()
                raise RuntimeError(f"ended with {status}:\n" + "\n".join(self.log()))
            time.sleep(0.01)
        raise TimeoutError(f"not {what} in time:\n" + "\n".join(self.log()))

    def _wait_exit(self):
        try:
            return self.process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    # Requests.

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def connect(self):
        """A keep-alive connection, for exchange()."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT_SECONDS)

    def request(self, method, path, body=None, headers=None, parameters=None):
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return exchange(connection, method, with_parameters(path, parameters), body, headers)
        finally:
            connection.close()

    def get(self, path, parameters=None, headers=None):
        return self.request("GET", path, headers=headers, parameters=parameters)

    def post(self, path, body="", parameters=None, headers=None):
        return self.request("POST", path, body, headers, parameters)

    def post_form(self, path, parameters):
        return self.post(path, urllib.parse.urlencode(parameters),
                         headers={"Content-Type": "application/x-www-form-urlencoded"})

    # What tests do most. All of these fail unless the daemon says it went well.

    def write(self, lines, **parameters):
        """Stores line protocol: a string, or a list of lines."""
        body = lines if isinstance(lines, (str, bytes)) else "\n".join(lines)
        answer = self.post("/write", body, parameters)
        assert answer.status == 204, answer

    def flush(self):
        answer = self.post("/api/v1/admin/flush")
        assert answer.status == 200, answer

    def query(self, text, time=None):
        """The data of an instant query; `time` in seconds."""
        parameters = {"query": text} | ({} if time is None else {"time": time})
        return self._data("/api/v1/query", parameters)

    def query_range(self, text, start, end, step):
        return self._data("/api/v1/query_range",
                          {"query": text, "start": start, "end": end, "step": step})

    def series(self, *selectors):
        return self._data("/api/v1/series", [("match[]", selector) for selector in selectors])

    def export(self, *selectors):
        """All samples of the selected series: {labels as sorted tuple: [(ns, value), ...]}."""
        parameters = [("match[]", selector) for selector in selectors] + [("precision", "ns")]
        answer = self.get("/api/v1/export", parameters)
        assert answer.status == 200, answer
        result = {}
        for line in answer.text.splitlines():
            exported = json.loads(line)
            labels = tuple(sorted(exported["metric"].items()))
            assert labels not in result, f"exported twice: {labels}"
            result[labels] = list(zip(exported["timestamps"], exported["values"]))
        return result

    def metrics(self):
        """The figures of /metrics: {'name{label="value"}': value}."""
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        lines = (line for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def _data(self, path, parameters):
        answer = self.get(path, parameters)
        assert answer.status == 200, answer
        parsed = answer.json()
        assert parsed["status"] == "success", answer
        return parsed["data"]
