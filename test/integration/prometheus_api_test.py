"""Prometheus' HTTP API: what each endpoint answers, and that the answers have the shape that a real
Prometheus gives them (skipped where none is installed: Debian has 2.42)."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import harness
from remote_messages import field_bytes, field_varint, series, snappy, write_request

SECOND = 1_000_000_000
T0_SECONDS = 1_700_000_000
T0 = T0_SECONDS * SECOND
TIMEOUT_SECONDS = 30

needs_promtool = unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
needs_prometheus = unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")


COUNTER, GAUGE, HISTOGRAM = 1, 2, 3


def description(name, kind, text="", unit=""):
    """The metadata of a metric as a field of a remote write 1.0 request."""
    return field_bytes(3, field_varint(1, kind) + field_bytes(2, name) + field_bytes(4, text) +
                       field_bytes(5, unit))


class ApiTest(unittest.TestCase):
    """One daemon for all tests; each writes to a measurement of its own."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon("--set", "query.max_nesting=50"))

    def data(self, path, parameters=None):
        answer = self.daemon.get("/api/v1/" + path, parameters)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["status"], "success")
        return answer.json()["data"]

    def remote_write(self, message):
        answer = self.daemon.post("/api/v1/write", snappy(message), headers={
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
        self.assertIn(answer.status, (200, 204), answer)

    def assert_refused(self, path, parameters, error, status=400, error_type="bad_data"):
        answer = self.daemon.get("/api/v1/" + path, parameters)
        self.assertEqual((answer.status, answer.json()),
                         (status, {"status": "error", "errorType": error_type, "error": error}),
                         (path, parameters))

    # format_query, parse_query, query_exemplars

    def test_queries_are_formatted(self):
        query = {"query": "sum(rate(a_total{b='c'}[5m]))by(d)"}
        formatted = 'sum by (d) (rate(a_total{b="c"}[5m]))'
        self.assertEqual(self.data("format_query", query), formatted)
        self.assertEqual(self.daemon.post_form("/api/v1/format_query", query).json()["data"],
                         formatted)
        long_query = {"query": "sum(" + "a" * 60 + " + " + "b" * 60 + ")"}
        self.assertEqual(self.data("format_query", long_query),
                         "sum(\n    " + "a" * 60 + "\n  +\n    " + "b" * 60 + "\n)")

    def test_queries_are_parsed(self):
        tree = self.data("parse_query", {"query": "-(a)"})
        self.assertEqual((tree["type"], tree["op"], tree["expr"]["type"]),
                         ("unaryExpr", "-", "parenExpr"))
        self.assertEqual(tree["expr"]["expr"]["matchers"],
                         [{"name": "__name__", "value": "a", "type": "="}])
        answer = self.daemon.post_form("/api/v1/parse_query", {"query": "-a[5m:]"})
        self.assertEqual((answer.status, answer.json()["errorType"]), (400, "bad_data"))

    def test_what_is_no_query_is_refused(self):
        for path in ("format_query", "parse_query", "query"):
            answer = self.daemon.get("/api/v1/" + path, {"query": "up{"})
            self.assertEqual(answer.status, 400)
            self.assertRegex(answer.json()["error"],
                             r'^invalid parameter "query": 1:\d+: parse error: ')
        missing = "unknown position: parse error: no expression found in input"
        for path in ("format_query", "parse_query", "query"):
            self.assert_refused(path, {}, f'invalid parameter "query": {missing}')
        self.assert_refused("query_exemplars", {}, missing)

    def test_there_are_no_exemplars(self):
        self.assertEqual(self.data("query_exemplars", {"query": "up", "start": 1, "end": 2}), [])
        answer = self.daemon.post_form("/api/v1/query_exemplars", {"query": "up"})
        self.assertEqual(answer.json(), {"status": "success", "data": []})
        self.assert_refused("query_exemplars", {"query": "up", "start": 2, "end": 1},
                            "end timestamp must not be before start timestamp")

    def test_deep_queries_are_refused(self):
        for depth in (51, 10_000):
            answer = self.daemon.post_form("/api/v1/query",
                                           {"query": "(" * depth + "1" + ")" * depth})
            self.assertEqual(answer.status, 400)
            self.assertIn("nested more than 50 levels deep", answer.json()["error"])

    # Parameters

    def test_limit_cuts_and_warns(self):
        self.daemon.write([f"l1,h=h{i} v={i} {T0}" for i in range(5)])
        warning = ["results truncated due to limit"]
        match = {"match[]": "l1_v"}
        for path, parameters, count in (
                ("query", {"query": "l1_v", "time": T0_SECONDS}, 5),
                ("query_range", {"query": "l1_v", "start": T0_SECONDS, "end": T0_SECONDS + 60,
                                 "step": 30}, 5),
                ("series", match, 5), ("labels", match, 2), ("label/h/values", match, 5)):
            for limit in (0, 1, count - 1, count, count + 1, ""):
                answer = self.daemon.get("/api/v1/" + path, parameters | {"limit": limit}).json()
                result = answer["data"]
                result = result["result"] if path.startswith("query") else result
                cut = limit not in (0, "") and limit < count
                self.assertEqual(len(result), limit if cut else count, (path, limit))
                self.assertEqual(answer.get("warnings"), warning if cut else None, (path, limit))

    def test_bad_limits_are_refused(self):
        for path in ("query", "query_range", "series", "labels", "label/a/values"):
            match = {"match[]": "up"}
            self.assert_refused(path, match | {"limit": "-1"},
                                'invalid parameter "limit": limit must be non-negative')
            self.assert_refused(path, match | {"limit": "x"},
                                'invalid parameter "limit": strconv.Atoi: parsing "x": '
                                'invalid syntax')

    def test_bad_times_are_refused(self):
        for bad in ("NaN", "Inf", "-Inf", "1e300", "x", "2020-13-01T00:00:00Z"):
            self.assert_refused("query", {"query": "up", "time": bad},
                                f"invalid parameter \"time\": invalid time value for 'time': "
                                f'cannot parse "{bad}" to a valid timestamp')
            for name in ("start", "end"):
                times = {"query": "up", "start": 1, "end": 2, "step": 1} | {name: bad}
                self.assert_refused("query_range", times, f'invalid parameter "{name}": '
                                    f'cannot parse "{bad}" to a valid timestamp')
                self.assert_refused("labels", {name: bad},
                                    f"invalid parameter \"{name}\": invalid time value for "
                                    f"'{name}': cannot parse \"{bad}\" to a valid timestamp")
        self.assert_refused("query_range", {"query": "up", "start": 2, "end": 1, "step": 1},
                            'invalid parameter "end": '
                            'end timestamp must not be before start time')

    def test_before_1970_there_is_nothing(self):
        self.daemon.write(f"b1 v=1 {T0}")
        for times in ({"end": -5}, {"start": -10, "end": -5}):
            self.assertEqual(self.data("labels", times), [])
            self.assertEqual(self.data("label/__name__/values", times), [])
            self.assertEqual(self.data("series", times | {"match[]": "b1_v"}), [])
        self.assertEqual(self.data("query", {"query": "b1_v", "time": -5})["result"], [])

    def test_bad_steps_are_refused(self):
        times = {"query": "up", "start": 0, "end": 1_000_000}
        for step in ("0", "-1", "0s", "1e-10"):
            self.assert_refused("query_range", times | {"step": step},
                                'invalid parameter "step": zero or negative query resolution step '
                                'widths are not accepted. Try a positive integer')
        for step in ("", "x", "NaN"):
            self.assert_refused("query_range", times | {"step": step},
                                f'invalid parameter "step": cannot parse "{step}" to a valid '
                                'duration')
        self.assert_refused("query_range", times | {"step": "1e300"},
                            'invalid parameter "step": cannot parse "1e300" to a valid duration. '
                            'It overflows int64')
        self.assert_refused("query_range", times | {"step": "0.001"},
                            'exceeded maximum resolution of 11,000 points per timeseries. Try '
                            'decreasing the query resolution (?step=XX)')

    def test_timeout_and_lookback(self):
        self.daemon.write(f"t1 v=1 {T0}")
        for timeout in ("0", "-1"):
            self.assert_refused("query", {"query": "t1_v", "timeout": timeout},
                                "query timed out in expression evaluation", 503, "timeout")
        self.assert_refused("query", {"query": "t1_v", "timeout": "x"},
                            'invalid parameter "timeout": cannot parse "x" to a valid duration')
        self.assert_refused("query", {"query": "t1_v", "lookback_delta": "x"},
                            "error parsing lookback delta duration: "
                            'cannot parse "x" to a valid duration')
        for lookback, count in (("30s", 0), ("101", 1), ("", 1), ("0", 1), ("-5", 1)):
            ask = {"query": "t1_v", "time": T0_SECONDS + 100, "lookback_delta": lookback}
            self.assertEqual(len(self.data("query", ask)["result"]), count, lookback)

    def test_bad_selectors_are_refused(self):
        self.assert_refused("series", {}, "no match[] parameter provided")
        self.assert_refused("series", {"match[]": "{}"}, 'invalid parameter "match[]": '
                            'match[] must contain at least one non-empty matcher')
        self.assert_refused("labels", {"match[]": "{}"},
                            "match[] must contain at least one non-empty matcher")

    def test_label_names_may_be_escaped(self):
        self.remote_write(write_request([
            series({"__name__": "u1", "http.status": "200"}, [(T0_SECONDS * 1000, 1)])]))
        for name in ("http.status", "U__http_2e_status"):
            self.assertEqual(self.data(f"label/{name}/values", {"match[]": "u1"}), ["200"], name)

    # metadata

    def test_metadata_is_what_remote_write_has_brought(self):
        with harness.Daemon() as self.daemon:
            self.remote_write(description("m_total", COUNTER, 'All "m".', "") +
                              description("m_bytes", GAUGE, "Size.", "bytes") +
                              description("m_total", COUNTER, "Newer."))
            total = {"m_total": [{"type": "counter", "help": "Newer.", "unit": ""}]}
            size = {"m_bytes": [{"type": "gauge", "help": "Size.", "unit": "bytes"}]}
            for parameters, expected in (
                    ({}, size | total), ({"metric": "m_total"}, total), ({"metric": "x"}, {}),
                    ({"limit": 1}, size), ({"limit": 0}, {}), ({"limit": -1}, size | total),
                    ({"limit": 0, "metric": "m_total"}, {}),
                    ({"limit_per_metric": 1}, size | total)):
                self.assertEqual(self.data("metadata", parameters), expected, parameters)
        del self.daemon  # back to the one of all tests

    def test_what_grafana_asks_is_answered(self):
        # Its health check.
        answer = self.daemon.post_form("/api/v1/query", {"query": "1+1", "time": 4})
        self.assertEqual((answer.status, answer.json()), (200, {
            "status": "success", "data": {"resultType": "scalar", "result": [4, "2"]}}))
        # A panel.
        self.daemon.write([f"g1,h={h} v={i} {T0 + i * 15 * SECOND}" for i in range(9) for h in "ab"])
        answer = self.daemon.post_form("/api/v1/query_range", {
            "query": "sum by (h) (rate(g1_v[1m0s]))", "start": T0_SECONDS + 60,
            "end": T0_SECONDS + 120, "step": 15})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual([len(series["values"]) for series in answer.json()["data"]["result"]],
                         [5, 5])
        # The query builder.
        labels = self.daemon.post_form("/api/v1/labels", {
            "match[]": '{__name__="g1_v"}', "start": T0_SECONDS, "end": T0_SECONDS + 120})
        self.assertEqual(labels.json()["data"], ["__name__", "h"])

    # What Prometheus does and we do not

    def test_what_there_is_none_of_is_empty(self):
        self.assertEqual(self.data("targets", {"state": "active"})["activeTargets"], [])
        self.assertEqual(self.data("targets/metadata"), [])
        self.assertEqual(self.data("rules", {"type": "alert"}), {"groups": []})
        self.assertEqual(self.data("alerts"), {"alerts": []})
        self.assert_refused("metadata", {"limit": "x"}, "limit must be a number")
        self.assert_refused("metadata", {"limit_per_metric": "x"},
                            "limit_per_metric must be a number")
        self.assert_refused("rules", {"type": "x"},
                            'invalid parameter "type": not supported value "x"')

    def test_unknown_paths_have_the_error_shape(self):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = self.daemon.request(method, "/api/v1/nothing/here")
            self.assertEqual(answer.status, 404, method)
            self.assertEqual(answer.json()["errorType"], "not_found")

    def test_the_lifecycle_is_not_for_clients(self):
        self.assertEqual(self.daemon.post("/-/reload").status, 403)
        self.assertEqual(self.daemon.get("/-/reload").status, 405)
        for path in ("/-/healthy", "/-/ready"):
            self.assertEqual(self.daemon.request("HEAD", path).status, 200)

    # status

    def test_the_version_is_one_of_prometheus(self):
        self.assertRegex(self.data("status/buildinfo")["version"], r"^3\.\d+\.\d+$")

    def test_config_and_flags_tell_the_keys_in_effect(self):
        self.assertIn("max_nesting = 50\n", self.data("status/config")["yaml"])
        flags = self.data("status/flags")
        self.assertEqual((flags["query.max_nesting"], flags["wal.sync"]), ("50", "always"))

    def test_runtime_info_tells_the_start(self):
        info = self.data("status/runtimeinfo")
        self.assertRegex(info["startTime"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertEqual(info["storageRetention"], "forever")
        self.assertGreater(info["goroutineCount"], 1)

    def test_the_database_status_names_the_largest(self):
        with harness.Daemon() as daemon:
            daemon.write([f"s1,h=h{i},dc=x v=1,w=2 {T0}" for i in range(20)])
            daemon.write(f"s2 v=1 {T0}")
            status = daemon.get("/api/v1/status/tsdb", {"limit": 3}).json()["data"]
            self.assertEqual(status["headStats"]["numSeries"], 41)
            self.assertLess(status["headStats"]["minTime"], status["headStats"]["maxTime"])
            self.assertEqual(status["seriesCountByMetricName"],
                             [{"name": "s1_v", "value": 20}, {"name": "s1_w", "value": 20},
                              {"name": "s2_v", "value": 1}])
            self.assertEqual(status["labelValueCountByLabelName"][0], {"name": "h", "value": 20})
            self.assertEqual(status["memoryInBytesByLabelName"][0], {"name": "h", "value": 50})
            self.assertEqual(status["seriesCountByLabelValuePair"][0],
                             {"name": "dc=x", "value": 40})
        for limit in ("0", "-1", "x"):
            self.assert_refused("status/tsdb", {"limit": limit}, "limit must be a positive number")
        self.assert_refused("status/tsdb", {"limit": "10001"}, "limit must not exceed 10000")

    # admin

    def test_the_admin_api_is_off_unless_configured(self):
        for name in ("delete_series", "clean_tombstones", "snapshot"):
            path = "/api/v1/admin/tsdb/" + name
            for method in ("POST", "PUT"):
                off = self.daemon.request(method, path)
                self.assertEqual((off.status, off.json()), (500, {
                    "status": "error", "errorType": "unavailable",
                    "error": "admin APIs disabled"}))
            self.assertEqual(self.daemon.get(path).status, 405)

    def test_series_are_deleted_and_tombstones_cleaned(self):
        with harness.Daemon("--set", "http.admin_api=true") as daemon:
            path = "/api/v1/admin/tsdb/delete_series"
            daemon.write(["m,h=a v=1 1000000000", "m,h=a v=2 2000000000", "m,h=b v=3 1000000000"])
            for parameters in ({}, {"match[]": "{"}, {"match[]": "m_v", "start": "x"},
                               {"match[]": "m_v", "start": "2", "end": "1"}):
                answer = daemon.post_form(path, parameters)
                self.assertEqual((answer.status, answer.json()["errorType"]), (400, "bad_data"))
            answer = daemon.post_form(path, {"match[]": 'm_v{h="a"}', "start": "2", "end": "3"})
            self.assertEqual(answer.status, 204, answer)
            self.assertEqual(sorted(len(s) for s in daemon.export("m_v").values()), [1, 1])
            daemon.write(["m,h=a v=9 2000000000"])
            self.assertEqual(sorted(len(s) for s in daemon.export("m_v").values()), [1, 2])
            self.assertEqual(daemon.metrics()["tsdbd_tombstones"], 1)
            self.assertEqual(daemon.request(
                "PUT", "/api/v1/admin/tsdb/clean_tombstones").status, 204)
            self.assertEqual(daemon.metrics()["tsdbd_tombstones"], 0)
            self.assertEqual(daemon.request("PUT", path, parameters={"match[]": "m_v"}).status, 204)
            self.assertEqual(daemon.series("m_v"), [])
            self.assertEqual(daemon.get("/api/v1/label/h/values").json()["data"], [])

    def test_a_daemon_on_a_snapshot_gives_the_same_answers(self):
        with harness.Daemon("--set", "http.admin_api=true") as daemon:
            daemon.write([f"m,h=a v={i} {i}000000000" for i in range(1, 100)])
            daemon.flush()
            daemon.write(["m,h=b v=1 1000000000"])
            path = "/api/v1/admin/tsdb/snapshot"
            self.assertEqual(daemon.post(path, parameters={"skip_head": "x"}).status, 400)
            answer = daemon.post(path)
            self.assertEqual(answer.status, 200, answer)
            name = answer.json()["data"]["name"]
            self.assertRegex(name, r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$")
            before = daemon.export("m_v")
            with tempfile.TemporaryDirectory() as folder:
                copy = os.path.join(folder, "copy")
                shutil.copytree(os.path.join(daemon.data_dir, "snapshots", name), copy)
                with harness.Daemon(data_dir=copy) as restored:
                    self.assertEqual(restored.export("m_v"), before)

    # federate

    def federate(self, *selectors, headers=None):
        answer = self.daemon.get("/federate", [("match[]", s) for s in selectors], headers)
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        return answer.text

    def test_federation_gives_the_newest_samples(self):
        now = time.time_ns() // 1_000_000 * 1_000_000
        old = now - 600 * SECOND
        self.daemon.write([f"f2,h=b v=2 {now - 10 * SECOND}", f"f2,h=b v=3 {now - 5 * SECOND}",
                           f"f2,h=a,instance=i v=1 {now - SECOND}", f"f2,h=c v=1 {old}",
                           f"f1 v=0.5 {now - SECOND}"])
        millis = now // 1_000_000
        self.assertEqual(self.federate('{__name__=~"f[12]_v"}', "f1_v"),
                         "# TYPE f1_v untyped\n"
                         f'f1_v{{instance=""}} 0.5 {millis - 1000}\n'
                         "# TYPE f2_v untyped\n"
                         f'f2_v{{h="a",instance="i"}} 1 {millis - 1000}\n'
                         f'f2_v{{h="b",instance=""}} 3 {millis - 5000}\n')
        self.assertEqual(self.federate(), "")
        self.assertEqual(self.federate("nothing"), "")

    def test_federation_tells_types_and_escapes_names(self):
        millis = time.time_ns() // 1_000_000
        self.remote_write(write_request([
            series({"__name__": name, "instance": "i", "a.b": "1"}, [(millis, 1)])
            for name in ("f4_total", "f4.dots", "f4_seconds_bucket")]) +
            description("f4_total", COUNTER) + description("f4.dots", GAUGE) +
            description("f4_seconds_bucket", HISTOGRAM))
        selector = '{__name__=~"f4.*"}'
        self.assertEqual(self.federate(selector),
                         "# TYPE f4_dots untyped\n"
                         f'f4_dots{{a_b="1",instance="i"}} 1 {millis}\n'
                         "# TYPE f4_seconds_bucket untyped\n"
                         f'f4_seconds_bucket{{a_b="1",instance="i"}} 1 {millis}\n'
                         "# TYPE f4_total counter\n"
                         f'f4_total{{a_b="1",instance="i"}} 1 {millis}\n')
        accept = {"Accept": "text/plain;version=1.0.0;escaping=allow-utf-8"}
        self.assertIn('# TYPE "f4.dots" gauge\n'
                      f'{{"f4.dots","a.b"="1",instance="i"}} 1 {millis}\n',
                      self.federate(selector, headers=accept))

    def test_federation_refuses_what_is_no_selector(self):
        self.assertEqual(self.daemon.get("/federate", {"match[]": "{"}).status, 400)

    @needs_promtool
    def test_promtool_has_nothing_to_say_about_federation(self):
        self.daemon.write(["f3,h=a\\\\b\\ c v=2", "f3 v=1e-9", "f3,x=ä v=-1e300"])
        done = subprocess.run(["promtool", "check", "metrics"], input=self.federate("f3_v"),
                              capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual((done.stdout, done.stderr.replace("f3_v no help text\n", "")), ("", ""))


class PromtoolTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(harness.Daemon())
        cls.daemon.write([f"p,host=x v={i} {T0 + i * 10 * SECOND}" for i in range(7)])

    def promtool(self, *arguments):
        done = subprocess.run(["promtool", "query", *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    @needs_promtool
    def test_instant(self):
        said = self.promtool("instant", f"--time={T0_SECONDS + 60}", self.daemon.url, "p_v")
        self.assertIn('p_v{host="x"} => 6', said)

    @needs_promtool
    def test_range(self):
        said = self.promtool("range", f"--start={T0_SECONDS}", f"--end={T0_SECONDS + 60}",
                             "--step=30s", self.daemon.url, "p_v")
        self.assertEqual(said.split("\n")[0], 'p_v{host="x"} =>')
        self.assertIn(f"3 @[{T0_SECONDS + 30}]", said)

    @needs_promtool
    def test_series(self):
        said = self.promtool("series", "--match=p_v", f"--start={T0_SECONDS}",
                             f"--end={T0_SECONDS + 60}", self.daemon.url)
        self.assertEqual(said, '{__name__="p_v", host="x"}\n')

    @needs_promtool
    def test_labels(self):
        self.assertEqual(self.promtool("labels", self.daemon.url, "host"), "x\n")


@contextlib.contextmanager
def running_prometheus():
    """The address of a fresh Prometheus that scrapes itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder = tempfile.mkdtemp(prefix="tsdbd-test-")
    config = os.path.join(folder, "prometheus.yml")
    with open(config, "w", encoding="ascii") as file:
        json.dump({"global": {"scrape_interval": "200ms"}, "scrape_configs": [
            {"job_name": "self", "static_configs": [{"targets": [address]}]}]}, file)
    process = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address={address}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def fetch(address, path):
    """The status, media type and parsed body that a server answers."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=TIMEOUT_SECONDS) as answer:
            body, status, headers = answer.read(), answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            body, status, headers = error.read(), error.code, error.headers
    media_type = headers.get_content_type()
    return status, media_type, json.loads(body) if media_type == "application/json" else None


def shape_of(value):
    """What of a JSON value does not depend on the data: keys and types."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) \
        else type(value).__name__


class SameShapeTest(unittest.TestCase):
    """The same requests to a Prometheus 2.42 and to us."""

    # Keys that Prometheus has had only since then.
    NEW_KEYS = {"status/runtimeinfo": {"hostname", "serverTime", "GOMEMLIMIT"},
                "status/buildinfo": {"application"},
                "status/tsdb": {"refusedSeriesByMetricName"},
                "targets?state=dropped":
                {"droppedTargetCounts"}}

    @needs_prometheus
    def test_answers_have_the_same_keys_and_types(self):
        with running_prometheus() as prometheus, harness.Daemon() as daemon:
            self.wait_for_data(prometheus)
            # The same labels as a scraped sample has.
            daemon.write('up,instance=i,job=self value=1', db="")
            ours = f"127.0.0.1:{daemon.port}"
            end = time.time()
            span = f"start={end - 10}&end={end}"
            for ask_theirs, ask_ours in [
                    ("query?query=up", "query?query=up_value"),
                    ("query?query=up%7Bjob%3D%22none%22%7D", "query?query=none"),
                    ("query?query=1", None), ("query?query=%22s%22", None),
                    ("query?query=up%5B1m%5D", "query?query=up_value%5B1m%5D"),
                    (f"query_range?query=up&{span}&step=1",
                     f"query_range?query=up_value&start={end - 10}&end={end + 10}&step=1"),
                    ("series?match%5B%5D=up", "series?match%5B%5D=up_value"),
                    ("labels", None), ("label/job/values", None), ("label/none/values", None),
                    ("query_exemplars?query=up", None), ("format_query?query=a%2Bb", None),
                    ("alerts", None), ("rules", None), ("alertmanagers", None),
                    ("targets?state=dropped", None), ("status/config", None),
                    ("status/runtimeinfo", None), ("status/buildinfo", None),
                    ("status/tsdb", None), ("status/walreplay", None),
                    # Errors.
                    ("query", None), ("query?query=up%7B", None), ("query?query=up&time=x", None),
                    ("query?query=up&timeout=x", None), ("query?query=up&timeout=0", None),
                    ("query_range?query=up", None), ("series", None),
                    ("query_range?query=up&start=2&end=1&step=1", None),
                    ("query_range?query=up&start=1&end=2&step=0", None),
                    ("query_range?query=up&start=0&end=100000&step=1", None),
                    ("query_range?query=up%5B1m%5D&start=1&end=2&step=1", None),
                    ("labels?match%5B%5D=%7B%7D", None), ("labels?start=x", None),
                    ("metadata?limit=x", None), ("rules?type=x", None),
                    ("targets/metadata?limit=x", None)]:
                with self.subTest(ask_theirs):
                    theirs = fetch(prometheus, "/api/v1/" + ask_theirs)
                    mine = fetch(ours, "/api/v1/" + (ask_ours or ask_theirs))
                    self.assertEqual(mine[:2], theirs[:2])
                    self.compare(theirs[2], mine[2], self.NEW_KEYS.get(ask_theirs, set()))

    def compare(self, theirs, ours, new_keys):
        if theirs["status"] == "error":
            self.assertEqual((ours["status"], ours["errorType"]), ("error", theirs["errorType"]))
            return
        if isinstance(ours["data"], dict):
            for key in new_keys:
                ours["data"].pop(key)
        self.assertEqual(shape_of(ours), shape_of(theirs))

    def wait_for_data(self, address):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                # While it starts, it answers 503 with a text.
                status, _, body = fetch(address, "/api/v1/query?query=up")
                if status == 200 and body["data"]["result"]:
                    return
            time.sleep(0.1)
        self.fail("Prometheus has scraped nothing")


if __name__ == "__main__":
    unittest.main()
