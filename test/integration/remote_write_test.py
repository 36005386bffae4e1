"""Prometheus remote write, message by message: what is stored, what is refused and how."""

import gzip
import threading
import time
import unittest

import harness
from remote_messages import (STALE, field_bytes, field_varint, series, snappy, write_request,
                             write_request_v2)

V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
START_MS = 1_700_000_000_000


def up(**labels):
    return {"__name__": "up"} | labels


class RemoteWriteTest(unittest.TestCase):
    def setUp(self):
        self.daemon = harness.Daemon().start()
        self.addCleanup(self.daemon.close)

    def send(self, message, content_type=V1, encoding="snappy", compress=snappy):
        headers = {"Content-Type": content_type, "Content-Encoding": encoding,
                   "X-Prometheus-Remote-Write-Version": "0.1.0"}
        return self.daemon.post("/api/v1/write", compress(message),
                                headers={name: value for name, value in headers.items() if value})

    def stored(self, name):
        """{labels without the name: [(ms, value)]}"""
        exported = self.daemon.export(f'{{__name__="{name}"}}')
        return {tuple(pair for pair in labels if pair[0] != "__name__"):
                [(ns // 1_000_000, value) for ns, value in samples]
                for labels, samples in exported.items()}

    def written(self, answer):
        return [answer.headers.get(f"x-prometheus-remote-write-{kind}-written")
                for kind in ("samples", "histograms", "exemplars")]

    def test_samples_of_both_versions_are_of_one_series(self):
        answer = self.send(write_request([series(up(job="a"), [(START_MS, 1), (START_MS + 1, 2)]),
                                          series(up(job="b"), [(START_MS, 3)])]))
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.written(answer), [None] * 3)
        answer = self.send(write_request_v2([(up(job="a"), [(START_MS + 2, 4)])]), V2)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.written(answer), ["1", "0", "0"])
        self.assertEqual(self.stored("up"), {
            (("job", "a"),): [(START_MS, 1), (START_MS + 1, 2), (START_MS + 2, 4)],
            (("job", "b"),): [(START_MS, 3)]})

    def test_late_samples_duplicates_and_corrections_are_taken(self):
        for samples in ([(START_MS, 1)], [(START_MS - 3_600_000, 2)], [(START_MS, 1)],
                        [(START_MS, 5), (START_MS - 1, 6)]):
            self.assertEqual(self.send(write_request([series(up(), samples)])).status, 204)
        self.assertEqual(self.stored("up"), {
            (): [(START_MS - 3_600_000, 2), (START_MS - 1, 6), (START_MS, 5)]})

    def test_a_series_is_the_same_as_the_one_of_line_protocol(self):
        self.daemon.write(f"cpu,host=a usage=1 {START_MS}", precision="ms")
        self.send(write_request([series({"__name__": "cpu_usage", "host": "a"},
                                        [(START_MS + 1, 2)])]))
        self.assertEqual(self.stored("cpu_usage"),
                         {(("host", "a"),): [(START_MS, 1), (START_MS + 1, 2)]})

    def test_samples_outlive_a_crash(self):
        self.assertEqual(self.send(write_request([series(up(a="x"), [(START_MS, 1)])])).status, 204)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.stored("up"), {(("a", "x"),): [(START_MS, 1)]})

    def test_staleness_ends_a_series(self):
        self.send(write_request([series(up(), [(START_MS, 1), (START_MS + 1000, STALE)])]))
        self.assertEqual(len(self.daemon.query("up", START_MS / 1000)["result"]), 1)
        self.assertEqual(self.daemon.query("up", START_MS / 1000 + 2)["result"], [])

    def test_labels_in_any_order_and_any_text(self):
        labels = [("zone", "b"), ("job name", "line\nbreak"), ("__name__", "cpu.usage"),
                  ("empty", ""), ("Größe", "übergroß")]
        for message, kind in ((write_request([series(labels, [(START_MS, 1)])]), V1),
                              (write_request_v2([(labels, [(START_MS + 1, 2)])]), V2)):
            self.assertEqual(self.send(message, kind).status, 204)
        self.assertEqual(self.stored("cpu.usage"), {
            (("Größe", "übergroß"), ("job name", "line\nbreak"), ("zone", "b")):
                [(START_MS, 1), (START_MS + 1, 2)]})

    def test_bad_series_are_refused_and_the_rest_is_stored(self):
        one = [(START_MS, 1)]
        future = int(time.time() * 1000) + 10 * 86_400_000
        all_series = [(up(), one), ({"job": "nameless"}, one),
                      ([("__name__", "up"), ("a", "1"), ("a", "2")], one * 2),
                      ([("__name__", "up"), ("", "v")], one), (up(b="1"), one + [(future, 2)])]
        for message, kind, written in (
                (write_request([series(*each) for each in all_series]), V1, None),
                (write_request_v2(all_series), V2, "2")):
            answer = self.send(message, kind)
            self.assertEqual(answer.status, 400)
            self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
            self.assertEqual(self.written(answer)[0], written)
            first, *others = answer.text.splitlines()
            self.assertEqual(first, "partial write: 2 samples stored, 5 refused; series 2: "
                                    "no metric name: label __name__ is missing or empty")
            self.assertEqual(others[:2], ['series 3: duplicate label name "a"',
                                          'series 4: empty label name with value "v"'])
            self.assertRegex(others[2], rf"^series 5: timestamp {future} ms is out of range")
        self.assertEqual(self.stored("up"), {(): one, (("b", "1"),): one})
        metrics = self.daemon.metrics()
        self.assertEqual(metrics['tsdbd_remote_write_requests_total{outcome="partial"}'], 2)
        self.assertEqual(metrics["tsdbd_remote_write_samples_refused_total"], 10)

    def test_a_request_without_anything_good_is_refused(self):
        answer = self.send(write_request([series({"a": "b"}, [(START_MS, 1)])]))
        self.assertEqual((answer.status, answer.text), (
            400, "0 samples stored, 1 refused; series 1: no metric name: label __name__ is missing "
                 "or empty\n"))
        answer = self.send(write_request_v2([(up(), [])]), V2)
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.written(answer), ["0", "0", "0"])

    def test_histograms_and_exemplars_are_counted_and_skipped(self):
        histogram, exemplar = field_bytes(3, field_varint(15, START_MS)), field_bytes(4, b"")
        answer = self.send(write_request_v2([(up(), [(START_MS, 1)], exemplar),
                                             (up(le="x"), [], histogram)]), V2)
        self.assertEqual(answer.status, 204)
        self.assertEqual(self.written(answer), ["1", "0", "0"])
        metrics = self.daemon.metrics()
        self.assertEqual(metrics["tsdbd_remote_write_histograms_skipped_total"], 1)
        self.assertEqual(metrics["tsdbd_remote_write_exemplars_skipped_total"], 1)

    def test_what_is_announced_must_be_understood(self):
        good = write_request([series(up(), [(START_MS, 1)])])
        for content_type, encoding, status in (
                (V1, "snappy", 204), ("", "snappy", 204), (V1, "", 204), (V1, "SNAPPY", 204),
                ("application/x-protobuf; proto=prometheus.WriteRequest", "snappy", 204),
                ("Application/X-Protobuf;charset=x", "snappy", 204),
                ("application/json", "snappy", 415), ("image/png", "snappy", 415),
                ("application/x-protobuf;proto=prometheus.Other", "snappy", 415),
                ("application/x-protobuf;proto=", "snappy", 415),
                (V1, "gzip", 415), (V1, "deflate", 415), (V1, "zstd", 415)):
            answer = self.send(good, content_type, encoding)
            self.assertEqual(answer.status, status, (content_type, encoding, answer))
        self.assertEqual(self.send(good, V1, "gzip", gzip.compress).status, 415)

    def test_damaged_bodies_are_refused(self):
        block = snappy(write_request([series(up(), [(START_MS, 1)])]))
        for what, body in (("empty", b""), ("text", b"up 1"), ("no block", b"\xff" * 100),
                           ("cut", block[:-3]), ("changed", b"0" + block[1:]),
                           ("no protobuf", snappy(b"no protobuf at all")),
                           ("cut protobuf", snappy(write_request([series(up(), [(1, 1)])])[:-2]))):
            for kind in (V1, V2):
                answer = self.send(body, kind, compress=bytes)
                self.assertEqual(answer.status, 400, (what, answer))
                self.assertTrue(answer.text.endswith("\n") and len(answer.text) > 10, answer)
        self.assertEqual(self.stored("up"), {})

    def test_a_few_bytes_that_declare_gigabytes_are_refused_at_once(self):
        bomb = b"\xff\xff\xff\xff\x0f\x00a"
        answers = []

        def send():
            answers.append(self.send(bomb, compress=bytes))

        before = self.daemon.metrics()["process_resident_memory_bytes"]
        start = time.monotonic()
        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual([answer.status for answer in answers], [413] * 20)
        self.assertIn("4294967295", answers[0].text)
        grown = self.daemon.metrics()["process_resident_memory_bytes"] - before
        self.assertLess(grown, 50_000_000)
        # Within the limit, but no block of this size can hold so much.
        self.assertEqual(self.send(b"\x80\x80\x80\x1e\x00aa", compress=bytes).status, 400)

    def test_a_large_request_is_stored(self):
        answer = self.send(write_request([series(up(n=str(i)), [(START_MS, i)])
                                          for i in range(20_000)]))
        self.assertEqual(answer.status, 204)
        self.assertEqual(len(self.stored("up")), 20_000)


if __name__ == "__main__":
    unittest.main()
