"""The key-value engine as Redis' clients see it: raw sockets, redis-cli, redis-benchmark, and a Redis
beside us to compare with."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import redis_comparison
import resp_client

RESP = ("--set", "kv.resp_listen=127.0.0.1:0")
QUIET_SECONDS = 0.3  # a connection that has sent nothing for so long has nothing more to say


def start(*arguments):
    return harness.Daemon(*RESP, *arguments)


def connect(daemon):
    return resp_client.Client(resp_client.port_of(daemon))


def encode(words):
    words = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word)
                                              for word in words)


def words_of(line):
    """The words of a script's line; escapes stand for bytes."""
    return [word.encode().decode("unicode_escape").encode("latin-1") for word in shlex.split(line)]


def lines_of(script):
    # The backslashes of escapes must get past shlex.
    return [line.strip().replace("\\", "\\\\") for line in script.strip().splitlines()]


class RawClient:
    """Replies as bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def call(self, words):
        self.socket.sendall(encode(words))
        return self.read()

    def read(self):
        line = self.stream.readline()
        if line[:1] in b"$=" and line[1:2] != b"-":
            return line + self.stream.read(int(line[1:]) + 2)
        count = 0
        if line[:1] in b"*~%>" and line[1:2] != b"-":
            count = int(line[1:]) * (2 if line[:1] == b"%" else 1)
        return line + b"".join(self.read() for _ in range(count))


def stream_reply(port, sent):
    """What comes back for bytes on a connection of their own, and whether it ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=QUIET_SECONDS) as client:
        received = b""
        try:
            client.sendall(sent)
            while chunk := client.recv(65536):
                received += chunk
            return received, True
        except TimeoutError:
            return received, False
        except ConnectionError:
            return received, True


