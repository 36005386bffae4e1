"""A Redis client of a few lines, for tests that look at every byte.

    with resp_client.Client(resp_client.port_of(daemon)) as client:
        assert client.call("SET", "key", "value") == "OK"
        client.send(["GET", "key"], ["GET", "none"])      # a pipeline
        assert [client.read(), client.read()] == [b"value", None]

Simple strings come as str, bulk strings as bytes, errors as Error (returned, not raised), nulls as
None, arrays and sets as lists, maps as dicts.
"""

import re
import socket

TIMEOUT_SECONDS = 60


class Error(str):
    """An error reply."""


def port_of(daemon):
    """The RESP port of a harness.Daemon that was started with kv.resp_listen."""
    ports = [match.group(1) for line in daemon.log()
             if (match := re.search(r"resp listening address=\S+ port=(\d+)", line))]
    return int(ports[-1])


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, *commands):
        """Commands, each a list of words, in one write."""
        pieces = []
        for words in commands:
            pieces.append(b"*%d\r\n" % len(words))
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                pieces.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(pieces))

    def read(self):
        """One reply."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Error(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind in b"$=":
            return self._read_bulk(int(rest))
        if kind in b"*~>":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        raise AssertionError(f"not a reply: {line!r}")

    def _read_bulk(self, size):
        if size < 0:
            return None
        data = self.stream.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("the connection ended")
        return data[:-2]

    def call(self, *words):
        """One command and its reply."""
        self.send(words)
        return self.read()

    def scan_all(self, *options):
        """All keys, by SCAN."""
        keys, cursor = [], b"0"
        while True:
            cursor, page = self.call("SCAN", cursor, *options)
            keys += page
            if cursor == b"0":
                return keys
