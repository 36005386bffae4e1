"""What the daemon answers when there is too much of something, and that it recovers."""

import os
import socket
import subprocess
import threading
import time
import unittest

import harness

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
RECOVERY_SECONDS = 30


def eventually(condition):
    """Whether `condition` comes true in time."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


class StalledExport:
    """A client that asks for an export and does not read it: keeps a query thread busy."""

    def __init__(self, daemon, measurement):
        daemon.write([f"{measurement},h=a-rather-long-host-name-{i:06} v={i} {T0}"
                      for i in range(60_000)])
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.connect(("127.0.0.1", daemon.port))
        self.client.sendall(f"GET /api/v1/export?match[]={measurement}_v HTTP/1.1\r\n"
                            "Host: x\r\n\r\n".encode())
        self.client.recv(100)

    def leave(self):
        self.client.close()


class QueryOverloadTest(unittest.TestCase):

    def test_queries_beyond_the_queue_are_refused_and_nothing_else_is(self):
        with harness.Daemon("--set", "query.threads=1", "--set", "query.queue=0",
                            "--set", "http.stream_memory=64KiB") as daemon:
            stalled = StalledExport(daemon, "a")
            for path in ("/api/v1/query?query=1", "/api/v1/export?match[]=a_v"):
                refused = daemon.get(path)
                self.assertEqual(refused.status, 503, refused)
                self.assertEqual(refused.json()["errorType"], "unavailable")
                self.assertIn("retry-after", refused.headers)
            self.assertEqual(daemon.get("/query?q=SHOW+DATABASES").status, 503)
            daemon.write(f"b v=1 {T0}")
            figures = daemon.metrics()
            self.assertEqual(figures['tsdbd_pool_tasks_running{pool="query"}'], 1)
            self.assertEqual(figures['tsdbd_pool_tasks_refused_total{pool="query"}'], 3)
            # The client that goes away frees the thread.
            stalled.leave()
            self.assertTrue(eventually(
                lambda: daemon.get("/api/v1/query?query=1").status == 200))

    def test_a_client_that_takes_nothing_is_given_up(self):
        with harness.Daemon("--set", "query.threads=1", "--set", "query.queue=0",
                            "--set", "http.stream_memory=64KiB",
                            "--set", "http.stall_timeout=300ms") as daemon:
            stalled = StalledExport(daemon, "a")
            self.assertTrue(eventually(
                lambda: daemon.get("/api/v1/query?query=1").status == 200))
            stalled.leave()

    def test_a_query_over_its_time_ends(self):
        with harness.Daemon() as daemon:
            daemon.write([f"a,h={i} v={i} {T0}" for i in range(20_000)])
            answer = daemon.get("/api/v1/series", {"match[]": "a_v", "timeout": "0.001"})
            self.assertEqual((answer.status, answer.json()["errorType"]), (503, "timeout"))

    def test_a_query_of_too_many_series_is_refused(self):
        with harness.Daemon("--set", "query.max_series=100") as daemon:
            daemon.write([f"a,h={i} v={i} {T0}" for i in range(101)])
            for path, name in (("/api/v1/series", "match[]"), ("/api/v1/query", "query"),
                               ("/api/v1/export", "match[]")):
                answer = daemon.get(path, {name: "a_v", "time": T0 // SECOND})
                self.assertEqual((answer.status, answer.json()["errorType"]), (422, "execution"))


class WriteOverloadTest(unittest.TestCase):

    def test_large_writes_beyond_the_queue_are_503_and_the_others_are_stored(self):
        with harness.Daemon("--set", "write.threads=1", "--set", "write.queue=0") as daemon:
            answers = []

            def write(writer):
                body = "\n".join(f"a,w={writer} v={i} {T0 + i}" for i in range(20_000))
                for _ in range(5):
                    answers.append((writer, daemon.post("/write", body)))
            writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            refused = [answer for _, answer in answers if answer.status != 204]
            for answer in refused:
                self.assertEqual(answer.status, 503, answer)
                self.assertIn("retry-after", answer.headers)
            stored = {writer for writer, answer in answers if answer.status == 204}
            self.assertGreater(len(stored), 0)
            self.assertEqual({dict(labels)["w"] for labels in daemon.export("a_v")},
                             {str(writer) for writer in stored})
            self.assertEqual(daemon.metrics()['tsdbd_write_requests_total{outcome="overload"}'],
                             len(refused))


class SmallDisk:
    """A file system of its own, where the tests may mount one."""

    def __init__(self, folder, megabytes):
        self.path = os.path.join(folder, "disk")
        os.makedirs(self.path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs",
                               self.path], capture_output=True, check=False)
        self.mounted = done.returncode == 0

    def fill(self):
        with open(os.path.join(self.path, "ballast"), "wb", buffering=0) as ballast:
            try:
                while ballast.write(b"x" * 4096) == 4096:
                    pass
            except OSError:
                pass

    def clear(self):
        os.unlink(os.path.join(self.path, "ballast"))

    def unmount(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=True)


class FullDiskTest(unittest.TestCase):

    def test_a_full_disk_is_507_and_passes_without_a_restart(self):
        daemon = harness.Daemon("--set", "wal.segment_size=1MiB")
        disk = SmallDisk(daemon.folder, 64)
        try:
            if not disk.mounted:
                self.skipTest("this user may not mount a file system")
            daemon.data_dir = os.path.join(disk.path, "data")
            daemon.start()
            acknowledged, refused = self.write_until_refused(daemon, disk)
            self.assertEqual(daemon.get("/health").status, 503)
            self.assert_stored(daemon, acknowledged, refused)
            disk.clear()
            self.assertTrue(eventually(
                lambda: daemon.post("/write", f"a v=-1 {T0 - 1}").status == 204))
            acknowledged.add(-1)
            self.assert_stored(daemon, acknowledged, refused)
            daemon.kill()
            daemon.start()
            self.assert_stored(daemon, acknowledged, refused)
        finally:
            daemon.close()
            disk.unmount()

    def write_until_refused(self, daemon, disk):
        """Fills the disk while it writes: the values that were acknowledged, and the refused."""
        acknowledged = set()
        for i in range(100_000):
            answer = daemon.post("/write", f"a v={i},other=\"{'x' * 20_000}\" {T0 + i}")
            if answer.status != 204:
                self.assertEqual(answer.status, 507, answer)
                self.assertIn("No space left", answer.json()["error"])
                return acknowledged, {i}
            acknowledged.add(i)
            if i == 20:
                disk.fill()
        return self.fail("the disk is never full")

    def assert_stored(self, daemon, acknowledged, refused):
        """Everything acknowledged is there. What was refused may be: it was in memory when the log
        failed, and a client that sends it again changes nothing."""
        stored = {value for _, value in list(daemon.export("a_v").values())[0]}
        self.assertLessEqual(acknowledged, stored)
        self.assertLessEqual(stored, acknowledged | refused)


if __name__ == "__main__":
    unittest.main()
