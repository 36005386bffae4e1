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
remains is in KNOWN.
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

# (pattern of the query, why the answers differ)
KNOWN = []


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


def difference(reference, actual, is_ordered):
    """What differs between two answers, or None."""
    if isinstance(reference, servers.QueryError) or isinstance(actual, servers.QueryError):
        if isinstance(reference, type(actual)):
            return None
        return f"one fails: {_short(reference)} | {_short(actual)}"
    if reference.kind != actual.kind:
        return f"{reference.kind} | {actual.kind}"
    if reference.kind in ("scalar", "string"):
        same = reference.value == actual.value if reference.kind == "string" else _same(
            reference.value, actual.value)
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
            if not _same(wanted, value):
                return f"{dict(labels)} at {at}: {wanted!r} | {value!r}"
    if is_ordered:
        for (_, wanted), (_, value) in zip(reference.value, actual.value):
            if not _same(wanted, value):
                return "order"
    return None


def _by_labels(result):
    return {tuple(sorted(labels.items())): data if isinstance(data, list) else [(0, data)]
            for labels, data in result.value}


def _same(a, b):
    if a == b or math.isnan(a) and math.isnan(b):
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    return abs(a - b) <= max(RELATIVE_TOLERANCE * max(abs(a), abs(b)), ABSOLUTE_TOLERANCE)


def _short(answer):
    if isinstance(answer, servers.QueryError):
        return str(answer)[:300]
    return f"{answer.kind} {str(answer.value)[:200]}"


def _compare(reference, other, arguments):
    data = generated_data.generate(arguments.seed, MINUTES)
    reference.load(data)
    other.load(data)
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
        elif any(re.search(pattern, case.query) for pattern, _ in KNOWN):
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
