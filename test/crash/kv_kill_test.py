"""Kills the real daemon with SIGKILL while Redis clients write, and looks at what is left.

    kv_kill_test.py [--rounds N] [--seed S]

In each round four clients send pipelines of SET, DEL, MSET, INCR, APPEND and SET with an expiry
until the daemon is killed, while compaction runs behind them, and sometimes the daemon is killed
once more while it recovers. Then it is started, and what it has is compared with a model:
- everything acknowledged is there; nothing deleted or expired has come back;
- of a connection's unanswered commands the first few took effect, each as a whole (an MSET with all
  of its keys), and the others not at all;
- a walk over all keys meets each of them exactly once.

A killed process loses nothing that it gave to the kernel, so this holds with every kv.sync. The
seed chooses what is done; when the kill falls differs from run to run.
"""

import argparse
import contextlib
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402
import resp_client  # noqa: E402

WRITERS = 4
MAX_PIPELINED = 16
# Few keys, so that most writes replace or delete something.
KEYS = 60
ROUNDS_PER_FOLDER = 5
# Small segments: several are filled, emptied and compacted within a round.
LIMITS = ("--set", "kv.resp_listen=127.0.0.1:0", "--set", "kv.segment_size=1MiB")


class Command:
    """One command and what it does to the keys of its writer: {key: value, or None if deleted}."""

    def __init__(self, words, effect):
        self.words = words
        self.effect = effect


class Writer:
    """One client and the model of its keys, which bear its number."""

    def __init__(self, index, generator):
        self.index = index
        self.random = generator
        self.state = {}          # as verified last, and then as after all of `sent`
        self.verified = {}
        self.sent = []
        self.acknowledged = 0
        self.failure = None
        self.thread = None

    def start(self, port):
        self.thread = threading.Thread(target=self._run, args=(port,))
        self.thread.start()

    def join(self):
        self.thread.join()
        if self.failure:
            raise AssertionError(f"writer {self.index}: {self.failure}")

    def _run(self, port):
        # An OSError is the kill that everybody waits for.
        with contextlib.suppress(OSError), resp_client.Client(port) as client:
            depth = self.random.randint(1, MAX_PIPELINED)
            while True:
                commands = [self._make() for _ in range(depth)]
                self.sent += commands
                client.send(*(command.words for command in commands))
                for _ in commands:
                    reply = client.read()
                    if isinstance(reply, resp_client.Error):
                        self.failure = f"{reply} for {self.sent[self.acknowledged].words[:2]}"
                        return
                    self.acknowledged += 1

    def _key(self):
        return f"{self.index}:{self.random.randrange(KEYS)}"

    def _value(self):
        return self.random.randbytes(self.random.choice((3, 100, 4000)))

    def _make(self):
        kinds = (self._set, self._delete, self._set_many, self._count, self._append, self._expire)
        words, effect = self.random.choices(kinds, weights=(5, 3, 1, 2, 1, 1))[0]()
        self.state.update(effect)
        return Command(words, effect)

    def _set(self):
        key, value = self._key(), self._value()
        return ["SET", key, value], {key: value}

    def _delete(self):
        keys = [self._key() for _ in range(self.random.randint(1, 3))]
        return ["DEL", *keys], dict.fromkeys(keys)

    def _set_many(self):
        effect = {self._key(): self._value() for _ in range(5)}
        return ["MSET", *(word for pair in effect.items() for word in pair)], effect

    def _count(self):
        key = f"{self.index}:counter"
        return ["INCR", key], {key: str(int(self.state.get(key) or 0) + 1).encode()}

    def _append(self):
        key = self._key()
        grown = (self.state.get(key) or b"") + b"more"
        return ["APPEND", key, "more"], {key: grown}

    def _expire(self):
        """Gone long before anybody looks, so for the model at once."""
        key = self._key()
        return ["SET", key, self._value(), "PXAT", "1"], {key: None}

    def verify(self, found):
        """`found`: this writer's keys and values. Returns how many commands that nobody had
        acknowledged survived."""
        state = dict(self.verified)
        for done, command in enumerate([None, *self.sent]):
            if command:
                state.update(command.effect)
            if done >= self.acknowledged and self._alive(state) == found:
                survivors = done - self.acknowledged
                self.verified = self._alive(state)
                self.state = dict(self.verified)
                self.sent = []
                self.acknowledged = 0
                return survivors
        raise AssertionError(self._difference(found))

    @staticmethod
    def _alive(state):
        return {key: value for key, value in state.items() if value is not None}

    def _difference(self, found):
        state = dict(self.verified)
        for command in self.sent[:self.acknowledged]:
            state.update(command.effect)
        state = self._alive(state)
        lines = [f"writer {self.index}: sent {len(self.sent)}, acknowledged {self.acknowledged}; "
                 "against what was acknowledged:"]
        for key in sorted(state.keys() | found.keys()):
            if state.get(key) != found.get(key):
                lines.append(f"  {key}: expected {self._brief(state.get(key))}, "
                             f"found {self._brief(found.get(key))}")
        return "\n".join(lines)

    @staticmethod
    def _brief(value):
        return value if value is None else f"{len(value)} bytes {value[:16]!r}"


