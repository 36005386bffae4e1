"""Compares the answers of a server with what an Eval of a script expects."""

import math

import script
import servers


class Mismatch(Exception):
    """An answer is not what the script says; the message says in what."""


def check_error(error, command):
    """`error` was the answer to a query."""
    message = error.message.removeprefix('invalid parameter "query": ')
    if command.fail is None:
        raise Mismatch(f"error: {error}")
    if not command.fail.matches(message):
        raise Mismatch(f"expected the error {command.fail.text!r}, got {message!r}")


def check_annotations(result, command):
    for kind, expected, actual in (("warning", command.warnings, result.warnings),
                                   ("info", command.infos, result.infos)):
        # The API leaves out what is beyond ten.
        actual = [text for text in actual if not text.endswith("annotations omitted")]
        if expected is None:
            continue
        for pattern in expected:
            if not any(pattern.matches(text) for text in actual):
                raise Mismatch(f"expected the {kind} {pattern.text!r}, got {actual}")
        for text in actual:
            if not any(pattern.matches(text) for pattern in expected):
                raise Mismatch(f"unexpected {kind}: {text}")


def check_result(result, command):
    if command.string is not None or result.kind == "string":
        if (result.kind, result.value) != ("string", command.string):
            raise Mismatch(f"expected the string {command.string!r}, got {result}")
    elif command.scalar is not None or result.kind == "scalar":
        if result.kind != "scalar" or command.scalar is None:
            raise Mismatch(f"expected {command.scalar if command.scalar is not None else 'a vector'}"
                           f", got {_text(result.value)}")
        if not script.almost_equal(command.scalar, result.value):
            raise Mismatch(f"expected {command.scalar}, got {result.value}")
    elif result.kind == "vector":
        _check_vector(result.value, command)
    else:
        _check_matrix(result.value, command)


def check_middle_step(result, command, time_ms):
    """`result` is a range query over `time_ms` of what `command` asks at an instant."""
    check_sorted(result.value)
    vector = [(labels, value) for labels, points in result.value
              for at_ms, value in points if at_ms == time_ms]
    if command.scalar is not None:
        if len(vector) != 1:
            raise Mismatch(f"expected {command.scalar}, got {_text(vector)}")
        check_result(servers.Result("scalar", vector[0][1], [], []), command)
    else:
        check_result(servers.Result("vector", vector, [], []), command)


def check_sorted(matrix):
    keys = [_key(labels) for labels, _ in matrix]
    if keys != sorted(keys):
        raise Mismatch(f"not sorted by labels: {_text(matrix)}")


def _check_vector(vector, command):
    expected = {_key(labels): (position, values)
                for position, (labels, values) in enumerate(command.rows)}
    seen = set()
    for position, (labels, value) in enumerate(vector):
        key = _key(labels)
        if key not in expected:
            raise Mismatch(f"unexpected {_labels_text(labels)} {value}")
        if key in seen:
            raise Mismatch(f"twice: {_labels_text(labels)}")
        expected_position, values = expected[key]
        if command.ordered and position != expected_position:
            raise Mismatch(f"{_labels_text(labels)} is at position {position}, "
                           f"expected at {expected_position}")
        if value is None or not script.almost_equal(values[0] or 0, value):
            raise Mismatch(f"expected {_labels_text(labels)} {values[0]}, got {value}")
        seen.add(key)
    _check_all_seen(command, seen)


def _check_matrix(matrix, command):
    if command.ordered:
        raise Mismatch("the order of a matrix is always the labels'")
    check_sorted(matrix)
    expected = {_key(labels): values for labels, values in command.rows}
    seen = set()
    for labels, points in matrix:
        key = _key(labels)
        if key not in expected:
            raise Mismatch(f"unexpected {_labels_text(labels)} {points}")
        if key in seen:
            raise Mismatch(f"twice: {_labels_text(labels)}")
        seen.add(key)
        wanted = [(command.start_ms + index * command.step_ms, value)
                  for index, value in enumerate(expected[key]) if value is not script.OMITTED]
        if wanted and wanted[-1][0] > command.end_ms:
            raise Mismatch(f"more values than steps for {_labels_text(labels)}")
        if [at for at, _ in wanted] != [at for at, _ in points] or not all(
                script.almost_equal(value, actual)
                for (_, value), (_, actual) in zip(wanted, points)):
            raise Mismatch(f"expected {_labels_text(labels)}\n      {wanted}, got\n      {points}")
    _check_all_seen(command, seen)


def _check_all_seen(command, seen):
    missing = [_labels_text(labels) for labels, _ in command.rows if _key(labels) not in seen]
    if missing:
        raise Mismatch(f"missing: {', '.join(missing)}")


def _key(labels):
    return tuple(sorted((name.encode(), value.encode()) for name, value in labels.items()))


def _labels_text(labels):
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())
                       if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"


def _text(value):
    if isinstance(value, list):
        return "; ".join(f"{_labels_text(labels)} {data}" for labels, data in value[:20]) or "nothing"
    return str(value) if not isinstance(value, float) or not math.isnan(value) else "NaN"
