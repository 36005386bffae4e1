"""Prometheus remote read, message by message."""

import struct
import time
import unittest

import harness
from remote_messages import (STALE, field_bytes, field_varint, fields, read_varint, series, signed,
                             snappy, unsnappy, write_request)

T = 1_700_000_000_000
EQ, NEQ, RE, NRE = range(4)
SAMPLES, STREAMED = 0, 1


def query(start, end, *matchers):
    return (field_varint(1, start) + field_varint(2, end) +
            b"".join(field_bytes(3, field_varint(1, kind) + field_bytes(2, name) +
                                 field_bytes(3, value)) for kind, name, value in matchers))


def read_request(queries, *accepted):
    return (b"".join(field_bytes(1, one) for one in queries) +
            b"".join(field_varint(2, kind) for kind in accepted))


def labels_of(messages):
    return tuple(tuple(dict(fields(message))[number].decode() for number in (1, 2))
                 for message in messages)


def samples_of(message):
    """(labels, [(ms, value)]) of a TimeSeries."""
    parts = list(fields(message))
    samples = []
    for number, part in parts:
        if number == 2:
            found = dict(fields(part))
            samples.append((signed(found.get(2, 0)),
                            struct.unpack("<d", found.get(1, bytes(8)))[0]))
    return labels_of(part for number, part in parts if number == 1), samples


def frames_of(body):
    """(query, labels, number of samples) of each frame."""
    position = 0
    while position < len(body):
        size, position = read_varint(body, position)
        message = body[position + 4:position + 4 + size]
        position += 4 + size
        found = dict(fields(message))
        parts = list(fields(found[1]))
        chunks = [dict(fields(part)) for number, part in parts if number == 2]
        assert all(chunk[3] == 1 for chunk in chunks)
        yield (found.get(2, 0), labels_of(part for number, part in parts if number == 1),
               sum(int.from_bytes(chunk[4][:2], "big") for chunk in chunks))


