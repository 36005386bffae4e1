"""Watches the real daemon's system calls: a 204 leaves only after its write was synced.

strace tells each call of each thread in the order of the kernel. An answer is counted against the
writes and syncs of the log's segments before it: as many requests as were acknowledged must have
been written by a pwrite64 that a later fdatasync of the same file, begun after the pwrite64 had
returned, covers, and that fdatasync must have returned OK before the 204 is sent.

Skipped where strace is missing or may not trace.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402

T0 = 1_700_000_000_000_000_000
WRITERS = 3
WRITES = 60  # of each

# '123 pwrite64(7</data/wal/wal-01.log>, "COMM"..., 4096, 8192) = 4096', paths and contents in
# hexadecimal; or the two halves that another thread's call came between.
CALL = re.compile(r"^(?P<thread>\d+) +"
                  r"(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)$")
UNFINISHED = "<unfinished ...>"


def hexadecimal(data):
    """Bytes as strace -xx prints them."""
    return "".join(f"\\x{byte:02x}" for byte in data)


def from_hexadecimal(text):
    return bytes.fromhex(text.replace("\\x", ""))


class Call:
    """One system call: its two moments are the numbers of the lines that tell of them."""

    def __init__(self, name, text, begin):
        self.name = name
        self.text = text  # arguments and result
        self.begin = begin
        self.end = None

    @property
    def file(self):
        match = re.search(r"<((?:\\x[0-9a-f]{2})+)>", self.text)
        return match and from_hexadecimal(match.group(1)).decode()

    @property
    def succeeded(self):
        return self.end is not None and not re.search(r"= -1 ", self.text)


def parse(lines):
    """The calls of a trace that came to their end, in the order in which they began."""
    calls = []
    open_calls = {}
    for number, line in enumerate(lines):
        match = CALL.match(line)
        if not match:
            continue  # a signal, an exit
        thread, rest = match["thread"], match["rest"]
        if match["resumed"]:
            call = open_calls.pop(thread, None)
            if call is None:
                continue  # it began before we were there
            call.text += rest
        else:
            call = Call(match["name"], rest.replace(UNFINISHED, ""), number)
            calls.append(call)
            if rest.endswith(UNFINISHED):
                open_calls[thread] = call
                continue
        call.end = number
    return [call for call in calls if call.succeeded]


def is_segment(path):
    return path is not None and re.search(r"/wal/wal-[0-9a-f]{16}\.log$", path) is not None


def requests_in(call):
    """How many requests a write of the log holds: its commit header begins with "COMM" and the
    number of records, 4 bytes."""
    match = re.search(r'"((?:\\x[0-9a-f]{2})+)"', call.text)
    data = from_hexadecimal(match.group(1)) if match else b""
    return int.from_bytes(data[4:8], "little") if data[:4] == b"COMM" else 0


def unsynced_answers(calls):
    """The 204s, and those of them that were sent before enough requests were synced."""
    events = []  # (moment, how many more requests are durable or -1 for an answer)
    writes = [call for call in calls if call.name == "pwrite64" and is_segment(call.file)]
    syncs = [call for call in calls if call.name in ("fdatasync", "fsync")]
    for write in writes:
        covering = [sync.end for sync in syncs
                    if sync.file == write.file and sync.begin > write.end]
        if covering:
            events.append((min(covering), requests_in(write)))
    answer_mark = hexadecimal(b"HTTP/1.1 204")
    answers = [call for call in calls if call.name in ("write", "writev", "sendto", "sendmsg")
               for _ in range(call.text.count(answer_mark))]
    events += [(answer.begin, -1) for answer in answers]
    durable = 0
    early = 0
    for _, change in sorted(events):
        durable += change
        early += durable < 0
    return len(answers), early


class ParserTest(unittest.TestCase):
    """The check itself must be able to fail."""

    SEGMENT = f"7<{hexadecimal(b'/d/wal/wal-0000000000000001.log')}>"
    OTHER_SEGMENT = f"8<{hexadecimal(b'/d/wal/wal-0000000000000002.log')}>"
    WRITE = f'1 pwrite64({SEGMENT}, "{hexadecimal(b"COMM" + bytes([1, 0, 0, 0]))}", 9, 0) = 9'
    SYNC = f"1 fdatasync({SEGMENT}) = 0"
    SYNC_BEGIN = f"3 fdatasync({SEGMENT} <unfinished ...>"
    SYNC_END = "3 <... fdatasync resumed>) = 0"
    ANSWER = f'2 write(9, "{hexadecimal(b"HTTP/1.1 204 No")}", 15) = 15'

    def check(self, *lines):
        """How many answers were early."""
        answers, early = unsynced_answers(parse(lines))
        self.assertEqual(answers, 1)
        return early

    def test_an_answer_after_the_sync_is_good(self):
        self.assertEqual(self.check(self.WRITE, self.SYNC, self.ANSWER), 0)

    def test_an_answer_before_the_sync_is_found(self):
        self.assertEqual(self.check(self.WRITE, self.ANSWER, self.SYNC), 1)

    def test_a_sync_that_began_before_the_write_ended_does_not_count(self):
        self.assertEqual(self.check(self.SYNC_BEGIN, self.WRITE, self.SYNC_END, self.ANSWER), 1)

    def test_a_sync_that_has_not_returned_does_not_count(self):
        self.assertEqual(self.check(self.WRITE, self.SYNC_BEGIN, self.ANSWER, self.SYNC_END), 1)
        self.assertEqual(self.check(self.WRITE, self.SYNC_BEGIN, self.SYNC_END, self.ANSWER), 0)

    def test_a_failed_sync_does_not_count(self):
        failed = self.SYNC.replace("= 0", "= -1 EIO (Input/output error)")
        self.assertEqual(self.check(self.WRITE, failed, self.ANSWER), 1)

    def test_another_files_sync_does_not_count(self):
        other = self.SYNC.replace(self.SEGMENT, self.OTHER_SEGMENT)
        self.assertEqual(self.check(self.WRITE, other, self.ANSWER), 1)


def find_strace():
    """The path of strace, if it may trace."""
    strace = shutil.which("strace")
    if strace and subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True,
                                 check=False).returncode == 0:
        return strace
    return None


@unittest.skipUnless(find_strace(), "strace is not installed, or may not trace")
class SyncBeforeAnswerTest(unittest.TestCase):

    def trace(self, sync):
        """The calls of a daemon while several clients write."""
        with harness.Daemon("--wal-sync", sync) as daemon, \
                tempfile.NamedTemporaryFile("r") as output:
            tracer = subprocess.Popen(
                [find_strace(), "-f", "-y", "-xx", "-s", "64", "-o", output.name,
                 "-e", "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg",
                 "-p", str(daemon.process.pid)], stderr=subprocess.PIPE, text=True)
            self.assertIn("attached", tracer.stderr.readline())
            writers = [threading.Thread(target=self.write, args=(daemon, index))
                       for index in range(WRITERS)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=harness.STOP_TIMEOUT_SECONDS)
            return parse(output.read().splitlines())

    @staticmethod
    def write(daemon, index):
        connection = daemon.connect()
        for i in range(WRITES):
            answer = harness.exchange(connection, "POST", "/write", f"a,w={index} v={i} {T0 + i}")
            assert answer.status == 204, answer
        connection.close()

    def test_every_204_follows_the_sync_of_its_write(self):
        answers, early = unsynced_answers(self.trace("always"))
        self.assertEqual(answers, WRITERS * WRITES)
        self.assertEqual(early, 0)

    def test_the_check_sees_that_without_syncs_there_are_none(self):
        answers, early = unsynced_answers(self.trace("none"))
        self.assertEqual(answers, WRITERS * WRITES)
        self.assertGreater(early, 0)


if __name__ == "__main__":
    unittest.main()
