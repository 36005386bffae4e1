"""Reads test scripts in the language of Prometheus' promqltest: both its dialects, the one with
`eval_fail`, `eval_warn`, `eval_info`, `eval_ordered` and the one with `expect` lines.

parse() gives a list of Load, Clear and Eval. Times are milliseconds since 1970, which is when the
scripts' data begins. Native histograms (`{{...}}`) are not read: a row that has one has the values
NATIVE.
"""

import dataclasses
import math
import re

import promql_text
import remote_write

NATIVE = "native histogram"
OMITTED = None  # `_` in a row of values

_LOAD = re.compile(r"load(?:_(with_nhcb))?\s+(.+?)")
_EVAL_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)")
_EVAL_RANGE = re.compile(
    r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?")
_EXPECT_RANGE = re.compile(r"expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)")

_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
            "w": 7 * 86_400_000, "y": 365 * 86_400_000}

_NUMBER = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf|[nN]a[nN])"
_ITEM = re.compile(rf"(?P<start>[+-]?{_NUMBER}|stale)(?:(?P<step>[+-]{_NUMBER})?x(?P<times>\d+))?")


class ScriptError(Exception):
    """The script breaks the rules of its language."""


@dataclasses.dataclass
class Clear:
    line: int


@dataclasses.dataclass
class Load:
    line: int
    interval_ms: int
    with_nhcb: bool
    rows: list = dataclasses.field(default_factory=list)  # (labels, values or NATIVE)


@dataclasses.dataclass
class Pattern:
    """What a message must be: all of a text, or match a regular expression."""
    text: str
    is_regex: bool

    def matches(self, message):
        if self.is_regex:
            return re.search(self.text, message) is not None
        return self.text == message


@dataclasses.dataclass
class Eval:
    line: int
    expr: str
    is_range: bool
    start_ms: int  # an instant one has its time in all of these
    end_ms: int
    step_ms: int = 0
    ordered: bool = False
    fail: Pattern = None
    # None: not looked at. []: there must be none. Otherwise: each of these, and no others.
    warnings: list = None
    infos: list = None
    # One of these.
    scalar: float = None
    string: str = None
    rows: list = dataclasses.field(default_factory=list)  # (labels, values or NATIVE)
    # An instant query whose result has several points: `expect range vector`, a string.
    only_instant: bool = False
    # The line above is the comment `# [3.x]`: Prometheus 2.42 answers otherwise.
    since_3: bool = False


def parse(text):
    return _Parser(text).commands()


def duration_ms(text):
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScriptError(f"not a duration: {text!r}")
    return sum(int(number) * _UNIT_MS[unit] for number, unit in parts)


def parse_row(line):
    """`name{label="value"} 1 2+3x4 _ stale` as (labels, values)."""
    labels, rest = _parse_labels(line)
    if "{{" in rest:
        return labels, NATIVE
    values = []
    for item in rest.split():
        values += _expand(item)
    return labels, values


def _parse_labels(line):
    match = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line)
    name = match.group() if match else ""
    labels = {"__name__": name} if name else {}
    rest = line[len(name):]
    if not rest.startswith("{") or rest.startswith("{{"):
        return labels, rest
    position = 1
    item = re.compile(r"""\s*(?:(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<quoted>"(?:\\.|[^"\\])*"))"""
                      r"""\s*(?:=\s*(?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`))?\s*,?\s*""")
    while not rest.startswith("}", position):
        match = item.match(rest, position)
        if not match:
            raise ScriptError(f"bad labels: {line}")
        label = match["name"] or promql_text.unquote(match["quoted"])
        if match["value"]:
            labels[label] = promql_text.unquote(match["value"])
        else:
            labels["__name__"] = label
        position = match.end()
    # A label with an empty value is one that is not there.
    return {label: value for label, value in labels.items() if value}, rest[position + 1:]


def _expand(item):
    if re.fullmatch(r"_(x\d+)?", item):
        return [OMITTED] * int(item[2:] or 1)
    match = _ITEM.fullmatch(item)
    if not match:
        raise ScriptError(f"bad value: {item!r}")
    value = remote_write.STALE if match["start"] == "stale" else float(match["start"])
    if match["times"] is None:
        return [value]
    if match["step"] is None:
        return [value] * (int(match["times"]) + 1)
    values = []
    for _ in range(int(match["times"]) + 1):
        values.append(value)
        value += float(match["step"])  # summed up: the scripts' results have its rounding
    return values


def _number(text):
    try:
        return float(int(text, 0))
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


