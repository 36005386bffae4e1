"""Other people's programs against the real daemon: each test is skipped where its program is not
installed (Debian: influxdb-client, prometheus)."""

import json
import os
import shutil
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import harness

T0 = 1_700_000_000 * 1_000_000_000
TIMEOUT_SECONDS = 30

needs_influx = unittest.skipUnless(shutil.which("influx"), "influx is not installed")
needs_promtool = unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
needs_prometheus = unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")


class InfluxClientTest(unittest.TestCase):

    def influx(self, daemon, *arguments):
        done = subprocess.run(["influx", "-host", "127.0.0.1", "-port", str(daemon.port),
                               *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout + done.stderr

    @needs_influx
    def test_an_import_arrives(self):
        with harness.Daemon() as daemon:
            path = os.path.join(daemon.folder, "import.txt")
            with open(path, "w", encoding="ascii") as file:
                file.write("# DDL\nCREATE DATABASE imported\n"
                           "# DML\n# CONTEXT-DATABASE: imported\n")
                file.writelines(f"cpu,host=h{i % 3} usage={i} {T0 + i}\n" for i in range(3000))
            said = self.influx(daemon, "-import", "-path", path, "-precision", "ns")
            self.assertIn("Processed 3000 inserts", said)
            self.assertIn("Failed 0 inserts", said)
            exported = daemon.export('cpu_usage{db="imported"}')
            self.assertEqual(sum(len(samples) for samples in exported.values()), 3000)

    @needs_influx
    def test_the_shell_sees_databases_and_may_make_them(self):
        with harness.Daemon() as daemon:
            self.influx(daemon, "-execute", "CREATE DATABASE made")
            self.assertIn("made", self.influx(daemon, "-execute", "SHOW DATABASES"))
            self.influx(daemon, "-database", "made", "-execute", f"INSERT cpu v=1 {T0}")
            self.assertEqual(list(daemon.export("cpu_v").values()), [[(T0, 1)]])


class PrometheusTest(unittest.TestCase):

    @needs_promtool
    def test_promtool_has_nothing_to_say_about_the_metrics(self):
        with harness.Daemon() as daemon:
            daemon.write(f"a v=1 {T0}\nb v=2 {T0}")
            daemon.get("/api/v1/query?query=a_v")
            done = subprocess.run(["promtool", "check", "metrics"],
                                  input=daemon.get("/metrics").body, capture_output=True,
                                  timeout=TIMEOUT_SECONDS, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    @needs_promtool
    def test_promtool_queries(self):
        with harness.Daemon() as daemon:
            daemon.write("a,host=x v=5")
            done = subprocess.run(["promtool", "query", "instant", daemon.url, "a_v"],
                                  capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
                                  check=False)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn('a_v{host="x"} => 5', done.stdout)

    @needs_prometheus
    def test_prometheus_scrapes_without_an_error(self):
        with harness.Daemon() as daemon:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            config = os.path.join(daemon.folder, "prometheus.yml")
            with open(config, "w", encoding="ascii") as file:
                json.dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [
                    {"job_name": "tsdbd",
                     "static_configs": [{"targets": [f"127.0.0.1:{daemon.port}"]}]}]}, file)
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={config}",
                 f"--storage.tsdb.path={daemon.folder}/prometheus",
                 f"--web.listen-address=127.0.0.1:{port}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.assertEqual(self.wait_for_sample(port, 'up{job="tsdbd"}'), "1")
                self.assertEqual(self.wait_for_sample(port, "tsdbd_ready"), "1")
            finally:
                prometheus.kill()
                prometheus.wait()

    def wait_for_sample(self, port, query):
        """The value that a Prometheus has for `query`, once it has one."""
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                    result = json.load(answer)["data"]["result"]
                    if result:
                        return result[0]["value"][1]
            except urllib.error.URLError:
                pass  # it starts
            time.sleep(0.2)
        return self.fail(f"no sample of {query}")


if __name__ == "__main__":
    unittest.main()
