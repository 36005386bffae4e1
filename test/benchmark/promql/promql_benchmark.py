#!/usr/bin/env python3
"""The queries of dashboards on the same data in tsdbd, Prometheus and VictoriaMetrics, one process
each: the server's CPU time and the median wall time per query, and how much less tsdbd needs than
the better peer.

    promql_benchmark.py --server build/release/tsdbd [--hosts 1000] [--hours 12] [--sensors 1000000]
    promql_benchmark.py --only REGEX             only these queries
    promql_benchmark.py --smoke                  small data, seconds

Peers are taken from the PATH (prometheus, victoria-metrics); one that is missing is left out.

Answers are compared before a figure is printed: labels and times exactly, values to 1e-9 relative.
Times lie between the samples, so that it does not matter whether a range holds its left edge, which
it does in Prometheus 2.x. VictoriaMetrics has another rate() and its answers to that are not
compared. Its cache of results is off, else what is asked twice is answered from there.
"""

import argparse
import dataclasses
import json
import math
import os
import re
import statistics
import sys
import time

import dashboard_data
import peers
import queries

RELATIVE_TOLERANCE = 1e-9
# Between two samples, off every step.
OFFSET_S = 5
# Loading takes minutes; tsdbd's and the peers' newest samples are older than now.
AGE_S = 300
# Of data before the queries' ranges: at the very first sample servers differ.
LEAD_S = 900

# A figure is the mean over this much of the server's CPU time, or this many queries.
MEASURED_CPU_SECONDS = 0.5
MEASURED_QUERIES = 2000
# Where neither comes soon: an answer that takes long to send.
MEASURED_WALL_SECONDS = 10
SMOKE_QUERIES = 3
# Caches of indexes fill with the first ones.
WARM_UP_SECONDS = 0.3


@dataclasses.dataclass
class Figure:
    cpu_ms: float
    p50_ms: float