class _Parser:

    def __init__(self, text):
        lines = [line.strip() for line in text.split("\n")]
        self._since_3 = {index + 1 for index, line in enumerate(lines) if line == "# [3.x]"}
        # A comment ends a block as an empty line does.
        self._lines = ["" if line.startswith("#") else line for line in lines]
        self._index = 0

    def commands(self):
        result = []
        while self._index < len(self._lines):
            line = self._lines[self._index]
            number = self._index + 1
            self._index += 1
            if not line:
                continue
            try:
                result.append(self._command(line, number))
            except (ScriptError, ValueError, re.error) as error:
                raise ScriptError(f"line {number}: {error}") from error
        return result

    def _command(self, line, number):
        word = line.split()[0].lower()
        if word == "clear":
            return Clear(number)
        if word.startswith("load"):
            return self._load(line, number)
        if word.startswith("eval"):
            return self._eval(line, number)
        raise ScriptError(f"not a command: {line}")

    def _block(self):
        """The lines up to the next empty one."""
        while self._index < len(self._lines) and self._lines[self._index]:
            self._index += 1
            yield self._lines[self._index - 1]

    def _load(self, line, number):
        match = _LOAD.fullmatch(line)
        if not match:
            raise ScriptError(f"not a load: {line}")
        load = Load(number, duration_ms(match[2]), match[1] is not None)
        for row in self._block():
            # Start timestamps say nothing about the samples.
            if not row.split()[0].endswith("@st"):
                load.rows.append(parse_row(row))
        return load

    def _eval(self, line, number):
        instant = _EVAL_INSTANT.fullmatch(line)
        if instant:
            mode, at, expr = instant.groups()
            time_ms = duration_ms(at or "")
            command = Eval(number, expr, False, time_ms, time_ms)
        else:
            match = _EVAL_RANGE.fullmatch(line)
            if not match:
                raise ScriptError(f"not an eval: {line}")
            mode, start, end, step, expr = match.groups()
            command = Eval(number, expr, True, duration_ms(start), duration_ms(end),
                           duration_ms(step))
            if command.end_ms < command.start_ms:
                raise ScriptError("it ends before it starts")
        command.since_3 = number - 1 in self._since_3
        if mode:
            _apply_expect(command, mode, None)
        for row in self._block():
            if not _apply_line(command, row):
                break
        return command


def _apply_line(command, line):
    """Takes one line below an eval; whether more may follow."""
    for prefix, is_regex in (("expected_fail_message", False), ("expected_fail_regexp", True)):
        if command.fail and line.startswith(prefix):
            command.fail = Pattern(line[len(prefix):].strip(), is_regex)
            return False
    if line.startswith("expect range vector"):
        start, end, step = _EXPECT_RANGE.fullmatch(line).groups()
        command.start_ms, command.end_ms = duration_ms(start), duration_ms(end)
        command.step_ms = duration_ms(step)
        command.only_instant = True
        return True
    if line.startswith("expect string"):
        command.string = promql_text.unquote(line[len("expect string"):].strip())
        command.only_instant = True
        return True
    if line.split()[0] == "expect":
        match = _EXPECT.fullmatch(line)
        if not match:
            raise ScriptError(f"not an expectation: {line}")
        kind, how, pattern = match.groups()
        _apply_expect(command, kind, pattern and Pattern(pattern.strip(), how == "regex"))
        return True
    number = _number(line)
    if number is not None:
        command.scalar = number
        return False
    labels, values = parse_row(line)
    if not command.is_range and not command.only_instant and values != NATIVE and len(values) > 1:
        raise ScriptError(f"several values at one instant: {line}")
    command.rows.append((labels, values))
    return True


def _apply_expect(command, kind, pattern):
    pattern = pattern or Pattern("", True)  # any
    if kind == "ordered":
        command.ordered = True
    elif kind == "fail":
        if command.fail:
            raise ScriptError("it cannot fail twice")
        command.fail = pattern
    elif kind in ("no_warn", "no_info"):
        field = "warnings" if kind == "no_warn" else "infos"
        if getattr(command, field):
            raise ScriptError(f"{kind} contradicts an earlier line")
        setattr(command, field, [])
    else:
        field = "warnings" if kind == "warn" else "infos"
        patterns = getattr(command, field)
        if patterns == []:
            raise ScriptError(f"{kind} contradicts an earlier line")
        setattr(command, field, (patterns or []) + [pattern])


def samples_of(load):
    """[(labels, [(ms, value), ...])] of a load's rows that are no native histograms."""
    return [(labels, [(index * load.interval_ms, value) for index, value in enumerate(values)
                      if value is not OMITTED])
            for labels, values in load.rows if values != NATIVE]


def native_series_of(load):
    """The labels of all native histograms that a load would make."""
    result = [labels for labels, values in load.rows if values == NATIVE]
    if load.with_nhcb:
        for labels, _ in load.rows:
            match = re.fullmatch(r"(.+)_(bucket|count|sum)", labels.get("__name__", ""))
            if match:
                base = {name: value for name, value in labels.items() if name != "le"}
                result.append(base | {"__name__": match[1]})
    return result


def almost_equal(a, b, epsilon=1e-6):
    """As upstream compares: a difference of less than epsilon times the sum, and NaN is NaN."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b:
        return True
    smallest_normal = 2.2250738585072014e-308
    total = abs(a) + abs(b)
    difference = abs(a - b)
    if a == 0 or b == 0 or total < smallest_normal:
        return difference < epsilon * smallest_normal
    return difference / min(total, 1.7976931348623157e308) < epsilon
