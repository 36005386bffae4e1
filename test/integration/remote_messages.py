"""Messages of remote write and remote read, made and read by hand: protobuf and snappy blocks.

    body = snappy(write_request([series({"__name__": "up"}, [(1000, 1.0)])]))
"""

import struct

STALE = struct.unpack("<d", struct.pack("<Q", 0x7ff0000000000002))[0]

VARINT, FIXED64, BYTES = 0, 1, 2


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_varint(number, value):
    return varint(number << 3 | VARINT) + varint(value)


def field_double(number, value):
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def field_bytes(number, contents):
    if isinstance(contents, str):
        contents = contents.encode()
    return varint(number << 3 | BYTES) + varint(len(contents)) + contents


def snappy(message):
    """`message` as a block of literals: valid, though it saves nothing."""
    out = bytearray(varint(len(message)))
    for start in range(0, len(message), 65536):
        piece = message[start:start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def unsnappy(block):
    size, position = read_varint(block, 0)
    out = bytearray()
    while position < len(block):
        tag = block[position]
        position += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(block[position:position + extra], "little")
                position += extra
            length += 1
            out += block[position:position + length]
            position += length
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[position]
            position += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length = (tag >> 2) + 1
            offset = int.from_bytes(block[position:position + width], "little")
            position += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def fields(message):
    """(number, value) of each field: an int, the 8 bytes of a fixed64, or bytes."""
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        if tag & 7 == VARINT:
            value, position = read_varint(message, position)
        elif tag & 7 == FIXED64:
            value, position = message[position:position + 8], position + 8
        else:
            assert tag & 7 == BYTES, tag
            size, position = read_varint(message, position)
            value, position = message[position:position + size], position + size
        yield tag >> 3, value


def signed(value):
    return value - (1 << 64) if value >> 63 else value


# Remote write 1.0.

def label(name, value):
    return field_bytes(1, name) + field_bytes(2, value)


def sample(millis, value):
    return field_double(1, value) + field_varint(2, millis)


def series(labels, samples):
    """A TimeSeries. `labels`: a dict or a list of pairs; `samples`: (milliseconds, value)."""
    pairs = sorted(labels.items()) if isinstance(labels, dict) else labels
    return b"".join([field_bytes(1, label(*pair)) for pair in pairs] +
                    [field_bytes(2, sample(*one)) for one in samples])


def write_request(all_series):
    return b"".join(field_bytes(1, one) for one in all_series)


# Remote write 2.0.

def write_request_v2(all_series):
    """`all_series`: (labels, samples[, more bytes of the TimeSeries])."""
    symbols, messages = {"": 0}, []
    for labels, samples, *more in all_series:
        pairs = sorted(labels.items()) if isinstance(labels, dict) else labels
        references = b"".join(varint(symbols.setdefault(text, len(symbols)))
                              for pair in pairs for text in pair)
        messages.append(field_bytes(1, references) +
                        b"".join(field_bytes(2, sample(*one)) for one in samples) + b"".join(more))
    return (b"".join(field_bytes(4, symbol) for symbol in symbols) +
            b"".join(field_bytes(5, message) for message in messages))
