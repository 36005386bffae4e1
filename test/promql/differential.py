#!/usr/bin/env python3
"""Puts the same generated queries over the same generated data to tsdbd and to Prometheus 2.42, and
compares the answers: labels and times exactly, errors as errors, values to 1e-12 relative.

    differential.py --server build/release/tsdbd [--queries N] [--seed S] [--only INDEX]
    differential.py --peer victoriametrics           Prometheus against VictoriaMetrics, for the record

Why not bit by bit: 2.42 sums and averages in plain order, 3.x with a compensation of rounding, and
both take math functions from their own libraries. 1e-12 is some thousand times that noise, and a
millionth of what a wrong formula would give. Where terms cancel each other the noise is relative to
what was cancelled: values below 1e-9 are all the same.

What 2.42 and 3.x do not have in common is not generated: see query_grammar and generated_data. What
remains is in KNOWN, and counted.
"""

import argparse
import math
import os
import random
import re
import sys

import generated_data
import query_grammar
import servers

RELATIVE_TOLERANCE = 1e-12
ABSOLUTE_TOLERANCE = 1e-9
MINUTES = 90



def _names_come_back(case, expected, actual):
    """A comparison passes on its left side's name. In 2.x that is gone after `abs(m)`; in 3.x, where
    names are dropped at the end, the comparison makes it stay."""
    if not re.search(r"[<>=]=?|!=", case.query):
        return False
    return difference(_nameless(expected), _nameless(actual), False) is None


def _moving_pin(case, _expected, _actual):
    """2.42 moves the window of predict_linear along with the steps although @ pins it."""
    has_steps = case.is_range or ":" in case.query
    return has_steps and re.search(r"predict_linear\(.* @ ", case.query) is not None


def _forgotten_offset(case, _expected, _actual):
    """timestamp(m offset 5m @ 100): Prometheus forgets the offset, 3.x too."""
    return re.search(r"timestamp\(\w+(\{[^}]*\})? offset \S+ @ ", case.query) is not None


def _cancelled_spread(case, expected, actual):
    """2.42 loses digits of a spread that is small beside the values, such as that of timestamps."""
    return re.search(r"std(dev|var)_over_time\(", case.query) is not None and difference(
        expected, actual, False, relative_tolerance=1e-8) is None


def _overflowed_sum(case, expected, actual):
    """What compensates rounding is NaN in 2.42 once a sum is infinite."""
    return "_over_time(" in case.query and difference(
        _without_infinities(expected), _without_infinities(actual), False) is None


def _names_kept_apart(case, expected, actual):
    """`abs(a or b)`: where a and b have the same labels at different times, 2.x makes one series of
    them at once. 3.x drops the names at the end, when windows may have brought them together."""
    return " or " in case.query and isinstance(actual, servers.QueryError) and (
        not isinstance(expected, servers.QueryError)) and "same labelset" in actual.message


# What the generator cannot keep out. Each says of a difference whether it is the cause.
KNOWN = [_names_come_back, _names_kept_apart, _moving_pin, _forgotten_offset,
         _cancelled_spread, _overflowed_sum]


class Case:
    """Query number `index`: the text, and an instant or a range."""

    def __init__(self, seed, index):
        rng = random.Random(f"query {seed} {index}")
        end_ms = generated_data.START_MS + MINUTES * 60_000
        generator = query_grammar.Generator(rng, end_ms)
        self.index = index
        self.is_range = rng.random() < 0.5
        if not self.is_range and rng.random() < 0.05:
            self.query = generator.instant_only_query()
        else:
            self.query = generator.query()
        # Half of the moments are aligned to the data's minutes, half are anywhere.
        self.time_ms = generated_data.START_MS + rng.randrange(5, MINUTES + 5) * 60_000
        if rng.random() < 0.5:
            self.time_ms += rng.randrange(60) * 1000 + 500
        self.step_ms = rng.choice([15, 30, 60, 77, 300]) * 1000
        self.start_ms = self.time_ms - self.step_ms * rng.randrange(1, 40)

    def ask(self, server, query):
        """The answer, or the QueryError."""
        try:
            if self.is_range:
                return server.query_range(query, self.start_ms, self.time_ms, self.step_ms)
            return server.query(query, self.time_ms)
        except servers.QueryError as error:
            return error

    def __str__(self):
        when = f"at {servers.seconds(self.time_ms)}"
        if self.is_range:
            when = f"from {servers.seconds(self.start_ms)} to {servers.seconds(self.time_ms)} " \
                   f"step {servers.seconds(self.step_ms)}"
        return f"{self.index}: {self.query}   {when}"


