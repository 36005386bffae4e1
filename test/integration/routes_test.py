"""Every route of the real daemon: what it answers, and what it refuses."""

import gzip
import json
import socket
import unittest

import harness

SECOND = 1_000_000_000
# A moment that is no multiple of a minute, in ns.
T0 = 1_700_000_000 * SECOND


class RoutesTest(unittest.TestCase):
    """One daemon for all tests; each writes to a measurement of its own."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(
            harness.Daemon("--set", "write.max_body=1MiB", "--set", "debug.pages=true"))

    def assert_error(self, answer, status, text, key="error"):
        self.assertEqual(answer.status, status, answer)
        self.assertIn(text, answer.json()[key])

    # /write

    def test_a_written_line_is_read_back(self):
        self.daemon.write(f"w1,host=a usage=1.5,idle=2i {T0}", db="mydb")
        self.assertEqual(self.daemon.export('{__name__=~"w1_.*"}'), {
            (("__name__", "w1_usage"), ("db", "mydb"), ("host", "a")): [(T0, 1.5)],
            (("__name__", "w1_idle"), ("db", "mydb"), ("host", "a")): [(T0, 2)],
        })

    def test_precisions_scale_timestamps(self):
        for precision, factor in {"ns": 1, "n": 1, "u": 1_000, "us": 1_000, "ms": 1_000_000,
                                  "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}.items():
            at = T0 // factor
            self.daemon.write(f"w2,p={precision} v=1 {at}", precision=precision)
            exported = self.daemon.export(f'w2_v{{p="{precision}"}}')
            self.assertEqual(list(exported.values()), [[(at * factor, 1)]], precision)

    def test_an_empty_body_is_fine(self):
        self.daemon.write("")
        self.daemon.write("# only a comment\n\n")

    def test_a_partial_write_stores_the_good_lines_and_names_the_bad(self):
        answer = self.daemon.post("/write", f"w3 v=1 {T0}\nw3 v=\nw3 v=2 {T0 + 1}\nw3\n")
        self.assertEqual(answer.status, 400, answer)
        error = answer.json()
        self.assertRegex(error["error"], r"^partial write: .* dropped=2$")
        self.assertEqual(error["stored"], 2)
        self.assertEqual([line["line"] for line in error["lines"]], [2, 4])
        self.assertEqual(list(self.daemon.export("w3_v").values()), [[(T0, 1), (T0 + 1, 2)]])

    def test_a_write_of_bad_lines_only_is_not_called_partial(self):
        self.assert_error(self.daemon.post("/write", "w4"), 400, "unable to parse 'w4'")

    def test_many_bad_lines_are_counted_but_not_all_named(self):
        error = self.daemon.post("/write", "w5\n" * 250 + f"w5 v=1 {T0}").json()
        self.assertIn("dropped=250", error["error"])
        self.assertEqual(len(error["lines"]), 100)

    def test_bad_tags_are_found_when_a_series_is_new(self):
        error = self.daemon.post("/write", f"w6,a=1,a=2 v=1 {T0}\nw6,a=1 v=1 {T0}").json()
        self.assertEqual([line["line"] for line in error["lines"]], [1])
        self.assertEqual(error["stored"], 1)

    def test_an_unknown_precision_is_refused(self):
        self.assert_error(self.daemon.post("/write?precision=q", f"w7 v=1 {T0}"), 400, "precision")

    def test_the_far_future_is_refused(self):
        answer = self.daemon.post("/write", "w8 v=1 9000000000000000000")
        self.assertEqual(answer.status, 400, answer)

    def test_a_body_over_the_limit_is_refused(self):
        answer = self.daemon.post("/write", b"x" * (1 << 20) + b"y")
        self.assertEqual(answer.status, 413, answer)

    def test_a_gzip_body_is_inflated(self):
        answer = self.daemon.post("/write", gzip.compress(f"w9 v=7 {T0}".encode()),
                                  headers={"Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 204, answer)
        self.assertEqual(list(self.daemon.export("w9_v").values()), [[(T0, 7)]])

    def test_a_large_body_takes_the_same_way(self):
        count = 10_000
        self.daemon.write([f"w10,host=h{i % 10} v={i} {T0 + i}" for i in range(count)])
        exported = self.daemon.export("w10_v")
        self.assertEqual(len(exported), 10)
        self.assertEqual(sorted(sample for samples in exported.values() for sample in samples),
                         [(T0 + i, i) for i in range(count)])

    def test_writing_needs_a_post(self):
        for path in ("/write", "/api/v2/write", "/api/v1/admin/flush"):
            answer = self.daemon.get(path)
            self.assertEqual(answer.status, 405, path)
            self.assertIn("POST", answer.headers["allow"])

    # /api/v2/write

    def test_v2_stores_under_its_bucket(self):
        answer = self.daemon.post("/api/v2/write?org=o&bucket=b&precision=s", "v1 v=1 1700000000")
        self.assertEqual(answer.status, 204, answer)
        self.assertEqual(self.daemon.export("v1_v"),
                         {(("__name__", "v1_v"), ("db", "b")): [(T0, 1)]})

    def test_v2_stores_all_or_nothing(self):
        for bad in ("v2 v=", "v2,a=1,a=2 v=1"):
            answer = self.daemon.post("/api/v2/write?bucket=b", f"v2 v=1 {T0}\n{bad}")
            self.assert_error(answer, 400, "line 2", key="message")
            self.assertEqual(answer.json()["code"], "invalid")
        self.assertEqual(self.daemon.export("v2_v"), {})

    # /ping, /query, health

    def test_ping(self):
        for method in ("GET", "HEAD"):
            answer = self.daemon.request(method, "/ping")
            self.assertEqual(answer.status, 204)
            self.assertTrue(answer.headers["x-influxdb-version"].startswith("1."))

    def test_databases_are_made_and_shown(self):
        made = self.daemon.post("/query", parameters={"q": 'CREATE DATABASE "new one"'})
        self.assertEqual(made.json(), {"results": [{"statement_id": 0}]})
        self.daemon.write(f"q1 v=1 {T0}", db="written")
        shown = self.daemon.get("/query", {"q": "SHOW DATABASES"}).json()
        series = shown["results"][0]["series"][0]
        self.assertEqual((series["name"], series["columns"]), ("databases", ["name"]))
        self.assertLessEqual({("new one",), ("written",)}, {tuple(row) for row in series["values"]})

    def test_statements_may_come_as_a_form(self):
        answer = self.daemon.post_form("/query", {"q": "CREATE DATABASE a; SHOW DATABASES"})
        self.assertEqual(len(answer.json()["results"]), 2)

    def test_nothing_is_made_by_get(self):
        answer = self.daemon.get("/query", {"q": "CREATE DATABASE by_get"})
        self.assertIn("POST", answer.json()["results"][0]["error"])
        shown = self.daemon.get("/query", {"q": "SHOW DATABASES"})
        self.assertNotIn("by_get", shown.text)

    def test_retention_policies_are_shown(self):
        answer = self.daemon.get("/query", {"q": "SHOW RETENTION POLICIES ON x"}).json()
        series = answer["results"][0]["series"][0]
        self.assertEqual(series["values"], [["autogen", "0s", "24h0m0s", 1, True]])

    def test_other_statements_say_that_they_are_not_supported(self):
        answer = self.daemon.get("/query", {"q": "SELECT * FROM cpu"})
        self.assertIn("PromQL", answer.json()["results"][0]["error"])
        self.assert_error(self.daemon.get("/query", {"q": "CREATE DATABASE"}), 400, "error parsing")
        self.assert_error(self.daemon.get("/query"), 400, 'missing required parameter "q"')

    def test_health(self):
        for path in ("/-/healthy", "/-/ready"):
            self.assertEqual(self.daemon.get(path).status, 200)
        self.assertEqual(self.daemon.get("/health").json()["status"], "pass")
        self.assertEqual(self.daemon.get("/ready").json()["status"], "ready")

    # Prometheus' API

    def test_an_instant_query(self):
        self.daemon.write([f"p1,host=a v=1 {T0}", f"p1,host=b v=2 {T0}"])
        for answer in (self.daemon.get("/api/v1/query", {"query": 'p1_v{host="b"}',
                                                         "time": 1_700_000_010}),
                       self.daemon.post_form("/api/v1/query", {"query": 'p1_v{host="b"}',
                                                               "time": 1_700_000_010})):
            self.assertEqual(answer.json(), {"status": "success", "data": {
                "resultType": "vector",
                "result": [{"metric": {"__name__": "p1_v", "host": "b"},
                            "value": [1_700_000_010, "2"]}]}})

    def test_a_query_without_time_is_about_now(self):
        self.daemon.write("p2 v=3")
        self.assertEqual(self.daemon.query("p2_v")["result"][0]["value"][1], "3")

    def test_the_lookback_can_be_chosen(self):
        self.daemon.write(f"p3 v=1 {T0}")
        ask = {"query": "p3_v", "time": 1_700_000_100}
        self.assertEqual(len(self.daemon.get("/api/v1/query", ask).json()["data"]["result"]), 1)
        ask["lookback_delta"] = "30s"
        self.assertEqual(len(self.daemon.get("/api/v1/query", ask).json()["data"]["result"]), 0)

    def test_a_range_query(self):
        self.daemon.write([f"p4 v={i} {T0 + i * 10 * SECOND}" for i in range(7)])
        data = self.daemon.query_range("p4_v", 1_700_000_000, 1_700_000_060, "30s")
        self.assertEqual(data, {"resultType": "matrix", "result": [{
            "metric": {"__name__": "p4_v"},
            "values": [[1_700_000_000, "0"], [1_700_000_030, "3"], [1_700_000_060, "6"]]}]})

    def test_bad_queries_have_prometheus_error_shape(self):
        for path, parameters in {
                "/api/v1/query": [{}, {"query": "up{"}, {"query": "up", "time": "x"},
                                  {"query": "up", "timeout": "-1s"},
                                  {"query": "up", "lookback_delta": "x"}],
                "/api/v1/query_range": [{"query": "up"},
                                        {"query": "up", "start": 2, "end": 1, "step": 1},
                                        {"query": "up", "start": 1, "end": 2, "step": 0},
                                        {"query": "up", "start": 1, "end": 2},
                                        {"query": "up", "start": 0, "end": 1e9, "step": 1}],
                "/api/v1/series": [{}, {"match[]": "{"}, {"match[]": "up", "limit": "x"},
                                   {"match[]": "up", "start": 2, "end": 1}],
                "/api/v1/labels": [{"match[]": "{}"}],
                "/api/v1/label/a/values": [{"start": "x"}],
                "/api/v1/export": [{}, {"match[]": "up", "precision": "s"}],
        }.items():
            for case in parameters:
                answer = self.daemon.get(path, case)
                self.assertEqual(answer.status, 400, (path, case, answer))
                error = answer.json()
                self.assertEqual((error["status"], error["errorType"]), ("error", "bad_data"))
                self.assertTrue(error["error"])

    def test_series_labels_and_values(self):
        self.daemon.write([f"p5,host=a,dc=x v=1 {T0}", f"p5,host=b v=1 {T0}"])
        self.assertCountEqual(self.daemon.series('p5_v{host="a"}', "p5_v"), [
            {"__name__": "p5_v", "host": "a", "dc": "x"}, {"__name__": "p5_v", "host": "b"}])
        ask = {"match[]": "p5_v"}
        self.assertEqual(self.daemon.get("/api/v1/labels", ask).json()["data"],
                         ["__name__", "dc", "host"])
        self.assertEqual(self.daemon.post_form("/api/v1/labels", ask).json()["data"],
                         ["__name__", "dc", "host"])
        self.assertEqual(self.daemon.get("/api/v1/label/host/values", ask).json()["data"],
                         ["a", "b"])
        self.assertIn("p5_v", self.daemon.get("/api/v1/label/__name__/values").json()["data"])
        limited = self.daemon.get("/api/v1/label/host/values", ask | {"limit": 1}).json()
        self.assertEqual(limited["data"], ["a"])
        self.assertEqual(len(limited["warnings"]), 1)

    # /api/v1/export

    def test_export_in_milliseconds_and_in_a_range(self):
        self.daemon.write([f"e1 v={i} {T0 + i * SECOND}" for i in range(5)])
        answer = self.daemon.get("/api/v1/export", {"match[]": "e1_v", "start": 1_700_000_001,
                                                    "end": 1_700_000_002})
        self.assertEqual([json.loads(line) for line in answer.text.splitlines()], [{
            "metric": {"__name__": "e1_v"}, "values": [1, 2],
            "timestamps": [1_700_000_001_000, 1_700_000_002_000]}])

    def test_a_series_that_two_selectors_match_is_exported_once(self):
        self.daemon.write([f"e2,h=a v=1 {T0}", f"e2,h=b v=2 {T0}"])
        self.assertEqual(len(self.daemon.export('e2_v{h="a"}', '{__name__="e2_v"}')), 2)

    def test_a_large_export_is_streamed(self):
        count = 30_000
        for start in range(0, count, 10_000):
            self.daemon.write([f"e3 v={i} {T0 + i}" for i in range(start, start + 10_000)])
        self.assertEqual(list(self.daemon.export("e3_v").values()),
                         [[(T0 + i, i) for i in range(count)]])
        # Many series make many pieces.
        self.daemon.write([f"e4,h=host-{i:05} v={i} {T0}" for i in range(5_000)])
        answer = self.daemon.get("/api/v1/export", {"match[]": "e4_v"})
        self.assertEqual(answer.headers.get("transfer-encoding"), "chunked")
        self.assertEqual(len(answer.text.splitlines()), 5_000)

    def test_an_export_to_nobody_does_no_harm(self):
        self.daemon.write([f"e5,h=host-{i:05} v={i} {T0}" for i in range(5_000)])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", self.daemon.port)) as client:
                client.sendall(b"GET /api/v1/export?match[]=e5_v HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(100)
        self.assertEqual(len(self.daemon.export("e5_v")), 5_000)

    # Flush, metrics, debug pages

    def test_a_flush_changes_nothing_that_is_read(self):
        self.daemon.write([f"f1,h={h} v={i} {T0 + i}" for i in range(100) for h in "ab"])
        before = self.daemon.export("f1_v")
        flushes = self.daemon.metrics()["tsdbd_flushes_total"]
        self.daemon.flush()
        self.assertEqual(self.daemon.export("f1_v"), before)
        after = self.daemon.metrics()
        self.assertGreater(after["tsdbd_flushes_total"], flushes)
        self.assertGreater(after["tsdbd_blocks"], 0)
        self.assertGreaterEqual(after["tsdbd_block_samples"], 200)

    def test_metrics_tell_what_was_done(self):
        before = self.daemon.metrics()
        self.daemon.write([f"m1 a={i},b={i} {T0 + i}" for i in range(10)])
        self.daemon.post("/write", f"m1 a=1 {T0}\nm1")
        after = self.daemon.metrics()

        def grown(name):
            return after[name] - before.get(name, 0)
        self.assertEqual(grown("tsdbd_write_lines_total"), 12)
        self.assertEqual(grown("tsdbd_write_lines_refused_total"), 1)
        self.assertEqual(grown('tsdbd_write_requests_total{outcome="stored"}'), 1)
        self.assertEqual(grown('tsdbd_write_requests_total{outcome="partial"}'), 1)
        self.assertEqual(grown("tsdbd_rows_written_total"), 11)
        self.assertEqual(grown("tsdbd_samples_written_total"), 21)
        self.assertEqual(grown('tsdbd_stage_duration_seconds_count{stage="parse"}'), 2)
        self.assertEqual(grown("tsdbd_wal_records_total"), 2)
        self.assertEqual(after['tsdbd_wal_health{state="ok"}'], 1)
        self.assertGreater(after["process_resident_memory_bytes"], 1 << 20)

    def test_metrics_have_the_content_type_of_the_text_format(self):
        answer = self.daemon.get("/metrics")
        self.assertEqual(answer.headers["content-type"],
                         "text/plain; version=0.0.4; charset=utf-8")

    def test_stages_are_json_or_a_table(self):
        self.daemon.write(f"s1 v=1 {T0}")
        stages = {stage["stage"]: stage
                  for stage in self.daemon.get("/debug/stages").json()["stages"]}
        for name in ("read", "parse", "resolve_hit", "resolve_new", "wal_append", "wal_sync",
                     "head_append", "respond", "recover"):
            self.assertGreater(stages[name]["count"], 0, name)
            self.assertLessEqual(stages[name]["p50_ns"], stages[name]["max_ns"])
        table = self.daemon.get("/debug/stages", headers={"Accept": "text/plain"})
        self.assertTrue(table.headers["content-type"].startswith("text/plain"))
        self.assertRegex(table.text, r"(?m)^wal_sync +\d+")

    def test_debug_pages_that_were_asked_for(self):
        self.assertIn('max_body = "1MiB"', self.daemon.get("/debug/config").text)
        self.assertEqual(self.daemon.get("/debug/memory").status, 200)

    # All answers

    def test_answers_carry_nosniff_and_no_cors_and_no_version(self):
        for path in ("/ping", "/health", "/metrics", "/nothing/here", "/api/v1/query?query=1"):
            answer = self.daemon.request("GET", path, headers={"Origin": "http://evil.example"})
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff", path)
            self.assertNotIn("access-control-allow-origin", answer.headers, path)
            self.assertNotIn("server", answer.headers, path)
            self.assertNotIn("0.1.0", answer.text, path)

    def test_head_answers_like_get_without_a_body(self):
        for path in ("/health", "/metrics", "/api/v1/labels", "/api/v1/query?query=1"):
            answer = self.daemon.request("HEAD", path)
            self.assertEqual((answer.status, answer.body), (200, b""), path)

    def test_many_requests_share_a_connection(self):
        connection = self.daemon.connect()
        for i in range(50):
            answer = harness.exchange(connection, "POST", "/write", f"k1 v={i} {T0 + i}")
            self.assertEqual(answer.status, 204)
        connection.close()
        self.assertEqual(len(list(self.daemon.export("k1_v").values())[0]), 50)

    def test_an_unknown_path_is_404(self):
        self.assert_error(self.daemon.get("/nothing/here"), 404, "no such path")


if __name__ == "__main__":
    unittest.main()