class Folder:
    """A data directory with the daemon that crashes in it and those who write to it."""

    def __init__(self, generator):
        self.random = generator
        self.daemon = harness.Daemon(*LIMITS)
        self.writers = [Writer(index, random.Random(generator.random()))
                        for index in range(WRITERS)]

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *error):
        self.daemon.__exit__(*error)

    def crash_and_verify(self):
        """One round. Returns what was done."""
        done = []
        port = resp_client.port_of(self.daemon)
        for writer in self.writers:
            writer.start(port)
        load_seconds = self.random.uniform(0.1, 1)
        time.sleep(load_seconds)
        self.daemon.kill()
        for writer in self.writers:
            writer.join()
        done.append(f"killed after {load_seconds:.2f} s")
        while self.random.random() < 0.4:
            self.daemon.start(wait=False)
            time.sleep(self.random.uniform(0, self.random.choice((0, 0.02, 0.2))))
            self.daemon.kill()
            done.append("killed in recovery")
        sync = self.random.choices(("always", "interval", "none"), weights=(6, 2, 2))[0]
        self.daemon.start("--set", f"kv.sync={sync}")
        done.append(self._verify())
        if self.random.random() < 0.3:
            self.daemon.restart("--set", f"kv.sync={sync}")
            self._verify()
            done.append("stopped and started")
        return f"{', '.join(done)}; now sync {sync}"

    @staticmethod
    def _wait_for_size(client, expected):
        """Keys that have expired are counted until they are swept."""
        deadline = time.monotonic() + 10
        while (size := client.call("DBSIZE")) != expected:
            assert time.monotonic() < deadline, f"DBSIZE is {size}, a walk meets {expected} keys"
            time.sleep(0.05)

    def _verify(self):
        with resp_client.Client(resp_client.port_of(self.daemon)) as client:
            keys = client.scan_all()
            assert len(keys) == len(set(keys)), "a walk met a key twice"
            values = client.call("MGET", *keys) if keys else []
            self._wait_for_size(client, len(keys))
        found = [{} for _ in self.writers]
        for key, value in zip(keys, values):
            if value is not None:
                found[int(key.split(b":")[0])][key.decode()] = value
        acknowledged = sum(writer.acknowledged for writer in self.writers)
        others = sum(len(writer.sent) for writer in self.writers) - acknowledged
        survivors = sum(writer.verify(own) for writer, own in zip(self.writers, found))
        return f"{acknowledged} commands acknowledged, {survivors} of {others} others survived"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    generator = random.Random(arguments.seed)
    for first in range(0, arguments.rounds, ROUNDS_PER_FOLDER):
        with Folder(generator) as folder:
            try:
                for number in range(first, min(first + ROUNDS_PER_FOLDER, arguments.rounds)):
                    print(f"round {number + 1}: {folder.crash_and_verify()}", flush=True)
            except BaseException:
                print("\n".join(["the daemon's log:", *folder.daemon.log()]), flush=True)
                raise


if __name__ == "__main__":
    main()
