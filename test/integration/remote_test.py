"""A real Prometheus writes to tsdbd what it scrapes, and another reads it back: the second must
answer as the first does. Skipped where prometheus is not installed."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import harness

TIMEOUT_SECONDS = 60
SCRAPES_SECONDS = 12


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Prometheus:
    """A Prometheus with a configuration and a folder of its own."""

    def __init__(self, configuration, *arguments):
        self.folder = tempfile.mkdtemp(prefix="prometheus-test-")
        self.port = free_port()
        path = os.path.join(self.folder, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration.replace("OWN_PORT", str(self.port)))
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={path}",
                 f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_ready()

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def api(self, path, **parameters):
        """The data of an answer, or its error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                parsed = json.load(answer)
                assert not parsed.get("warnings"), parsed["warnings"]
                return parsed["data"]
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def _wait_ready(self):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        with open(self.log_path, encoding="utf-8") as log:
            raise TimeoutError(log.read())


def by_labels(data):
    """A result without the order of its series."""
    if isinstance(data, dict) and data["resultType"] in ("vector", "matrix"):
        return sorted(data["result"], key=lambda series: sorted(series["metric"].items()))
    return data


WRITER = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:OWN_PORT"], labels: {{zone: "größe \\"a\\""}}}}]
  - job_name: tsdbd
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: nobody
    static_configs: [{{targets: ["127.0.0.1:1"]}}]
remote_write:
  - url: http://127.0.0.1:{port}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms, max_shards: 4}}
    metadata_config: {{send_interval: 1s}}
"""

READER = """
remote_read:
  - url: http://127.0.0.1:{port}/api/v1/read
    read_recent: true
"""

INSTANT_QUERIES = (
    "up",
    "up == 0",
    '{job="tsdbd"}',
    '{job="tsdbd",class!="2xx",__name__=~"tsdbd_http.*"}',
    '{zone!=""}',
    '{__name__!~"prometheus.*|go_.*",job="prometheus"}',
    'up{zone="größe \\"a\\""}',
    "up[10s]",
    '{job="tsdbd"}[5s]',
    "rate(prometheus_tsdb_head_samples_appended_total[5s])",
    "sum by (job) (scrape_samples_scraped)",
    "histogram_quantile(0.9, sum by (le) ("
    "rate(prometheus_http_request_duration_seconds_bucket[8s])))",
    "max_over_time(process_resident_memory_bytes[6s]) - process_resident_memory_bytes",
    "count({__name__=~\".+\"})",
    "absent(nothing)",
    "stddev_over_time(scrape_duration_seconds[10s])",
)


@unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")
class PrometheusRemoteTest(unittest.TestCase):

    def start(self, *arguments):
        process = Prometheus(*arguments)
        self.addCleanup(process.close)
        return process

    def wait_until_written(self, daemon, writer):
        """Returns a time, in seconds, up to which all samples have come."""
        end = time.time()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            newest = [samples[-1][0] / 1e9 for labels, samples in daemon.export("up").items()]
            if len(newest) == 3 and min(newest) > end:
                time.sleep(0.5)  # what other shards still have
                return end
            time.sleep(0.1)
        self.fail("not all samples came")

    def test_what_one_prometheus_writes_another_reads(self):
        with harness.Daemon() as daemon:
            writer = self.start(WRITER.format(port=daemon.port))
            time.sleep(SCRAPES_SECONDS / 2)
            daemon.flush()
            time.sleep(SCRAPES_SECONDS / 2)
            end = self.wait_until_written(daemon, writer)
            reader = self.start(READER.format(port=daemon.port))
            for query in INSTANT_QUERIES:
                for back in (0, 1.5, 4):
                    with self.subTest(query=query, back=back):
                        expected = by_labels(writer.api("query", query=query, time=end - back))
                        self.assertIsInstance(expected, list, expected)
                        actual = by_labels(reader.api("query", query=query, time=end - back))
                        self.assertEqual(actual, expected)
            for query in ("up", "{job=\"prometheus\"}", "rate(go_memstats_alloc_bytes_total[4s])"):
                with self.subTest(query=query):
                    times = {"start": end - 9, "end": end, "step": 0.7}
                    expected = by_labels(writer.api("query_range", query=query, **times))
                    self.assertGreater(len(expected), 0)
                    actual = by_labels(reader.api("query_range", query=query, **times))
                    self.assertEqual(actual, expected)
            metrics = daemon.metrics()
            self.assertGreater(metrics['tsdbd_query_requests_total{api="read",outcome="ok"}'], 30)
            self.assertGreater(metrics['tsdbd_remote_write_requests_total{outcome="stored"}'], 5)
            self.assertEqual(metrics["tsdbd_remote_write_samples_refused_total"], 0)
            described = daemon.get("/api/v1/metadata", {"metric": "go_goroutines"}).json()["data"]
            self.assertEqual([one["type"] for one in described["go_goroutines"]], ["gauge"])
            self.assertNotIn("remote", self.errors_of(writer) + self.errors_of(reader))

    @staticmethod
    def errors_of(process):
        with open(process.log_path, encoding="utf-8") as log:
            return "".join(line for line in log if "level=error" in line or "level=warn" in line)


if __name__ == "__main__":
    unittest.main()