class Redis:
    """A redis-server without files."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tsdbd-redis-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--dir", self.folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def set_password(self, password):
        client = RawClient(self.port)
        client.call(["CONFIG", "SET", "requirepass", password])
        client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server")
class ComparisonTest(unittest.TestCase):
    """The same bytes as Redis 7.0."""

    def test_replies_are_those_of_redis(self):
        with Redis() as redis, start() as daemon:
            for protocol in (2, 3):
                for name, script in redis_comparison.SCRIPTS.items():
                    self.compare(name, script, protocol, redis.port,
                                 resp_client.port_of(daemon))

    def compare(self, name, script, protocol, redis_port, own_port):
        clients = [RawClient(redis_port), RawClient(own_port)]
        for client in clients:
            client.call(["HELLO", str(protocol)])
            client.call(["FLUSHALL"])
        differences = []
        for line in lines_of(script):
            words = words_of(line)
            expected, got = (client.call(words) for client in clients)
            if line.upper().startswith("RESET") and protocol == 3:
                for client in clients:
                    client.call(["HELLO", "3"])
            if expected != got:
                differences.append(f"{name}, RESP{protocol}: {line}\n"
                                   f"  redis: {expected!r}\n  ours:  {got!r}")
        for client in clients:
            client.close()
        self.assertFalse(differences, "\n".join(differences))

    def test_streams_are_answered_as_by_redis(self):
        with Redis() as redis, start() as daemon:
            differences = []
            for sent in redis_comparison.STREAMS:
                expected = stream_reply(redis.port, sent)
                got = stream_reply(resp_client.port_of(daemon), sent)
                if expected != got:
                    differences.append(f"{sent[:80]!r}\n  redis: {expected!r}\n  ours:  {got!r}")
            self.assertFalse(differences, "\n".join(differences))

    def test_before_the_password_replies_are_those_of_redis(self):
        with Redis() as redis, start("--set", "kv.resp_password=secret") as daemon:
            redis.set_password("secret")
            lines = ["PING", "GET a", "nonsense", "GET", "AUTH wrong", "AUTH default wrong",
                     "HELLO 3", "HELLO 2 AUTH default wrong", "CLIENT ID", "AUTH secret", "PING",
                     "RESET", "PING", "AUTH default secret", "GET a"]
            clients = [RawClient(redis.port), RawClient(resp_client.port_of(daemon))]
            for line in lines:
                expected, got = (client.call(line.split()) for client in clients)
                self.assertEqual(expected, got, line)
            for client in clients:
                client.close()
            for sent in (b"*11\r\n", b"*1\r\n$20000\r\n"):
                self.assertEqual(stream_reply(redis.port, sent),
                                 stream_reply(resp_client.port_of(daemon), sent))


class ClientsTest(unittest.TestCase):

    def test_redis_cli_speaks_with_us(self):
        with start() as daemon:
            def cli(*words):
                return subprocess.run(
                    ["redis-cli", "-p", str(resp_client.port_of(daemon)), *words], text=True,
                    capture_output=True, check=True, timeout=60).stdout
            self.assertEqual(cli("SET", "key", "value"), "OK\n")
            self.assertEqual(cli("GET", "key"), "value\n")
            self.assertEqual(cli("-3", "CONFIG", "GET", "appendonly"), "appendonly yes\n")
            self.assertIn("redis_version:7", cli("INFO", "server"))
            self.assertEqual(cli("--scan"), "key\n")
            pipe = subprocess.run(
                ["redis-cli", "-p", str(resp_client.port_of(daemon)), "--pipe"],
                input=b"".join(encode(["SET", f"k{i}", str(i)]) for i in range(10_000)),
                capture_output=True, check=True, timeout=120).stdout
            self.assertIn(b"errors: 0, replies: 10000", pipe)
            self.assertEqual(cli("GET", "k9999"), "9999\n")

    def test_redis_benchmark_runs(self):
        with start("--set", "kv.sync=interval") as daemon:
            output = subprocess.run(
                ["redis-benchmark", "-p", str(resp_client.port_of(daemon)), "-n", "20000", "-P",
                 "16", "-c", "20", "-r", "10000", "-t", "ping,set,get,incr,mset", "--csv"],
                text=True, capture_output=True, check=True, timeout=300).stdout
            self.assertEqual(len(output.splitlines()), 7, output)
            self.assertNotIn("ERR", output)

    def test_many_connections_at_once(self):
        with start() as daemon:
            clients = [connect(daemon) for _ in range(200)]
            for i, client in enumerate(clients):
                client.send(["SET", f"k{i}", i], ["INCR", "n"])
            for client in clients:
                self.assertEqual(client.read(), "OK")
                client.read()
            self.assertEqual(clients[0].call("GET", "n"), b"200")
            self.assertEqual(len(clients[0].call("CLIENT", "LIST").splitlines()), 200)
            for client in clients:
                client.close()

    def test_connections_over_the_limit_are_told_so(self):
        with start("--set", "kv.resp_max_connections=2") as daemon:
            with connect(daemon) as first, connect(daemon) as second:
                self.assertEqual([first.call("PING"), second.call("PING")], ["PONG", "PONG"])
                with connect(daemon) as third:
                    self.assertEqual(third.read(), "ERR max number of clients reached")
                    self.assertRaises(ConnectionError, third.read)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with connect(daemon) as client:
                    try:
                        if client.call("PING") == "PONG":
                            break
                    except ConnectionError:
                        time.sleep(0.02)
            else:
                self.fail("no connection after the others ended")

    def test_it_is_off_unless_configured(self):
        with harness.Daemon() as daemon:
            self.assertFalse([line for line in daemon.log() if "resp listening" in line])


class PipelineTest(unittest.TestCase):

    def test_a_long_pipeline_is_answered_in_order(self):
        with start() as daemon, connect(daemon) as client:
            commands = []
            for i in range(5_000):
                commands += [["SET", "k", i], ["GET", "k"], ["INCR", "n"], ["MGET", "k", "n"]]
            client.send(*commands)
            for i in range(5_000):
                number = str(i).encode()
                self.assertEqual([client.read() for _ in range(4)],
                                 ["OK", number, i + 1, [number, str(i + 1).encode()]])

    def test_a_command_may_come_byte_by_byte(self):
        with start() as daemon, connect(daemon) as client:
            for byte in encode(["SET", "k", "v"]) + encode(["GET", "k"]):
                client.socket.sendall(bytes([byte]))
            self.assertEqual([client.read(), client.read()], ["OK", b"v"])

    def test_large_values_come_back_whole(self):
        with start() as daemon, connect(daemon) as client:
            value = os.urandom(5 << 20)
            self.assertEqual(client.call("SET", "large", value), "OK")
            client.send(*[["GET", "large"]] * 5, ["STRLEN", "large"])
            for _ in range(5):
                self.assertEqual(client.read(), value)
            self.assertEqual(client.read(), len(value))

    def test_a_client_that_does_not_read_is_not_read_from(self):
        with start() as daemon, connect(daemon) as client, connect(daemon) as other:
            client.call("SET", "k", b"v" * 100_000)
            client.socket.settimeout(1)
            sent = 0
            command = encode(["GET", "k"]) * 1_000
            with self.assertRaises(TimeoutError):
                while sent < 1 << 30:
                    sent += client.socket.send(command)
            # It holds neither memory nor the others.
            self.assertEqual(other.call("PING"), "PONG")
            resident = daemon.metrics()["process_resident_memory_bytes"]
            self.assertLess(resident, 300 << 20)
            client.socket.settimeout(60)
            for _ in range(sent // len(encode(["GET", "k"]))):
                self.assertEqual(client.read(), b"v" * 100_000)

    def wait_for(self, daemon, metric, is_reached):
        deadline = time.monotonic() + 30
        while not is_reached(daemon.metrics()[metric]):
            self.assertLess(time.monotonic(), deadline, metric)
            time.sleep(0.05)

    def test_requests_in_part_are_bounded_over_all_connections(self):
        with start("--set", "kv.resp_memory=4MiB", "--set", "kv.max_value=1MiB") as daemon:
            clients = [connect(daemon) for _ in range(8)]
            refused = 0
            for client in clients:
                try:
                    client.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" +
                                          b"x" * 900_000)
                    client.socket.settimeout(QUIET_SECONDS)
                    self.assertEqual(client.read(), "ERR out of memory for requests")
                    refused += 1
                except TimeoutError:
                    pass
                except ConnectionError:
                    refused += 1
            self.assertGreaterEqual(refused, 2)
            for client in clients:
                client.close()
            self.wait_for(daemon, "tsdbd_resp_memory_bytes", lambda bytes: bytes == 0)
            with connect(daemon) as client:
                self.assertEqual(client.call("SET", "k", b"x" * 1_000_000), "OK")

    def test_replies_that_nobody_takes_are_bounded_over_all_connections(self):
        with start("--set", "kv.resp_memory=32MiB", "--set", "kv.max_value=12MiB") as daemon:
            with connect(daemon) as client:
                value = os.urandom(12 << 20)
                self.assertEqual(client.call("SET", "k", value), "OK")
                greedy = [connect(daemon) for _ in range(12)]
                for one in greedy:
                    one.send(["GET", "k"])
                self.wait_for(daemon, "tsdbd_resp_out_of_memory_total", lambda count: count >= 5)
                self.assertLessEqual(daemon.metrics()["tsdbd_resp_memory_bytes"], 32 << 20)
                self.assertEqual(client.call("PING"), "PONG")
                for one in greedy:
                    one.close()
                self.wait_for(daemon, "tsdbd_resp_memory_bytes", lambda bytes: bytes == 0)
                self.assertEqual(client.call("GET", "k"), value)
                self.assertIn("too large for one reply", client.call("MGET", "k", "k"))


class AtomicityTest(unittest.TestCase):

    def race(self, arguments, work):
        """The replies of `work(client, round)` by four clients at once, round by round."""
        with start(*arguments) as daemon:
            replies = []

            def run(round_count):
                with connect(daemon) as client:
                    mine = [work(client, i) for i in range(round_count)]
                replies.append(mine)

            threads = [threading.Thread(target=run, args=(200,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(replies), 4)
            return list(zip(*replies))

    def test_of_many_who_want_keys_that_are_not_there_one_gets_them(self):
        # Each key twice: in the first and in the second place.
        def take(client, i):
            return client.call("MSETNX", f"a{i}", "1", f"b{i}", "1") + \
                client.call("MSETNX", f"b{i}", "1", f"a{i}", "1")
        for replies in self.race((), take):
            self.assertEqual(sum(replies), 1)

    def test_of_many_who_delete_a_key_one_counts_it(self):
        def delete(client, i):
            client.call("SET", f"own{i}", "1", "NX")
            return client.call("INCR", "n") and client.call("SETNX", f"k{i}", "1") + \
                10 * client.call("DEL", f"none{i}", f"k{i}")
        for replies in self.race((), delete):
            # As many deletions as creations.
            self.assertEqual(sum(reply % 10 for reply in replies),
                             sum(reply // 10 for reply in replies))


class DurabilityTest(unittest.TestCase):

    def test_what_was_acknowledged_survives_a_crash(self):
        with start("--set", "kv.sync=always") as daemon:
            expected = {}
            for round_number in range(3):
                with connect(daemon) as client:
                    for name, value in expected.items():
                        self.assertEqual(client.call("GET", name), value)
                    names = [f"r{round_number}:{i}" for i in range(500)]
                    client.send(*[["SET", name, name] for name in names])
                    for name in names:
                        self.assertEqual(client.read(), "OK")
                        expected[name] = name.encode()
                    for name in list(expected)[::3]:
                        self.assertEqual(client.call("DEL", name), 1)
                        del expected[name]
                    for name in list(expected)[::5]:
                        expected[name] = expected[name] + b"!"
                        self.assertEqual(client.call("APPEND", name, "!"), len(expected[name]))
                    client.call("SELECT", 1)
                    client.call("INCR", "rounds")
                daemon.kill()
                daemon.start()
            with connect(daemon) as client:
                self.assertEqual(client.call("DBSIZE"), len(expected))
                self.assertEqual(sorted(client.scan_all()), sorted(name.encode()
                                                                   for name in expected))
                client.call("SELECT", 1)
                self.assertEqual(client.call("GET", "rounds"), b"3")

    def test_expiry_survives_a_restart(self):
        with start() as daemon:
            with connect(daemon) as client:
                client.call("SET", "short", "v", "PX", "300")
                client.call("SET", "long", "v", "EX", "1000")
            daemon.restart()
            time.sleep(0.35)
            with connect(daemon) as client:
                self.assertIsNone(client.call("GET", "short"))
                self.assertEqual(client.call("GET", "long"), b"v")
                self.assertIn(client.call("TTL", "long"), range(990, 1001))

    def test_a_stop_lets_commands_in_flight_finish(self):
        with start() as daemon, connect(daemon) as client:
            client.send(*[["SET", f"k{i}", i] for i in range(2_000)])
            self.assertEqual(client.read(), "OK")
            self.assertEqual(daemon.stop(), 0)
            answered = 1
            try:
                while client.read() == "OK":
                    answered += 1
            except ConnectionError:
                pass
            daemon.start()
            with connect(daemon) as again:
                self.assertGreaterEqual(again.call("DBSIZE"), answered)


class DatabasesTest(unittest.TestCase):

    def test_databases_are_keyspaces_by_name(self):
        with start("--set", "kv.resp_databases=alpha, beta") as daemon, connect(daemon) as client:
            client.call("SET", "k", "a")
            client.call("SELECT", 1)
            client.call("SET", "k", "b")
            self.assertEqual(client.call("SELECT", 2), "ERR DB index is out of range")
            figures = daemon.metrics()
            names = {match.group(1) for name in figures
                     if (match := re.match(r'tsdbd_kv_available\{keyspace="(\w+)"', name))}
            self.assertEqual(names, {"alpha", "beta"})

    def test_commands_are_counted_and_timed(self):
        with start() as daemon, connect(daemon) as client:
            client.call("SET", "k", "v")
            client.send(*[["GET", "k"]] * 10, ["INCR", "k"], ["nonsense"])
            for _ in range(12):
                client.read()
            figures = daemon.metrics()
            self.assertEqual(figures['tsdbd_resp_commands_total{command="get"}'], 10)
            self.assertEqual(figures['tsdbd_resp_command_errors_total{command="incr"}'], 1)
            self.assertEqual(figures["tsdbd_resp_unknown_commands_total"], 1)
            self.assertEqual(figures["tsdbd_resp_connections_open"], 1)
            self.assertGreaterEqual(figures['tsdbd_stage_items_total{stage="kv_parse"}'], 13)


if __name__ == "__main__":
    unittest.main()
