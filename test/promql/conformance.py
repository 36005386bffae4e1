#!/usr/bin/env python3
"""Runs scripts in the language of Prometheus' promqltest against the real binary.

    conformance.py --server build/release/tsdbd [--verbose] script.test...
    conformance.py --peer prometheus script.test...
    conformance.py --server ... --golden        the project's scripts, and upstream's if they are there

Every instant query is also asked as a range query around its moment, and both again from other
moments with `@` on all its selectors, which must not change a thing: what upstream's runner does.

With a peer in the place of tsdbd the scripts themselves are tested: Prometheus 2.42 passes all cases
of the project's scripts but those marked `# [3.x]`, which it cannot know or answers otherwise (ranges
open on the left, names dropped at the end, sums that compensate rounding, ...).

Cases that need native histograms are skipped, and counted by script. Upstream's scripts are no part
of the project: they are read from $TSDBD_UPSTREAM_PROMQL, or from ../shared/promql beside it.
"""

import argparse
import collections
import glob
import os
import re
import sys
import time

import checks
import promql_text
import script
import servers

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GOLDEN = os.path.join(ROOT, "test", "golden", "promql")
UPSTREAM = os.environ.get("TSDBD_UPSTREAM_PROMQL", os.path.join(ROOT, "..", "shared", "promql"))

# Their results depend on the moment of the query even if all selectors are pinned.
_MOMENT_FUNCTIONS = frozenset(
    "days_in_month day_of_month day_of_week day_of_year end hour minute month year predict_linear "
    "range start step time timestamp".split())
_CONTEXT_CALL = re.compile(r"(start|end|range|step)\(\)")

# How tsdbd says that it knows what is meant but does not compute it. Counted, by what it is.
_NOT_SUPPORTED = re.compile(r" (is|are) not supported$")


class _NotSupported(Exception):
    pass


class Tally:

    def __init__(self):
        self.passed = 0
        self.failures = []  # (line, expression, why)
        self.skipped = collections.Counter()


