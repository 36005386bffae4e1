"""Encodes samples as a remote write 1.0 request: protobuf by hand, in a snappy block of literals."""

import struct

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Write-Version": "0.1.0"}

# Ends a series: Prometheus gives this NaN a meaning of its own.
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
_STALE_BYTES = struct.pack("<Q", 0x7FF0000000000002)


def is_stale(value):
    return value is STALE


def request(series):
    """The body for [(labels, [(timestamp in ms, value), ...]), ...]; labels are a dict, and a stale
    value is the very object STALE."""
    return snappy_block(b"".join(_field(1, _time_series(labels, samples))
                                 for labels, samples in series))


def snappy_block(data):
    """`data` in the framing of snappy's block format, not compressed."""
    pieces = [varint(len(data))]
    for start in range(0, len(data), 65536):
        piece = data[start:start + 65536]
        pieces.append(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece)
    return b"".join(pieces)


def varint(number):
    number &= 0xFFFFFFFFFFFFFFFF  # negative ones as two's complement
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def _field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def _time_series(labels, samples):
    parts = [_field(1, _field(1, name.encode()) + _field(2, labels[name].encode()))
             for name in sorted(labels)]
    for timestamp_ms, value in samples:
        bits = _STALE_BYTES if value is STALE else struct.pack("<d", value)
        parts.append(_field(2, b"\x09" + bits + b"\x10" + varint(timestamp_ms)))
    return b"".join(parts)