def difference(reference, actual, is_ordered, relative_tolerance=RELATIVE_TOLERANCE):
    """What differs between two answers, or None."""
    if isinstance(reference, servers.QueryError) or isinstance(actual, servers.QueryError):
        if isinstance(reference, type(actual)):
            return None
        return f"one fails: {_short(reference)} | {_short(actual)}"
    if reference.kind != actual.kind:
        return f"{reference.kind} | {actual.kind}"
    if reference.kind in ("scalar", "string"):
        same = reference.value == actual.value if reference.kind == "string" else _same(
            reference.value, actual.value, relative_tolerance)
        return None if same else f"{reference.value} | {actual.value}"
    expected, got = _by_labels(reference), _by_labels(actual)
    if len(got) != len(actual.value):
        return "the same labels twice"
    for labels in expected.keys() | got.keys():
        if labels not in expected or labels not in got:
            return f"only in {'one' if labels in expected else 'other'}: {dict(labels)}"
        if [at for at, _ in expected[labels]] != [at for at, _ in got[labels]]:
            return f"times of {dict(labels)}: {expected[labels][:5]} | {got[labels][:5]}"
        for (at, wanted), (_, value) in zip(expected[labels], got[labels]):
            if not _same(wanted, value, relative_tolerance):
                return f"{dict(labels)} at {at}: {wanted!r} | {value!r}"
    if is_ordered:
        for (_, wanted), (_, value) in zip(reference.value, actual.value):
            if not _same(wanted, value, relative_tolerance):
                return "order"
    return None


def _by_labels(result):
    return {tuple(sorted(labels.items())): data if isinstance(data, list) else [(0, data)]
            for labels, data in result.value}


def _nameless(answer):
    if isinstance(answer, servers.QueryError) or answer.kind in ("scalar", "string"):
        return answer
    return servers.Result(answer.kind, [({name: value for name, value in labels.items()
                                          if name != "__name__"}, data)
                                        for labels, data in answer.value], [], [])


def _without_infinities(answer):
    """The answer with NaN in place of infinities."""
    if isinstance(answer, servers.QueryError) or answer.kind in ("scalar", "string"):
        return answer

    def finite(data):
        if isinstance(data, list):
            return [(at, finite(value)) for at, value in data]
        return math.nan if math.isinf(data) else data
    return servers.Result(answer.kind, [(labels, finite(data)) for labels, data in answer.value],
                          [], [])


def _same(a, b, relative_tolerance):
    if a == b or math.isnan(a) and math.isnan(b):
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    return abs(a - b) <= max(relative_tolerance * max(abs(a), abs(b)), ABSOLUTE_TOLERANCE)


def _short(answer):
    if isinstance(answer, servers.QueryError):
        return str(answer)[:300]
    return f"{answer.kind} {str(answer.value)[:200]}"


def _load(server, seed):
    """In two parts, so that queries reach into blocks and head."""
    data = generated_data.generate(seed, MINUTES)
    middle_ms = generated_data.START_MS + MINUTES * 30_000
    server.load([(labels, [sample for sample in samples if sample[0] < middle_ms])
                 for labels, samples in data])
    server.flush()
    server.load([(labels, [sample for sample in samples if sample[0] >= middle_ms])
                 for labels, samples in data])


def _compare(reference, other, arguments):
    _load(reference, arguments.seed)
    _load(other, arguments.seed)
    agreed = known = 0
    indexes = range(arguments.queries) if arguments.only is None else [arguments.only]
    for index in indexes:
        case = Case(arguments.seed, index)
        expected = case.ask(reference, query_grammar.translate_for_2x(case.query))
        actual = case.ask(other, query_grammar.translate_for_2x(case.query)
                          if other.name == "prometheus" else case.query)
        is_ordered = case.query.startswith("sort") and not case.is_range
        why = difference(expected, actual, is_ordered)
        if arguments.only is not None:
            print(f"{case}\n  {_short(expected)}\n  {_short(actual)}")
        if why is None:
            agreed += 1
        elif any(is_cause(case, expected, actual) for is_cause in KNOWN):
            known += 1
        else:
            print(f"DIFFERS (--seed {arguments.seed} --only {index}) {case}\n    {why}", flush=True)
    total = len(indexes)
    print(f"{reference.name} and {other.name} agree on {agreed} of {total} queries: "
          f"{100 * agreed / total:.2f} %; {known} known differences; seed {arguments.seed}")
    return agreed + known == total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--server", help="the tsdbd to test; default $TSDBD_BINARY")
    parser.add_argument("--peer", choices=["victoriametrics", "prometheus"],
                        help="compare this server instead of tsdbd")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="only this query, with its answers")
    arguments = parser.parse_args()
    if arguments.server:
        os.environ["TSDBD_BINARY"] = os.path.abspath(arguments.server)
    for name in ("prometheus", arguments.peer or "tsdbd"):
        if not servers.is_installed(name):
            print(f"{name} is not installed: skipped")
            return 0
    with servers.start("prometheus") as reference, \
            servers.start(arguments.peer or "tsdbd") as other:
        return 0 if _compare(reference, other, arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