class Runner:

    def __init__(self, server, verbose=False):
        self._server = server
        self._verbose = verbose
        self._is_peer = server.name != "tsdbd"
        self._native = []   # labels of the native histograms that the script has loaded
        self._dirty = False

    def run(self, path):
        with open(path, encoding="utf-8") as file:
            commands = script.parse(file.read())
        self._clear()
        tally = Tally()
        for command in commands:
            if isinstance(command, script.Clear):
                self._clear()
            elif isinstance(command, script.Load):
                self._load(command)
            else:
                self._judge(command, tally)
        return tally

    def _clear(self):
        if self._dirty:
            self._server.clear()
        self._native = []
        self._dirty = False

    def _load(self, command):
        self._native += script.native_series_of(command)
        samples = [(labels, points) for labels, points in script.samples_of(command) if points]
        if samples:
            self._server.load(samples)
        self._dirty = True

    def _judge(self, command, tally):
        reason = self._skip_reason(command)
        if reason:
            tally.skipped[reason] += 1
            if self._verbose:
                print(f"  line {command.line}: skipped ({reason}): {command.expr}")
            return
        try:
            self._eval(command)
            tally.passed += 1
        except _NotSupported as error:
            tally.skipped[str(error)] += 1
        except checks.Mismatch as mismatch:
            tally.failures.append((command.line, command.expr, str(mismatch)))
        if self._verbose:
            print(f"  line {command.line}: {command.expr}")

    def _skip_reason(self, command):
        if any(values == script.NATIVE for _, values in command.rows):
            return "native histogram"
        if self._is_peer and command.since_3:
            return "since 3.x"
        try:
            selectors = promql_text.Expression(command.expr).selectors
        except ValueError:
            return None  # meant to be refused by the parser
        if any(selector.may_match(labels) for selector in selectors for labels in self._native):
            return "native histogram"
        return None

    def _eval(self, command):
        if command.is_range:
            self._eval_range(command)
            return
        self._eval_instant(command, command.expr, command.end_ms)
        for time_ms, expr in self._pinned(command):
            try:
                self._eval_instant(command, expr, time_ms)
            except checks.Mismatch as mismatch:
                raise checks.Mismatch(f"as {expr} at {servers.seconds(time_ms)}: {mismatch}") from None

    def _pinned(self, command):
        """The query with all selectors pinned to its moment, at other moments."""
        try:
            expression = promql_text.Expression(command.expr)
        except ValueError:
            return
        if expression.functions & _MOMENT_FUNCTIONS:
            return
        at_ms = command.end_ms
        expr = expression.pinned_at(servers.seconds(at_ms))
        others = (-10 * at_ms, 0, at_ms // 5, at_ms, 10 * at_ms) if at_ms else (-1000, 0, 1000)
        for other_ms in others:
            yield other_ms, expr

    def _eval_range(self, command):
        try:
            result = self._server.query_range(command.expr, command.start_ms, command.end_ms,
                                              command.step_ms)
        except servers.QueryError as error:
            self._check_error(error, command)
            return
        self._check(result, command)

    def _eval_instant(self, command, expr, time_ms):
        try:
            result = self._server.query(expr, time_ms)
        except servers.QueryError as error:
            self._check_error(error, command)
            return
        self._check(result, command)
        if command.only_instant or command.ordered or _CONTEXT_CALL.search(expr):
            return
        try:
            result = self._server.query_range(expr, time_ms - 60_000, time_ms + 60_000, 60_000)
            checks.check_middle_step(result, command, time_ms)
        except (servers.QueryError, checks.Mismatch) as error:
            raise checks.Mismatch(f"in range mode: {error}") from None

    def _check_error(self, error, command):
        if command.fail is None and _NOT_SUPPORTED.search(error.message):
            raise _NotSupported(error.message)
        checks.check_error(error, command)

    def _check(self, result, command):
        if command.fail is not None:
            raise checks.Mismatch("expected an error, got none")
        if not self._is_peer:
            checks.check_annotations(result, command)
        checks.check_result(result, command)


def _golden_scripts():
    paths = sorted(glob.glob(os.path.join(GOLDEN, "*.test")))
    upstream = sorted(glob.glob(os.path.join(UPSTREAM, "*.test")))
    if not upstream:
        print("upstream scripts not found: skipped")
    return paths + upstream


def _run_all(server, paths, verbose):
    runner = Runner(server, verbose)
    passed = failed = skipped = 0
    for path in paths:
        begin = time.monotonic()
        tally = runner.run(path)
        reasons = ", ".join(f"{count} skipped ({reason})"
                            for reason, count in sorted(tally.skipped.items())) or "0 skipped"
        print(f"{os.path.basename(path)}: {tally.passed} passed, {len(tally.failures)} failed, "
              f"{reasons}, {time.monotonic() - begin:.1f} s", flush=True)
        for line, expr, why in tally.failures:
            print(f"  FAILED line {line}: {expr}\n    {why}", flush=True)
        passed += tally.passed
        failed += len(tally.failures)
        skipped += sum(tally.skipped.values())
    print(f"total: {passed} passed, {failed} failed, {skipped} skipped")
    return failed == 0 and passed > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", help="the tsdbd to test; default $TSDBD_BINARY")
    parser.add_argument("--peer", choices=["prometheus", "victoriametrics"],
                        help="test this server instead")
    parser.add_argument("--golden", action="store_true", help="also run all scripts that there are")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    parser.add_argument("scripts", nargs="*")
    arguments = parser.parse_args()
    if arguments.server:
        os.environ["TSDBD_BINARY"] = os.path.abspath(arguments.server)
    paths = arguments.scripts + (_golden_scripts() if arguments.golden else [])
    with servers.start(arguments.peer or "tsdbd") as server:
        return 0 if _run_all(server, paths, arguments.verbose) else 1


if __name__ == "__main__":
    sys.exit(main())