class RemoteReadTest(unittest.TestCase):
    def setUp(self):
        self.daemon = harness.Daemon().start()
        self.addCleanup(self.daemon.close)

    def store(self, *all_series):
        answer = self.daemon.post("/api/v1/write",
                                  snappy(write_request([series(*one) for one in all_series])),
                                  headers={"Content-Encoding": "snappy"})
        self.assertEqual(answer.status, 204, answer)

    def post(self, body):
        return self.daemon.post("/api/v1/read", body,
                                headers={"Content-Encoding": "snappy", "Accept-Encoding": "gzip",
                                         "Content-Type": "application/x-protobuf"})

    def read(self, *queries):
        """The series of each query's result."""
        answer = self.post(snappy(read_request(queries)))
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/x-protobuf")
        self.assertEqual(answer.headers["content-encoding"], "snappy")
        return [[samples_of(one) for _, one in fields(result)]
                for _, result in fields(unsnappy(answer.body))]

    def test_samples_come_by_query_sorted_by_labels(self):
        self.store(({"__name__": "up", "job": "b"}, [(T, 1), (T + 1, 2)]),
                   ({"__name__": "up", "job": "a"}, [(T, 3)]),
                   ({"__name__": "down"}, [(T, 4), (T + 5000, 5)]))
        up_a, up_b = ((("__name__", "up"), ("job", job)) for job in "ab")
        down = (("__name__", "down"),)
        self.assertEqual(
            self.read(query(T, T, (EQ, "__name__", "up")), query(T + 1, T + 9000),
                      query(T, T + 1, (RE, "job", "a|b"), (NEQ, "job", "a")),
                      query(T, T, (NRE, "job", ".+")), query(T + 1, T),
                      query(T, T, (EQ, "__name__", "nothing"))),
            [[(up_a, [(T, 3)]), (up_b, [(T, 1)])],
             [(down, [(T + 5000, 5)]), (up_b, [(T + 1, 2)])],
             [(up_b, [(T, 1), (T + 1, 2)])],
             [(down, [(T, 4)])],
             [],
             []])

    def test_nanoseconds_are_cut_and_blocks_are_read_too(self):
        self.daemon.write([f"m v=1 {T * 1_000_000 + 5}", f"m v=2 {T * 1_000_000 + 999_999}"])
        self.daemon.flush()
        self.daemon.write([f"m v=3 {T * 1_000_000 + 1_000_000}"])
        self.assertEqual(self.read(query(T, T + 1, (EQ, "__name__", "m_v"))),
                         [[((("__name__", "m_v"),), [(T, 2), (T + 1, 3)])]])

    def test_staleness_markers_keep_their_bits(self):
        self.store(({"__name__": "up"}, [(T, STALE)]))
        ((_, samples),), = self.read(query(T, T))
        self.assertEqual(struct.pack("<d", samples[0][1]), struct.pack("<d", STALE))

    def test_chunks_are_streamed(self):
        self.store(*(({"__name__": "up", "n": str(n)}, [(T + i, i) for i in range(300)])
                     for n in (2, 1)),
                   ({"__name__": "down"}, [(T, 1)]))
        answer = self.post(snappy(read_request([query(T, T + 999, (EQ, "__name__", "up")),
                                                query(T, T)], STREAMED, SAMPLES)))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"],
                         "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
        self.assertNotIn("content-encoding", answer.headers)
        up_1, up_2 = ((("__name__", "up"), ("n", n)) for n in "12")
        self.assertEqual(list(frames_of(answer.body)),
                         [(0, up_1, 300), (0, up_2, 300),
                          (1, (("__name__", "down"),), 1), (1, up_1, 1), (1, up_2, 1)])
        answer = self.post(snappy(read_request([query(0, 1)], STREAMED)))
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_a_long_stream_arrives(self):
        for start in range(0, 200_000, 50_000):
            self.store(({"__name__": "up"},
                        [(T + i * 7, i / 7) for i in range(start, start + 50_000)]))
        answer = self.post(snappy(read_request([query(0, T * 2)], STREAMED)))
        frames = list(frames_of(answer.body))
        self.assertGreater(len(frames), 1)
        self.assertEqual(sum(count for _, _, count in frames), 200_000)

    def test_bad_requests_are_refused(self):
        for what, body, status in (
                ("empty", b"", 400), ("garbage", b"\xff" * 50, 400),
                ("4 GiB", b"\xff\xff\xff\xff\x0f\x00a", 400),
                ("no protobuf", snappy(b"no protobuf at all"), 400),
                ("cut", snappy(read_request([query(0, 1, (EQ, "a", "b"))])[:-1]), 400),
                ("a bad regex", snappy(read_request([query(0, 1, (RE, "a", "("))])), 400),
                ("a bad matcher", snappy(read_request([query(0, 1, (9, "a", "b"))])), 400),
                ("an unknown answer", snappy(read_request([query(0, 1)], 5)), 400)):
            answer = self.post(body)
            self.assertEqual(answer.status, status, (what, answer))
            self.assertEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
            self.assertGreater(len(answer.text), 10)
        answer = self.daemon.post("/api/v1/read", "x", headers={"Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 415)

    def test_more_samples_than_the_limit_are_refused(self):
        self.daemon.restart("--set", "query.max_samples=10")
        self.store(({"__name__": "up"}, [(T + i, i) for i in range(11)]))
        answer = self.post(snappy(read_request([query(0, 2 * T)])))
        self.assertEqual((answer.status, answer.text), (400, "exceeded sample limit (10)\n"))

    def test_a_reader_that_goes_away_ends_the_work(self):
        for n in range(20):
            self.store(*(({"__name__": "up", "n": str(n * 100 + i)},
                          [(T + j * 1000, j / 3) for j in range(100)]) for i in range(100)))
        body = snappy(read_request([query(0, 2 * T)] * 400, STREAMED))
        connection = self.daemon.connect()
        connection.request("POST", "/api/v1/read", body, {"Content-Encoding": "snappy"})
        connection.getresponse().read(100)
        connection.close()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.daemon.metrics().get(
                    'tsdbd_query_requests_total{api="read",outcome="canceled"}') == 1:
                return
            time.sleep(0.05)
        self.fail("the query still runs")


if __name__ == "__main__":
    unittest.main()
