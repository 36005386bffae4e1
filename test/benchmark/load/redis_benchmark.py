#!/usr/bin/env python3
"""redis-benchmark against us and against Debian's redis-server, in turns in the same run.

    redis_benchmark.py --server build/release/tsdbd          # minutes
    redis_benchmark.py --smoke                               # seconds, as a test

Two pairs, by what an answered write promises: a file's append by the kernel (appendfsync everysec,
kv.sync=interval) and an fsync (always, always). Requests per second are of the best round, since
redis-benchmark takes most of a core itself and other work only slows down; the server's CPU time per
command is what hardly depends on that. Before a figure is printed, keys are read back.
"""

import argparse
import csv
import io
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                                "integration"))
import harness  # noqa: E402
import resp_client  # noqa: E402

VALUE_BYTES = 64
CHECKED_KEYS = 2_000
# What the goals of the key-value engine say of pipelines of 16.
GOALS = {"interval": 1.5, "always": 3.0}


class Redis:
    name = "redis-server"

    def __init__(self, durability):
        self.folder = tempfile.mkdtemp(prefix="redis-benchmark-")
        fsync = {"interval": "everysec", "always": "always"}[durability]
        self.port = _free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--appendfsync", fsync, "--dir", self.folder],
            stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        _wait_until_it_answers(self.port)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Tsdbd:
    name = "tsdbd"

    def __init__(self, durability):
        self.daemon = harness.Daemon("--set", "kv.resp_listen=127.0.0.1:0", "--set",
                                     f"kv.sync={durability}").start()
        self.port = resp_client.port_of(self.daemon)
        self.pid = self.daemon.process.pid

    def stages(self):
        return self.daemon.get("/debug/stages", headers={"Accept": "text/plain"}).text

    def close(self):
        self.daemon.close()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(port):
    deadline = time.monotonic() + 30
    while True:
        try:
            with resp_client.Client(port) as client:
                if client.call("PING") == "PONG":
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answers on port {port}")
        time.sleep(0.02)


def cpu_seconds(pid):
    """User and system time so far: the kernel's clock of that process."""
    return time.clock_gettime(~pid << 3 | 2)


def run_once(server, command, options, pipeline, requests):
    """One run of redis-benchmark: its figures, and the server's CPU time per command."""
    before = cpu_seconds(server.pid)
    output = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-t", command, "-P", str(pipeline), "-n",
         str(requests), "-c", str(options.clients), "-r", str(options.keys), "-d",
         str(VALUE_BYTES), "--threads", str(options.threads), "--csv"],
        capture_output=True, text=True, check=True).stdout
    cpu = cpu_seconds(server.pid) - before
    row = list(csv.DictReader(io.StringIO(output[output.index('"test"'):])))[0]
    return {"rps": float(row["rps"]), "p50": float(row["p50_latency_ms"]),
            "p99": float(row["p99_latency_ms"]), "cpu_us": cpu / requests * 1e6}


def check_keys(server, options):
    """Reads keys back: each has the benchmark's value or is not there, as often as expected."""
    with resp_client.Client(server.port) as client:
        size = client.call("DBSIZE")
        step = max(1, options.keys // CHECKED_KEYS)
        names = [f"key:{i:012}" for i in range(0, options.keys, step)]
        client.send(*[["GET", name] for name in names])
        values = [client.read() for _ in names]
    present = [value for value in values if value is not None]
    expected = len(names) * size / options.keys
    if any(len(value) != VALUE_BYTES for value in present):
        raise AssertionError(f"{server.name}: a value of the wrong size")
    if not 0.8 * expected - 20 <= len(present) <= 1.2 * expected + 20:
        raise AssertionError(f"{server.name}: {len(present)} of {len(names)} keys are there, "
                             f"{size} of {options.keys} by DBSIZE")


def measure(durability, options):
    servers = [server(durability) for server in (Redis, Tsdbd)]
    try:
        for pipeline in options.pipelines:
            requests = options.requests if pipeline > 1 else max(options.requests // 5, 1)
            for command in ("set", "get"):
                best = {}
                for _ in range(options.rounds):
                    for server in servers:
                        figures = run_once(server, command, options, pipeline, requests)
                        kept = best.setdefault(server.name, figures)
                        for name, value in figures.items():
                            kept[name] = (max if name == "rps" else min)(kept[name], value)
                for server in servers:
                    check_keys(server, options)
                report(durability, command, pipeline, best)
        print(servers[1].stages())
    finally:
        for server in servers:
            server.close()


def report(durability, command, pipeline, best):
    redis, own = best["redis-server"], best["tsdbd"]
    ratio = own["rps"] / redis["rps"]
    goal = f" (goal {GOALS[durability]})" if pipeline == 16 else ""
    print(f"| {durability} | {command} | {pipeline} | {redis['rps']:,.0f} | {own['rps']:,.0f} | "
          f"{ratio:.2f}{goal} | {redis['cpu_us']:.2f} | {own['cpu_us']:.2f} | "
          f"{redis['cpu_us'] / own['cpu_us']:.2f} | {redis['p50']:.2f} / {redis['p99']:.2f} | "
          f"{own['p50']:.2f} / {own['p99']:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", help="tsdbd; default: $TSDBD_BINARY")
    parser.add_argument("--smoke", action="store_true", help="a run of seconds")
    parser.add_argument("--requests", type=int, default=1_000_000, help="a fifth without pipeline")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2, help="of redis-benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pipelines", type=int, nargs="+", default=[16, 1])
    options = parser.parse_args()
    if options.smoke:
        options.requests, options.keys, options.rounds = 20_000, 5_000, 1
    if options.server:
        os.environ["TSDBD_BINARY"] = os.path.abspath(options.server)
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        print("redis-server or redis-benchmark is not installed: nothing to compare with")
        return 0
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores shared with "
          f"redis-benchmark; {options.clients} clients, values of {VALUE_BYTES} bytes, "
          f"{options.keys:,} keys, best of {options.rounds}")
    print("| writes are answered after | command | pipeline | redis-server 1/s | tsdbd 1/s | ratio |"
          " redis CPU µs | tsdbd CPU µs | ratio | redis p50 / p99 ms | tsdbd p50 / p99 ms |")
    print("|" + " --- |" * 11)
    for durability in ("interval", "always"):
        measure(durability, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
