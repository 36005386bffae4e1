"""What dashboards look at, generated: tables of metrics, as line protocol and as remote write.

    cpu      10 fields of every host: eight gauges that walk between 0 and 100, two counters;
             some hosts start anew on the way
    http     the buckets of one request histogram per host
    disk     one gauge over 30 days, which end where the others begin
    sensor   one field, very many series, a few samples

Values are whole numbers, and the same for every run: only the times are now.
"""

import array
import itertools
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "promql"))
import remote_write  # noqa: E402

# What agents send at a time.
LINES_PER_REQUEST = 5_000
SAMPLES_PER_REQUEST = 50_000
# Requests of several tables are sent by turns: none may be long before what came by another.
SECONDS_PER_REQUEST = 1800

REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1",
           "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1")
SERVICES = 20
DISK_INTERVAL_S = 300
BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf")

CPU_GAUGES = ("usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
              "usage_irq", "usage_softirq", "usage_steal")
CPU_COUNTERS = ("context_switches", "interrupts")
# All that Prometheus gets: its write path is slow, and what is not asked for costs it nothing.
QUERIED_FIELDS = ("usage_user", "context_switches", "bucket", "used_percent")

# A walk stays between 0 and 100 by being folded: position 0..199, there and back.
_FOLD = bytes(min(position, 200 - position) for position in range(200))
# Steps of a walk modulo 200: -2 to 2, mostly small.
_STEPS = bytes((198, 199, 199, 0, 0, 0, 1, 1, 2, 0)[byte % 10] for byte in range(256))


def gauge(rng, length):
    positions = itertools.accumulate(rng.randbytes(length - 1).translate(_STEPS),
                                     initial=rng.randrange(200))
    return bytes([_FOLD[position % 200] for position in positions])


def counter(rng, length, restart=None, increments=None):
    """Grows by 0 to 255, or by `increments`; begins again from 0 after `restart` samples."""
    values = array.array("q", itertools.accumulate(increments or rng.randbytes(length)))
    if restart is not None:
        before = values[restart - 1]
        values[restart:] = array.array("q", [value - before for value in values[restart:]])
    return values


def host_labels(host):
    """As TSBS has them: ten tags, of which the host decides all others."""
    region = REGIONS[host % len(REGIONS)]
    return {"host": f"host_{host}", "region": region,
            "datacenter": f"{region}{'ab'[host // 10 % 2]}", "rack": f"{host % 100}",
            "os": ("Ubuntu22.04LTS", "Debian12")[host % 3 == 0],
            "arch": ("x64", "arm64")[host % 7 == 0], "team": ("SF", "NYC", "LON", "CHI")[host % 4],
            "service": f"service_{host % SERVICES}", "service_version": f"{host % 2}",
            "service_environment": ("production", "staging", "test")[host % 3]}


