"""Kills the real daemon with SIGKILL, again and again under load, and looks at what is left.

    kill_test.py [--rounds N] [--seed S]

In each round four clients write over pipelined connections until the daemon is killed, sometimes
while it flushes, and sometimes once more while it recovers. Then it is started, and what it exports
is compared with a model of what was sent:
- every acknowledged row is there, with the value that was written last;
- of a connection's unanswered requests the first few are there as a whole, the others not at all;
- nothing is there twice, and nothing that was never sent.

A killed process loses nothing that it wrote to the kernel, so this holds with every --wal-sync. The
seed chooses what is done; when the kill falls, and so the outcome, differs from run to run.
"""

import argparse
import contextlib
import http.client
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
DAY = 86_400 * SECOND  # of one partition

WRITERS = 4
MAX_PIPELINED = 4
FIELDS = "abc"
# A folder is used for so many rounds: enough that blocks and log pile up, and few enough that the
# export at the end of each round takes well below a second.
ROUNDS_PER_FOLDER = 5
# Small limits make the daemon change segments and flush by itself within a round.
LIMITS = ("--set", "wal.segment_size=1MiB", "--set", "head.memory=8MiB")


class Lines:
    """The lines of one request, and what they mean. All their values tell the request's number:
    field i of request n has the value n * len(FIELDS) + i."""

    def __init__(self, number):
        self.number = number
        self.lines = []
        self.samples = {}  # {labels: {timestamp: value}}

    def add(self, measurement, tags, timestamp, field_count=1):
        fields = []
        for index, field in enumerate(FIELDS[:field_count]):
            value = self.number * len(FIELDS) + index
            fields.append(f"{field}={value}")
            labels = tuple(sorted({"__name__": f"{measurement}_{field}", **tags}.items()))
            self.samples.setdefault(labels, {})[timestamp] = value
        key = "".join([measurement, *(f",{name}={value}" for name, value in tags.items())])
        self.lines.append(f"{key} {','.join(fields)} {timestamp}")

    def http(self):
        body = "\n".join(self.lines).encode()
        head = f"POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Writer:
    """One client, and the model of its rows. Its rows are its own: its series bear its number,
    and in the series that all share it has every fourth timestamp."""

    def __init__(self, index, generator):
        self.index = index
        self.random = generator
        self.tags = {"w": str(index)}
        self.tick = 0
        self.number = 0          # of the newest request
        self.stored = {}         # {labels: {timestamp: value}}, as verified last
        self.sent = []           # since then
        self.acknowledged = 0    # of those
        self.failure = None
        self.thread = None

    def owns(self, labels, timestamp):
        writer = dict(labels).get("w")
        return (timestamp // SECOND) % WRITERS == self.index if writer is None \
            else writer == str(self.index)

    # Writing.

    def start(self, port):
        self.thread = threading.Thread(target=self._run, args=(port,))
        self.thread.start()

    def join(self):
        self.thread.join()
        if self.failure:
            raise AssertionError(f"writer {self.index}: {self.failure}")

    def _run(self, port):
        # An OSError, or the end of the stream, is the kill that everybody waits for.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
            answers = client.makefile("rb")
            depth = self.random.randint(1, MAX_PIPELINED)
            while True:
                while len(self.sent) - self.acknowledged < depth:
                    request = self._make_request()
                    self.sent.append(request)
                    client.sendall(request.http())
                status = self._read_status(answers)
                if status is None:
                    return
                if status != 204:
                    self.failure = f"status {status} for {self.sent[self.acknowledged].lines[0]}"
                    return
                self.acknowledged += 1

    @staticmethod
    def _read_status(answers):
        """None if the connection ends before the answer does."""
        status_line = answers.readline()
        line = status_line
        while line not in (b"\r\n", b""):
            line = answers.readline()
        return int(status_line.split()[1]) if line else None

    def _make_request(self):
        self.number += 1
        self.tick += 1
        request = Lines(self.number)
        kinds = (self._one_line, self._batch, self._new_series, self._late_rows, self._rewrite,
                 self._shared_series)
        self.random.choices(kinds, weights=(6, 1, 3, 2, 2, 3))[0](request)
        return request

    def _now(self):
        return T0 + self.tick * SECOND

    def _one_line(self, request):
        request.add("one", self.tags, self._now())

    def _batch(self, request):
        """500 lines of three fields."""
        for step in range(10):
            for host in range(50):
                request.add("batch", {"host": str(host), **self.tags},
                            T0 + (self.tick * 10 + step) * SECOND, len(FIELDS))

    def _new_series(self, request):
        for line in range(self.random.randint(1, 20)):
            request.add("new", {"n": f"{self.number}-{line}", **self.tags}, self._now(),
                        self.random.randint(1, len(FIELDS)))

    def _late_rows(self, request):
        for _ in range(30):
            request.add("one", self.tags, self._now() - self.random.randrange(3 * DAY))

    def _rewrite(self, request):
        """Timestamps that are there already, mostly, and with another list of fields."""
        for _ in range(10):
            timestamp = T0 + self.random.randint(1, self.tick) * SECOND
            request.add("one", self.tags, timestamp, self.random.randint(1, len(FIELDS)))

    def _shared_series(self, request):
        """Series of all writers, each with timestamps of its own."""
        for line in range(5):
            request.add("shared", {}, T0 + ((self.tick * 5 + line) * WRITERS + self.index) * SECOND)

    # Verifying.

    def verify(self, found):
        """`found`: the rows of this writer that are in the database. Returns how many requests
        that nobody had acknowledged survived."""
        newest = max((value for samples in found.values() for value in samples.values()),
                     default=0) // len(FIELDS)
        survivors = sum(request.number <= newest for request in self.sent)
        survivors = max(survivors, self.acknowledged)
        for request in self.sent[:survivors]:
            for labels, samples in request.samples.items():
                self.stored.setdefault(labels, {}).update(samples)
        if found != self.stored:
            raise AssertionError(self._difference(found, newest))
        unacknowledged = survivors - self.acknowledged
        self.sent = []
        self.acknowledged = 0
        return unacknowledged

    def _difference(self, found, newest):
        numbers = [request.number for request in self.sent]
        report = [f"writer {self.index}: sent {numbers[:1]}..{numbers[-1:]}, acknowledged the "
                  f"first {self.acknowledged}, the newest request found is {newest}"]
        for labels in sorted(found.keys() | self.stored.keys()):
            want, have = self.stored.get(labels, {}), found.get(labels, {})
            for timestamp in sorted(want.keys() | have.keys()):
                if want.get(timestamp) != have.get(timestamp):
                    report.append(f"  {labels} at {timestamp}: expected {want.get(timestamp)}, "
                                  f"found {have.get(timestamp)}")
        return "\n".join(report[:30] + [f"({len(report) - 1} samples differ)"])


class Folder:
    """A data directory with the daemon that crashes in it and those who write to it."""

    def __init__(self, generator):
        self.random = generator
        self.daemon = harness.Daemon(*LIMITS)
        self.writers = [Writer(index, random.Random(generator.random()))
                        for index in range(WRITERS)]
        self.done = []  # of this round: what to print about it

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *error):
        self.daemon.__exit__(*error)

    def crash_and_verify(self):
        """One round. Returns what was done."""
        self.done = []
        self._crash_under_load()
        while self.random.random() < 0.4:
            self._crash_in_recovery()
        sync = self.random.choices(("always", "interval=20", "none"), weights=(6, 2, 2))[0]
        self.daemon.start("--wal-sync", sync)
        self._verify()
        if self.random.random() < 0.3:
            self.daemon.flush()
            self._verify()
        return f"{', '.join(self.done)}; now sync {sync}"

    def _crash_under_load(self):
        for writer in self.writers:
            writer.start(self.daemon.port)
        when = self.random.choice(("while it writes", "between flushes", "while it flushes"))
        flusher = threading.Thread(target=self._flush, args=(when == "between flushes",))
        load_seconds = self.random.uniform(0.1, 0.8)
        if when == "between flushes":
            flusher.start()
        time.sleep(load_seconds)
        if when == "while it flushes":
            flusher.start()
            time.sleep(self.random.uniform(0, 0.05))
        self.daemon.kill()
        for thread in (*self.writers, *([flusher] if flusher.ident else [])):
            thread.join()
        self.done.append(f"killed {when} after {load_seconds:.2f} s")

    def _flush(self, repeatedly):
        """Until the daemon is killed, or once."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.daemon.flush()
            while repeatedly:
                self.daemon.flush()

    def _crash_in_recovery(self):
        self.daemon.start(wait=False)
        time.sleep(self.random.uniform(0, self.random.choice((0, 0.02, 0.2))))
        self.daemon.kill()
        self.done.append("killed in recovery")

    def _verify(self):
        found = [{} for _ in self.writers]
        for labels, samples in self.daemon.export('{__name__=~".+"}').items():
            timestamps = [timestamp for timestamp, _ in samples]
            assert all(a < b for a, b in zip(timestamps, timestamps[1:])), f"disorder in {labels}"
            for timestamp, value in samples:
                owner = next((w.index for w in self.writers if w.owns(labels, timestamp)), 0)
                found[owner].setdefault(labels, {})[timestamp] = value
        acknowledged = sum(writer.acknowledged for writer in self.writers)
        sent = sum(len(writer.sent) for writer in self.writers)
        survivors = sum(writer.verify(own) for writer, own in zip(self.writers, found))
        if sent:
            self.done.append(f"{acknowledged} requests acknowledged, {survivors} of "
                             f"{sent - acknowledged} others survived")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    generator = random.Random(arguments.seed)
    for first in range(0, arguments.rounds, ROUNDS_PER_FOLDER):
        with Folder(generator) as folder:
            try:
                for number in range(first, min(first + ROUNDS_PER_FOLDER, arguments.rounds)):
                    print(f"round {number + 1}: {folder.crash_and_verify()}", flush=True)
            except BaseException:
                print("\n".join(["the daemon's log:", *folder.daemon.log()]), flush=True)
                raise


if __name__ == "__main__":
    main()