class Benchmark:
    """The measured servers, and the rows of the report."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.failures = 0

    def _start(self, names):
        return [peers.SERVERS[name]() for name in names
                if name == "tsdbd" or name in self.arguments.peers]

    def run(self):
        _print_machine()
        self._run_hosts()
        self._run_sensors()
        return self.failures

    def _run_hosts(self):
        arguments = self.arguments
        length = (round(arguments.hours * 3600) + LEAD_S) // 10
        start_s = _now_s() - AGE_S - length * 10
        end_s = start_s + length * 10 + OFFSET_S
        disk_end_s = start_s - dashboard_data.DISK_INTERVAL_S + OFFSET_S
        wanted = [(query, end_s) for query in self._wanted(queries.HOST_QUERIES)]
        wanted += [(query, disk_end_s) for query in self._wanted(queries.DISK_QUERIES)]
        if not wanted:
            return
        measured = self._start(("tsdbd", "prometheus", "victoriametrics"))
        try:
            # Histograms only for the hour that is asked for, and what comes before it.
            few_hosts = max(20, arguments.hosts // 10)
            recent = min(length, 360 + LEAD_S // 10)
            _load(measured, [
                dashboard_data.disk_table(few_hosts, start_s - 721 * 3600,
                                          721 * 3600 // dashboard_data.DISK_INTERVAL_S),
                dashboard_data.cpu_table(arguments.hosts, start_s, length),
                dashboard_data.http_table(few_hosts, start_s + (length - recent) * 10, recent)])
            self._finish_loading(measured)
            self._measure("hosts, tsdbd's samples in the head", measured[:1], wanted)
            measured[0].flush()
            self._finish_loading(measured[:1])
            self._measure("hosts", measured, wanted)
        finally:
            _close(measured)

    def _run_sensors(self):
        wanted = self._wanted(queries.SENSOR_QUERIES)
        if not self.arguments.sensors or not wanted:
            return
        start_s = _now_s() - AGE_S
        measured = self._start(("tsdbd", "victoriametrics"))
        try:
            _load(measured, [dashboard_data.SensorTable(self.arguments.sensors, start_s)])
            self._finish_loading(measured)
            end_s = start_s + 10 * dashboard_data.SensorTable.length + OFFSET_S
            self._measure("sensors", measured, [(query, end_s) for query in wanted])
        finally:
            _close(measured)

    def _wanted(self, candidates):
        return [query for query in candidates if re.search(self.arguments.only, query.name)
                and (query.hours <= self.arguments.hours or candidates is queries.DISK_QUERIES)]

    def _finish_loading(self, measured):
        for server in measured:
            server.finish_loading()
            if not self.arguments.smoke:
                server.wait_until_quiet()
            _note(f"{server.name}: resident {server.memory_bytes() / 2**20:.0f} MiB")

    def _measure(self, title, measured, wanted):
        names = [server.name for server in measured]
        resident = measured[0].memory_bytes()
        peak_growth = 0
        print(f"\n{title}: server CPU ms a query; median wall ms in brackets\n")
        print("| query | " + " | ".join(names) + " | best peer : tsdbd |")
        print("| --- " * (len(names) + 2) + "|", flush=True)
        for query, end_s in wanted:
            path = peers.query_path(query, end_s)
            measured[0].reset_peak_memory()
            why = _difference_of_servers(query, measured, path)
            if why:
                self.failures += 1
                print(f"| {query.name} | WRONG: {why} |", flush=True)
                continue
            figures = [_measure(server, path, self.arguments.smoke) for server in measured]
            peak_growth = max(peak_growth, measured[0].memory_bytes("VmHWM") - resident)
            print(_row(query.name, figures), flush=True)
        print(f"\ntsdbd: resident before {resident / 2**20:.0f} MiB; the largest growth with a"
              f" query {peak_growth / 2**20:.0f} MiB", flush=True)


def _now_s():
    """A full hour's quarter: every table's samples lie on its grid."""
    return int(time.time()) // 900 * 900


def _load(measured, tables):
    samples = sum(table.samples for table in tables)
    for server in measured:
        start = time.monotonic()
        cpu_before = server.cpu_seconds()
        server.write(tables)
        _note(f"{server.name}: {samples:,} samples (or those that are queried) in "
              f"{time.monotonic() - start:.1f} s, CPU {server.cpu_seconds() - cpu_before:.1f} s")


def _close(measured):
    for server in measured:
        server.close()


def _note(text):
    print(text, file=sys.stderr, flush=True)


def _measure(server, path, is_smoke):
    """Its figures for one request, asked again and again; answers are checked to be the same."""
    server.reconnect()
    start = time.monotonic()
    expected = server.get(path)
    while not is_smoke and time.monotonic() - start < WARM_UP_SECONDS:
        server.get(path)
    walls = []
    start = time.monotonic()
    cpu_before = cpu_seconds = server.cpu_seconds()
    while len(walls) < (SMOKE_QUERIES if is_smoke else MEASURED_QUERIES):
        before = time.perf_counter()
        answer = server.get(path)
        walls.append(time.perf_counter() - before)
        cpu_seconds = server.cpu_seconds()
        if len(walls) >= SMOKE_QUERIES and (cpu_seconds - cpu_before >= MEASURED_CPU_SECONDS or
                                            time.monotonic() - start >= MEASURED_WALL_SECONDS):
            break
    if abs(len(answer) - len(expected)) > len(expected) // 100:
        raise RuntimeError(f"{server.name}: the last answer is not the first for {path}")
    return Figure((cpu_seconds - cpu_before) / len(walls) * 1000, statistics.median(walls) * 1000)


def _row(name, figures):
    cells = [f"{_digits(figure.cpu_ms)} ({_digits(figure.p50_ms)})" for figure in figures]
    ratio = ""
    if len(figures) > 1:
        ratio = f"{min(figure.cpu_ms for figure in figures[1:]) / figures[0].cpu_ms:.2f}"
    return f"| {name} | " + " | ".join(cells) + f" | {ratio} |"


def _digits(milliseconds):
    return f"{milliseconds:.3f}" if milliseconds < 1 else f"{milliseconds:.3g}"


# Answers.


def _difference_of_servers(query, measured, path):
    """Why one of the servers is wrong, or None."""
    for server in measured:
        server.reconnect()
    answers = {server.name: _parse(server.get(path), query.has_ties) for server in measured}
    if not answers["tsdbd"]:
        return "tsdbd's answer is empty"
    for name, answer in answers.items():
        if name == "victoriametrics" and query.victoriametrics != queries.SAME:
            continue
        why = _difference(answer, answers["tsdbd"])
        if why:
            return f"{name} and tsdbd: {why}"
    return None


def _parse(body, only_values):
    """{series: {time: value}}; with `only_values` {time: {rank: value}}; of a list {item: {}}."""
    data = json.loads(body)["data"]
    if isinstance(data, list):
        return {item: {} for item in data}
    if data["resultType"] == "vector":
        series = [(entry["metric"], [entry["value"]]) for entry in data["result"]]
    else:
        series = [(entry["metric"], entry["values"]) for entry in data["result"]]
    if only_values:
        ranked = {}
        for _, points in series:
            for at, value in points:
                ranked.setdefault(float(at), []).append(float(value))
        return {at: dict(enumerate(sorted(values))) for at, values in ranked.items()}
    # VictoriaMetrics keeps the name where a function gives values of the same kind.
    return {frozenset((name, value) for name, value in metric.items() if name != "__name__"):
            {float(at): float(value) for at, value in points} for metric, points in series}


def _difference(expected, actual):
    if expected.keys() != actual.keys():
        examples = list(expected.keys() ^ actual.keys())[:2]
        return f"{len(expected)} and {len(actual)} series, {examples}"
    for key, points in expected.items():
        if points.keys() != actual[key].keys():
            return f"{len(points)} and {len(actual[key])} points of {key}"
        for at, value in points.items():
            if not math.isclose(value, actual[key][at], rel_tol=RELATIVE_TOLERANCE):
                return f"{value} and {actual[key][at]} at {at} of {key}"
    return None


def _print_machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")),
                     "unknown CPU")
    print(f"{model}, {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--server", help="the tsdbd to measure; default $TSDBD_BINARY")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=12)
    parser.add_argument("--sensors", type=int, default=1_000_000, help="0: none")
    parser.add_argument("--only", default="", help="queries whose name has this expression")
    parser.add_argument("--peers", nargs="*", default=["prometheus", "victoriametrics"])
    parser.add_argument("--smoke", action="store_true", help="a run of seconds, to see it work")
    arguments = parser.parse_args()
    if arguments.server:
        os.environ["TSDBD_BINARY"] = os.path.abspath(arguments.server)
    if arguments.smoke:
        arguments.hosts, arguments.hours, arguments.sensors = 60, 1, 1000
    for name in [name for name in arguments.peers if not peers.servers.is_installed(name)]:
        print(f"{name} is not installed: left out")
        arguments.peers.remove(name)
    for name in ["tsdbd", *arguments.peers]:
        print(f"{name}: {peers.SERVERS[name].version()}; {peers.SERVERS[name].durability}")
    return arguments


if __name__ == "__main__":
    sys.exit(1 if Benchmark(_arguments()).run() else 0)