class Table:
    """Rows every `interval_s`: rows[i] is (labels, [the values of a field, ...])."""

    def __init__(self, measurement, fields, start_s, interval_s, rows):
        self.measurement = measurement
        self.fields = fields
        self.queried_fields = [field for field in fields if field in QUERIED_FIELDS]
        self.start_s = start_s
        self.interval_s = interval_s
        self.rows = rows
        self.length = len(rows[0][1][0])

    @property
    def samples(self):
        return len(self.rows) * len(self.fields) * self.length

    def line_bodies(self):
        """(time, body of line protocol from then on), in the order of time."""
        row_count = self._rows_per_request(LINES_PER_REQUEST // len(self.rows))
        values = ",".join(f"{field}=%di" for field in self.fields)
        rows = [(f"{_line_key(self.measurement, labels)} {values} ", zip(*columns))
                for labels, columns in self.rows]
        for first in range(0, self.length, row_count):
            lines = []
            for index in range(first, min(first + row_count, self.length)):
                time = f"{self._time_s(index)}000000000\n"
                lines += [line % next(columns) + time for line, columns in rows]
            yield self._time_s(first), "".join(lines).encode()

    def remote_write_bodies(self):
        """The same as remote write requests, but only the fields that are queried."""
        series = [(_remote_labels(f"{self.measurement}_{field}", labels),
                   columns[self.fields.index(field)])
                  for labels, columns in self.rows for field in self.queried_fields]
        row_count = self._rows_per_request(SAMPLES_PER_REQUEST // len(series))
        for first in range(0, self.length, row_count):
            times = [b"\x10" + remote_write.varint(self._time_s(index) * 1000)
                     for index in range(first, min(first + row_count, self.length))]
            yield self._time_s(first), remote_write.snappy_block(b"".join(
                [_remote_series(labels, values[first:first + row_count], times)
                 for labels, values in series]))

    def _rows_per_request(self, wanted):
        return max(1, min(wanted, SECONDS_PER_REQUEST // self.interval_s))

    def _time_s(self, index):
        return self.start_s + index * self.interval_s


def _line_key(measurement, labels):
    return ",".join([measurement, *(f"{name}={value}" for name, value in labels.items())])


def _remote_labels(metric, labels):
    pairs = sorted((labels | {"__name__": metric}).items())
    return b"".join(b"\x0a" + _sized(b"\x0a" + _sized(name.encode()) + b"\x12" +
                                     _sized(value.encode())) for name, value in pairs)


def _remote_series(labels, values, times):
    pack = struct.Struct("<d").pack
    size = bytes((0x12, 9 + len(times[0]), 0x09))  # all times have the same length
    samples = b"".join([size + pack(value) + time for value, time in zip(values, times)])
    return b"\x0a" + _sized(labels + samples)


def _sized(data):
    return remote_write.varint(len(data)) + data


def cpu_table(hosts, start_s, length):
    rows = []
    for host in range(hosts):
        rng = random.Random(host)
        restart = length // 3 + host % max(1, length // 3) if host % 50 == 7 else None
        rows.append((host_labels(host), [gauge(rng, length) for _ in CPU_GAUGES] +
                     [counter(rng, length, restart) for _ in CPU_COUNTERS]))
    return Table("cpu", CPU_GAUGES + CPU_COUNTERS, start_s, 10, rows)


def http_table(hosts, start_s, length):
    """http_request_duration_bucket{le}: a bucket counts what the ones below it count, and more."""
    rows = []
    for host in range(hosts):
        rng = random.Random(f"http {host}")
        labels, total = host_labels(host), bytes(length)
        for bound in BUCKETS:
            requests = rng.randbytes(length).translate(bytes(byte % 8 for byte in range(256)))
            total = [a + b for a, b in zip(total, requests)]
            rows.append((labels | {"le": bound}, [counter(rng, length, increments=total)]))
    return Table("http_request_duration", ("bucket",), start_s, 10, rows)


def disk_table(hosts, start_s, length):
    rows = [(host_labels(host), [gauge(random.Random(f"disk {host}"), length)])
            for host in range(hosts)]
    return Table("disk", ("used_percent",), start_s, DISK_INTERVAL_S, rows)


class SensorTable:
    """As Table, but its rows are made while they are read: a million would fill the memory."""

    interval_s = 10
    length = 3

    def __init__(self, series, start_s):
        self.series = series
        self.start_s = start_s
        self.samples = series * self.length

    def line_bodies(self):
        for index in range(self.length):
            time_s = self.start_s + index * self.interval_s
            time = f"{time_s}000000000\n"
            for first in range(0, self.series, LINES_PER_REQUEST):
                last = min(first + LINES_PER_REQUEST, self.series)
                yield time_s, "".join([self._line(sensor, index) + time
                                       for sensor in range(first, last)]).encode()

    def _line(self, sensor, index):
        region = REGIONS[sensor % len(REGIONS)]
        # The factor is prime to the modulus: no two sensors have the same value.
        value = (sensor * 7919 + index) % 10_000_019
        return (f"sensor,id=s{sensor:07},region={region},datacenter={region}{sensor // 10 % 2},"
                f"site=site_{sensor % 990},rack={sensor % 100},zone=zone_{sensor // 10 % 10},"
                f"team=team_{sensor % 4},service=service_{sensor % 20},"
                f"service_version={sensor % 2},service_environment=production value={value}i ")
