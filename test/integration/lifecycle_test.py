"""Starting, stopping and configuring the real daemon."""

import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def run(*arguments):
    """Runs tsdbd to its end: (exit status, stdout, stderr)."""
    done = subprocess.run([harness.binary(), *arguments], capture_output=True, text=True,
                          timeout=harness.START_TIMEOUT_SECONDS, check=False)
    return done.returncode, done.stdout, done.stderr


class StartTest(unittest.TestCase):

    def test_help_and_version(self):
        status, out, _ = run("--help")
        self.assertEqual(status, 0)
        for flag in ("--config", "--data-dir", "--listen", "--wal-sync", "--retention", "--set"):
            self.assertIn(flag, out)
        status, out, _ = run("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^tsdbd \d+\.\d+\.\d+\n$")

    def test_a_wrong_flag_or_value_is_named(self):
        for arguments, text in {("--colour",): "--colour",
                                ("--listen", "x"): "--listen",
                                ("--wal-sync", "maybe"): "--wal-sync",
                                ("--retention", "1x"): "--retention",
                                ("--set", "http.colour=1"): "http.colour",
                                ("--config", "/no/such/file"): "/no/such/file"}.items():
            status, _, error = run(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn(text, error)

    def test_an_unknown_key_is_named_with_file_and_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
            config.write("# comment\n[wal]\nsink = 'always'\n")
            config.flush()
            status, _, error = run("--config", config.name)
        self.assertEqual(status, 2)
        self.assertIn(f"{config.name}:3: wal.sink: there is no such key", error)

    def test_flags_override_the_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
            config.write("[wal]\nsync = 'none'\n[query]\nthreads = 7\n")
            config.flush()
            _, out, _ = run("--config", config.name, "--wal-sync", "interval=20", "--print-config")
        self.assertIn('sync = "interval"', out)
        self.assertIn('sync_interval = "20ms"', out)
        self.assertIn("threads = 7", out)

    def test_a_data_directory_is_held_by_one_process(self):
        with harness.Daemon() as daemon:
            status, _, error = run("--data-dir", daemon.data_dir, "--listen", "127.0.0.1:0")
            self.assertEqual(status, 1)
            self.assertIn("another process", error)
            daemon.write(f"a v=1 {T0}")
        # A crash leaves no lock behind.
        with harness.Daemon() as daemon:
            daemon.kill()
            daemon.start()

    def test_an_address_in_use_is_named(self):
        with harness.Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
            address = f"127.0.0.1:{daemon.port}"
            status, _, error = run("--data-dir", folder + "/data", "--listen", address)
            self.assertEqual(status, 1)
            self.assertIn(address, error)

    def test_logs_can_be_json(self):
        with harness.Daemon("--set", "log.format=json", "--set", "log.level=info") as daemon:
            daemon.wait_ready()
            self.assertTrue(all(line.startswith('{"time":"') and line.endswith('"}')
                                for line in daemon.log()), daemon.log())

    def test_debug_pages_are_off_by_default(self):
        with harness.Daemon() as daemon:
            self.assertEqual(daemon.get("/debug/config").status, 404)
            self.assertEqual(daemon.get("/debug/memory").status, 404)
            self.assertEqual(daemon.get("/debug/stages").status, 200)


class StopTest(unittest.TestCase):

    def test_sigterm_and_sigint_end_with_status_0_and_keep_everything(self):
        for stop in (signal.SIGTERM, signal.SIGINT):
            with harness.Daemon() as daemon:
                daemon.write([f"a,h={h} v={i} {T0 + i}" for i in range(100) for h in "ab"])
                before = daemon.export("a_v")
                self.assertEqual(len(before), 2)
                daemon.process.send_signal(stop)
                self.assertEqual(daemon.process.wait(harness.STOP_TIMEOUT_SECONDS), 0)
                daemon.process = None
                daemon.start()
                self.assertEqual(daemon.export("a_v"), before)

    def test_what_was_acknowledged_survives_kill(self):
        with harness.Daemon() as daemon:
            daemon.write([f"a v={i} {T0 + i}" for i in range(1000)])
            daemon.flush()
            daemon.write([f"a v={i} {T0 + i}" for i in range(500, 1500)])
            daemon.kill()
            daemon.start()
            self.assertEqual(list(daemon.export("a_v").values()),
                             [[(T0 + i, i) for i in range(1500)]])

    def test_writers_see_only_whole_answers_when_it_stops(self):
        with harness.Daemon() as daemon:
            acknowledged, failures = [], []

            def write_until_it_ends():
                connection = daemon.connect()
                for i in range(100_000):
                    try:
                        answer = harness.exchange(connection, "POST", "/write", f"a v={i} {T0 + i}")
                    except (OSError, harness.http.client.HTTPException):
                        return
                    (acknowledged if answer.status == 204 else failures).append(i)

            writer = threading.Thread(target=write_until_it_ends)
            writer.start()
            time.sleep(0.3)
            self.assertEqual(daemon.stop(), 0)
            writer.join()
            self.assertEqual(failures, [])
            self.assertGreater(len(acknowledged), 0)
            daemon.start()
            stored = {value for _, value in list(daemon.export("a_v").values())[0]}
            self.assertLessEqual(set(acknowledged), stored)

    def test_a_second_signal_ends_it_at_once(self):
        with harness.Daemon("--set", "http.shutdown_grace=1m") as daemon:
            # An answer in flight that its client does not take holds up the stop.
            daemon.write([f"a,h=some-host-{i:06} v={i} {T0}" for i in range(20_000)])
            client = socket.create_connection(("127.0.0.1", daemon.port))
            client.sendall(b"GET /api/v1/export?match[]=a_v HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
            client.recv(100)
            daemon.process.send_signal(signal.SIGTERM)
            with self.assertRaises(subprocess.TimeoutExpired):
                daemon.process.wait(0.5)
            daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(2), 1)
            daemon.process = None
            client.close()


class RetentionTest(unittest.TestCase):

    def test_samples_older_than_the_retention_are_refused(self):
        with harness.Daemon("--retention", "30d") as daemon:
            now = time.time_ns()
            daemon.write(f"a v=1 {now - 29 * 86400 * SECOND}")
            answer = daemon.post("/write", f"a v=1 {now - 31 * 86400 * SECOND}")
            self.assertEqual(answer.status, 400, answer)


class DescriptorsTest(unittest.TestCase):

    def test_the_soft_limit_is_raised(self):
        with harness.Daemon() as daemon:
            with open(f"/proc/{daemon.process.pid}/limits", encoding="ascii") as limits:
                soft, hard = next(line.split()[3:5] for line in limits
                                  if line.startswith("Max open files"))
            self.assertEqual(soft, hard)
            self.assertEqual(daemon.metrics()["process_max_fds"], float(hard))


if __name__ == "__main__":
    unittest.main()
