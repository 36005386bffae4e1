"""Seeded data for the differential test: about a hundred series as a small site would have them,
and what the query generator must know about them.

Two servers that compute rightly may differ in the last bits and in what lies on the edge of a
window, so the data keeps clear of both:
  - No timestamp is a multiple of 250 ms. Queries use moments, ranges and steps that are, so no
    sample is exactly on an edge (which 2.x counted in on the left, and 3.x does not).
  - Values are multiples of 1/8, so that sums have no rounding.
  - Counters are, also after a reset, far above their increase between two samples, or begin at
    exactly 0: 2.42 extrapolates towards zero a bit further than 3.x where a gap precedes.
"""

import dataclasses
import math
import random

import remote_write

START_MS = 1_700_000_000_000
INTERVAL_MS = 15_000


@dataclasses.dataclass
class Metric:
    name: str
    labels: dict   # label → its values
    kind: str      # counter, gauge, info, bucket, sparse, odd


JOBS, INSTANCES, CODES = ["api", "db", "web"], ["a:1", "b:1", "c:1"], ["200", "500"]
LIMITS = ["0.1", "0.25", "0.5", "1", "5", "+Inf"]

METRICS = [
    Metric("http_requests_total", {"job": JOBS, "instance": INSTANCES, "code": CODES}, "counter"),
    Metric("memory_bytes", {"job": JOBS, "instance": INSTANCES}, "gauge"),
    Metric("temperature", {"site": ["n", "s"], "sensor": ["1", "2", "3", "4"]}, "gauge"),
    Metric("up", {"job": JOBS, "instance": INSTANCES}, "gauge"),
    Metric("job_info", {"job": JOBS, "version": ["1.0", "1.1", "2.0"]}, "info"),
    Metric("instance_weight", {"instance": INSTANCES}, "gauge"),
    Metric("latency_bucket", {"job": JOBS, "instance": ["a:1", "b:1"], "le": LIMITS}, "bucket"),
    Metric("latency_count", {"job": JOBS, "instance": ["a:1", "b:1"]}, "counter"),
    Metric("latency_sum", {"job": JOBS, "instance": ["a:1", "b:1"]}, "counter"),
    Metric("sparse", {"id": ["1", "2", "3", "4"]}, "sparse"),
    Metric("odd", {"kind": ["nan", "inf", "mixed"]}, "odd"),
]


def generate(seed, minutes):
    """[(labels, [(ms, value)])]."""
    rng = random.Random(f"data {seed}")
    count = minutes * 60_000 // INTERVAL_MS
    series = []
    for metric in METRICS:
        if metric.kind == "bucket":
            continue
        for labels in _label_sets(metric):
            series.append((labels, _with_holes(rng, _values(rng, metric, labels, count))))
    return series + _buckets(rng, count)


def _label_sets(metric):
    sets = [{"__name__": metric.name}]
    if metric.kind == "info":  # one version per job
        return [sets[0] | dict(zip(metric.labels, pair)) for pair in zip(*metric.labels.values())]
    for label, values in metric.labels.items():
        sets = [one | {label: value} for one in sets for value in values]
    return sets


def _values(rng, metric, labels, count):
    """[(ms, value)]."""
    times = _times(rng, count, irregular=metric.kind == "sparse")
    if metric.kind == "info":
        return [(at, 1.0) for at in times]
    if metric.kind == "counter":
        return list(zip(times, _counter(rng, len(times))))
    if metric.kind == "odd":
        choices = {"nan": [math.nan, 1.0], "inf": [math.inf, 2.0, 3.0],
                   "mixed": [math.inf, -math.inf, math.nan, 1.5, 2.5]}[labels["kind"]]
        return [(at, rng.choice(choices)) for at in times]
    if metric.name == "up":
        return [(at, float(rng.random() < 0.9)) for at in times]
    value, result = rng.randrange(400, 4000) / 8, []
    for at in times:
        value = max(50.0, value + rng.randrange(-80, 81) / 8)
        result.append((at, value))
    return result


def _times(rng, count, irregular):
    """Rising, and never at a multiple of 250 ms."""
    if irregular:
        times, at = [], START_MS
        while at < START_MS + count * INTERVAL_MS:
            at += rng.randrange(30_000, 420_000)
            times.append(at)
    else:
        phase = rng.randrange(INTERVAL_MS)
        jitter = rng.choice([0, 0, 3, 900])
        times = [START_MS + phase + index * INTERVAL_MS + (rng.randrange(jitter) if jitter else 0)
                 for index in range(count)]
    return [at + 1 if at % 250 == 0 else at for at in times]


def _counter(rng, count):
    most = 64
    floor = 40 * most
    born_at_zero = rng.random() < 0.2
    value = 0.0 if born_at_zero else float(floor + rng.randrange(10_000))
    for _ in range(count):
        yield value
        value += rng.choice([0, rng.randrange(most), rng.randrange(most * 8) / 8])
        if not born_at_zero and rng.random() < 0.01:
            value = float(floor + rng.randrange(most))


def _buckets(rng, count):
    """Cumulative buckets that fit each other, at the same times."""
    result = []
    for job in JOBS:
        for instance in ["a:1", "b:1"]:
            times = _times(rng, count, irregular=False)
            totals = [rng.randrange(3000, 5000)] * len(LIMITS)
            rows = []
            for _ in times:
                observed = [rng.randrange(12) for _ in LIMITS]
                totals = [total + sum(observed[:index + 1]) for index, total in enumerate(totals)]
                rows.append(totals)
            for index, limit in enumerate(LIMITS):
                labels = {"__name__": "latency_bucket", "job": job, "instance": instance, "le": limit}
                result.append((labels, [(at, float(row[index])) for at, row in zip(times, rows)]))
    return result


def _with_holes(rng, samples):
    """Some series have gaps, with and without a staleness marker at their begin."""
    samples = list(samples)
    if samples[0][1] == 0.0 or rng.random() < 0.5:
        return samples
    for _ in range(rng.randrange(1, 4)):
        begin = rng.randrange(len(samples))
        end = begin + rng.choice([2, 5, 30])
        marker = [(samples[begin][0], remote_write.STALE)] if rng.random() < 0.6 else []
        rest = samples[:begin] + marker + samples[end:]
        samples = rest if len(rest) > 3 else samples
    return samples
