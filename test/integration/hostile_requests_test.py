"""Requests that ask for far too much. Each gets a clear error soon, and the daemon serves on."""

import json
import os
import sys
import threading
import time
import unittest
import zlib

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "promql"))
import remote_write  # noqa: E402

SECOND = 1_000_000_000
T0 = 1_700_000_000

# "Soon": none of these has anything to compute. A busy machine gets some leave.
SOON_SECONDS = 2
# What a hostile request may take of memory while it is refused.
MEMORY_LEAVE_KIB = 200 * 1024

NESTING = 100_000

QUERIES = {
    "an offset of all time": "m offset 9999999999y",
    "a sub-query of a year in milliseconds": "max_over_time(m[1y:1ms])",
    "a sub-query of a century in milliseconds": "count_over_time(vector(1)[100y:1ms])",
    "sub-queries in sub-queries": "sum_over_time(sum_over_time(vector(1)[1d:1s])[30y:1s])",
    "parentheses": "(" * NESTING + "1" + ")" * NESTING,
    "open parentheses": "(" * NESTING,
    "signs": "-" * NESTING + "1",
    "calls": "abs(" * NESTING + "m" + ")" * NESTING,
    "aggregations": "sum(" * NESTING + "m" + ")" * NESTING,
    "powers": "2^" * NESTING + "2",
    "braces": "{" * NESTING,
    "brackets": "m" + "[1m:1m]" * (NESTING // 4),
    "an open string": '"' + "x" * 1_000_000,
    "a repetition of repetitions": 'm{a=~"((((((a{1000}){1000}){1000}){1000}){1000}){1000})"}',
}

BAD_RANGES = [
    {"step": "0"}, {"step": "-1"}, {"step": "NaN"}, {"step": "Inf"}, {"step": "1e300"}, {"step": ""},
    {"step": "1e-300"}, {"step": "0.001", "end": "1800000000"}, {"step": "x"},
    {"start": "NaN"}, {"start": "-Inf"}, {"start": "1e300"}, {"start": "x"}, {"start": ""},
    {"end": "NaN"}, {"end": "+Inf"}, {"end": "1e300"}, {"end": "9223372036854775807"},
    {"start": str(T0 + 100), "end": str(T0)}, {"timeout": "x"},
    {"query": ""}, {"query": "m["},
]

BAD_TIMES = ["NaN", "Inf", "-Inf", "1e300", "x", "9223372036854775807", "2023-13-01T00:00:00Z"]


def peak_memory_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def gzip_bomb(size_bytes):
    """Some gzip of about that size; each KiB of it is a MiB of zeros."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    pieces = []
    for _ in range(2):  # the second one is as all that follow
        pieces.append(compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH))
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    return header + pieces[0] + pieces[1] * (size_bytes // len(pieces[1])) + b"\x03\x00" + bytes(8)


class HostileRequestsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = harness.Daemon().__enter__()
        cls.daemon.write([f"prometheus,a=x m={i} {(T0 + i) * SECOND}" for i in range(1000)])

    @classmethod
    def tearDownClass(cls):
        cls.daemon.close()

    def setUp(self):
        self.memory_before = peak_memory_kib(self.daemon)

    def tearDown(self):
        # It lives, answers, and has not filled its memory.
        self.assertEqual(self.daemon.query("1 + 1", T0)["result"], [T0, "2"])
        self.assertEqual(self.daemon.get("/-/healthy").status, 200)
        self.assertLess(peak_memory_kib(self.daemon) - self.memory_before, MEMORY_LEAVE_KIB)

    def assert_refused(self, answer, statuses):
        self.assertIn(answer.status, statuses, answer)
        parsed = json.loads(answer.body)
        self.assertEqual(parsed["status"], "error", answer)
        self.assertTrue(parsed["errorType"], answer)
        self.assertTrue(parsed["error"], answer)
        # No message repeats a megabyte of query.
        self.assertLess(len(answer.body), 4096)

    def test_queries_that_ask_for_too_much_are_refused_soon(self):
        for name, query in QUERIES.items():
            for path, parameters in (("query", {"time": T0 + 500}),
                                     ("query_range", {"start": T0, "end": T0 + 900, "step": 60})):
                with self.subTest(f"{name}, {path}"):
                    begin = time.monotonic()
                    answer = self.daemon.post_form(f"/api/v1/{path}", {"query": query} | parameters)
                    self.assertLess(time.monotonic() - begin, SOON_SECONDS)
                    self.assert_refused(answer, (400, 422, 503))

    def test_a_long_sum_ends_well_or_with_an_error(self):
        answer = self.daemon.post_form("/api/v1/query", {"query": "1+" * NESTING + "1", "time": T0})
        self.assertIn(answer.status, (200, 400, 422), answer)

    def test_impossible_ranges_are_bad_requests(self):
        good = {"query": "m", "start": str(T0), "end": str(T0 + 60), "step": "15"}
        self.assertEqual(self.daemon.post_form("/api/v1/query_range", good).status, 200)
        for bad in BAD_RANGES:
            with self.subTest(bad):
                answer = self.daemon.post_form("/api/v1/query_range", good | bad)
                self.assert_refused(answer, (400,))
                self.assertEqual(answer.json()["errorType"], "bad_data")

    def test_impossible_times_are_bad_requests(self):
        for bad in BAD_TIMES:
            with self.subTest(bad):
                answer = self.daemon.post_form("/api/v1/query", {"query": "m", "time": bad})
                self.assert_refused(answer, (400,))

    def test_bodies_that_lie_about_their_size_are_refused_soon(self):
        liar = remote_write.varint(0xFFFFFFFF) + b"\x00\x00"
        self.assertEqual(len(liar), 7)
        answers = []

        def send():
            answers.append(self.daemon.post("/api/v1/write", liar, headers=remote_write.HEADERS))
        begin = time.monotonic()
        senders = [threading.Thread(target=send) for _ in range(20)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        self.assertLess(time.monotonic() - begin, SOON_SECONDS)
        self.assertEqual(len(answers), 20)
        for answer in answers:
            self.assertIn(answer.status, (400, 413), answer)
            self.assertTrue(answer.body)

    def test_a_gzip_bomb_is_refused_soon(self):
        bomb = gzip_bomb(2 << 20)
        for path in ("/write", "/api/v1/write"):
            with self.subTest(path):
                begin = time.monotonic()
                answer = self.daemon.post(path, bomb, headers={"Content-Encoding": "gzip"})
                self.assertLess(time.monotonic() - begin, SOON_SECONDS)
                self.assertIn(answer.status, (413,) if path == "/write" else (400, 413, 415), answer)


class HeavyQueriesTest(unittest.TestCase):

    SERIES, SAMPLES = 500, 720
    CLIENTS = 40
    # Of writes that go on meanwhile.
    WRITE_P99_SECONDS = 0.1

    def setUp(self):
        self.daemon = harness.Daemon().__enter__()
        self.addCleanup(self.daemon.close)
        for begin in range(0, self.SAMPLES, 60):
            self.daemon.write([f"prometheus,s={series} heavy={series + at} {(T0 + at * 10) * SECOND}"
                               for at in range(begin, begin + 60) for series in range(self.SERIES)])

    def _ask(self, answers):
        end = T0 + self.SAMPLES * 10
        answers.append(self.daemon.post_form("/api/v1/query_range", {
            "query": "sum by (s) (rate(heavy[5m])) + sum by (s) (max_over_time(heavy[10m]))",
            "start": T0, "end": end, "step": 5}))

    def test_writes_go_on_while_heavy_queries_run(self):
        answers = []
        clients = [threading.Thread(target=self._ask, args=(answers,))
                   for _ in range(self.CLIENTS)]
        for client in clients:
            client.start()
        latencies = []
        connection = self.daemon.connect()
        while any(client.is_alive() for client in clients) or len(latencies) < 100:
            lines = "\n".join(f"prometheus,s={i} light={i} {(T0 + len(latencies)) * SECOND}"
                              for i in range(20))
            begin = time.monotonic()
            answer = harness.exchange(connection, "POST", "/write", lines)
            latencies.append(time.monotonic() - begin)
            self.assertEqual(answer.status, 204, answer)
            time.sleep(0.005)
        for client in clients:
            client.join()
        connection.close()
        self.assertEqual(len(answers), self.CLIENTS)
        self.assertIn(200, {answer.status for answer in answers})
        for answer in answers:
            self.assertIn(answer.status, (200, 422, 503), answer)
        p99 = sorted(latencies)[len(latencies) * 99 // 100]
        print(f"{len(latencies)} writes, p99 {1000 * p99:.1f} ms, "
              f"worst {1000 * max(latencies):.1f} ms")
        self.assertLessEqual(p99, self.WRITE_P99_SECONDS)


if __name__ == "__main__":
    unittest.main()
