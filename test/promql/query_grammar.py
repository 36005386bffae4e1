"""Generates PromQL over the series of generated_data.

Queries are such that Prometheus 2.42 and 3.x have the same answer; what they differ in, and how it
is kept out:
  - left-open windows (3.0): see generated_data; ranges of sub-queries end in 250 ms, so that none
    of their aligned points is on an edge, and moments are multiples of 500 ms.
  - delayed name removal: nothing looks at __name__ after a function, and no function gets series
    that differ only in their name.
  - holt_winters is called double_exponential_smoothing: translate_for_2x().
  - atan2 between vectors kept the name: it only stands inside sum().
  - comparisons that filter many sides of a one-to-one match: 2.x only complained of what was left.
  - stddev and stdvar of infinite values were 0, sums of infinities differ: only over finite series.
  - topk and bottomk of equal values: only of values that are not.
  - histogram_quantile: 3.x forgives buckets that shrink by rounding; the data has no such buckets.
  - functions that 2.42 does not have.

Nor may the noise in the last bits decide: what jumps (round, changes, resets, %) and what swings wildly
(sin of large values) only gets samples as they are stored, and timestamps begin with the data.
"""

import generated_data

RANGES = ["1m", "2m", "5m", "7m", "10m", "30m", "1h"]
OFFSETS = ["30s", "1m", "5m", "17m", "-2m"]
SUBQUERY_RANGES = ["5m250ms", "10m250ms", "31m250ms"]
SUBQUERY_STEPS = ["15s", "1m", "2m", "47s", ""]
COUNTER_FUNCTIONS = ["rate", "increase", "irate", "resets", "changes", "delta", "idelta"]
OVER_TIME = ["avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
             "last_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time",
             "deriv", "delta", "idelta"]
SIMPLE_FUNCTIONS = ["abs", "exp", "ln", "log2", "log10", "sqrt", "atan", "asinh", "sinh", "tanh",
                    "deg", "rad", "sort", "sort_desc", "absent", "acos", "acosh", "atanh", "asin"]
JUMPY_FUNCTIONS = ["ceil", "floor", "sgn", "sin", "cos", "tan"]
DATE_FUNCTIONS = ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month",
                  "month", "year"]
AGGREGATIONS = ["sum", "avg", "min", "max", "count", "group"]
ARITHMETIC = ["+", "-", "*", "/", "^"]
COMPARISON = ["==", "!=", ">", "<", ">=", "<="]
NUMBERS = ["0", "1", "2.5", "-3", "1e3", "0.1", "100", "60", "0x1f"]


def translate_for_2x(query):
    return query.replace("double_exponential_smoothing", "holt_winters")


class Generator:
    """Queries from one random.Random."""

    def __init__(self, rng, end_ms):
        self._rng = rng
        self._end_ms = end_ms
        self._metrics = {metric.name: metric for metric in generated_data.METRICS}

    def query(self):
        kind = self._rng.random()
        if kind < 0.03:
            return self._wrong()
        if kind < 0.07:
            return self._scalar(2)
        return self._vector(3)

    def instant_only_query(self):
        """One whose result is a range of samples."""
        return self._range_selector(self._rng.choice(list(self._metrics)))

    # Pieces.

    def _pick(self, *choices):
        return self._rng.choice(choices)

    def _chance(self, probability):
        return self._rng.random() < probability

    def _name(self, *kinds):
        return self._rng.choice([name for name, metric in self._metrics.items()
                                 if not kinds or metric.kind in kinds])

    def _finite_name(self):
        return self._name("counter", "gauge", "info", "bucket", "sparse")

    def _matchers(self, name):
        parts = []
        for label, values in self._metrics[name].labels.items():
            if self._chance(0.75):
                continue
            value = self._rng.choice(values)
            parts.append(self._pick(
                f'{label}="{value}"', f'{label}!="{value}"',
                f'{label}=~"{value[0]}.*|none"', f'{label}!~".*{value[-1]}"', f'{label}!=""'))
        if self._chance(0.05):
            parts.append(self._pick('nothing=""', 'nothing="x"', 'nothing=~".*"', 'nothing!~".+"'))
        return name + ("{" + ",".join(parts) + "}" if parts else "")

    def _modifiers(self):
        text = ""
        if self._chance(0.15):
            text += " offset " + self._rng.choice(OFFSETS)
        if self._chance(0.07):
            text += self._pick(" @ start()", " @ end()", f" @ {self._end_ms // 1000 - 1800}")
        return text

    def _selector(self, name):
        return self._matchers(name) + self._modifiers()

    def _range_selector(self, name):
        return f"{self._matchers(name)}[{self._rng.choice(RANGES)}]{self._modifiers()}"

    def _subquery(self, depth):
        inner = self._pick(
            lambda: self._selector(self._finite_name()),
            lambda: self._over_range(self._finite_name()),
            lambda: self._aggregation(depth - 1),
            lambda: self._function(depth - 1))()
        step = self._rng.choice(SUBQUERY_STEPS)
        return f"({inner})[{self._rng.choice(SUBQUERY_RANGES)}:{step}]{self._modifiers()}"

    def _scalar(self, depth):
        choices = [
            lambda: self._rng.choice(NUMBERS),
            lambda: f"(time() - {generated_data.START_MS // 1000})",
            lambda: "pi()",
            lambda: f"scalar({self._vector(depth - 1)})",
            lambda: f"({self._scalar(depth - 1)} {self._rng.choice(ARITHMETIC)} "
                    f"{self._scalar(depth - 1)})",
            lambda: f"({self._scalar(depth - 1)} {self._rng.choice(COMPARISON)} bool "
                    f"{self._scalar(depth - 1)})",
            lambda: f"-{self._scalar(depth - 1)}"]
        return self._rng.choice(choices if depth > 0 else choices[:3])()

    def _vector(self, depth):
        if depth <= 0:
            return self._pick(lambda: self._selector(self._name()),
                              lambda: self._over_range(self._finite_name()))()
        return self._rng.choices(
            [lambda: self._selector(self._name()),
             lambda: self._over_range(self._finite_name()),
             lambda: self._over_subquery(depth),
             lambda: self._aggregation(depth),
             lambda: self._function(depth),
             lambda: self._with_scalar(depth),
             lambda: self._joined(depth),
             lambda: self._set_operation(depth),
             self._quantile_of_buckets,
             self._odd],
            weights=[2, 4, 3, 6, 4, 3, 4, 2, 2, 1])[0]()

    def _over_range(self, name):
        metric = self._metrics[name]
        if metric.kind in ("counter", "bucket") and self._chance(0.7):
            return f"{self._rng.choice(COUNTER_FUNCTIONS)}({self._range_selector(name)})"
        if self._chance(0.1):
            return f"{self._pick('changes', 'resets')}({self._range_selector(name)})"
        return self._over(self._range_selector(name))

    def _over_subquery(self, depth):
        return self._over(self._subquery(depth))

    def _over(self, range_vector):
        kind = self._rng.random()
        if kind < 0.1:
            return f"quantile_over_time({self._pick('0', '0.25', '0.9', '1', '-1', '2')}, {range_vector})"
        if kind < 0.15:
            return f"predict_linear({range_vector}, {self._pick('60', '-300', '3600')})"
        if kind < 0.2:
            return f"double_exponential_smoothing({range_vector}, 0.5, 0.3)"
        if kind < 0.23:
            return f"absent_over_time({range_vector})"
        return f"{self._rng.choice(OVER_TIME)}({range_vector})"

    def _grouping(self, labels):
        if self._chance(0.3):
            return ""
        chosen = [label for label in labels if self._chance(0.4)]
        if self._chance(0.1):
            chosen.append("nothing")
        return f" {self._pick('by', 'by', 'without')} ({', '.join(chosen)})"

    def _aggregation(self, depth):
        name = self._finite_name()
        grouping = self._grouping(list(self._metrics[name].labels))
        operand = self._pick(lambda: self._selector(name), lambda: self._over_range(name),
                             lambda: self._over_range(name))()
        kind = self._rng.random()
        if kind < 0.1:
            operand = f"rate({self._matchers('latency_sum')}[10m])"
            return f"{self._pick('topk', 'bottomk')}{grouping} ({self._pick('1', '2', '5', '0', '100')}, {operand})"
        if kind < 0.2:
            return f"quantile{grouping} ({self._pick('0', '0.3', '0.99', '1', '-0.1', '1.1')}, {operand})"
        if kind < 0.25:
            return f'count_values{grouping} ("value", {self._selector("up")})'
        if kind < 0.35:
            return f"{self._pick('stddev', 'stdvar')}{grouping} ({self._selector(name)})"
        if kind < 0.5:
            return f"{self._rng.choice(AGGREGATIONS)}({self._vector(depth - 1)})"
        if self._chance(0.5):
            return f"{self._rng.choice(AGGREGATIONS)}{grouping} ({operand})"
        return f"{self._rng.choice(AGGREGATIONS)}({operand}){grouping}"

    def _function(self, depth):
        kind = self._rng.random()
        if kind < 0.1:
            return f"{self._rng.choice(DATE_FUNCTIONS)}({self._pick('', self._selector('temperature'))})"
        if kind < 0.2:
            inner = self._pick(self._selector(self._name()), self._vector(depth - 1))
            return f"(timestamp({inner}) - {generated_data.START_MS // 1000})"
        inner = self._vector(depth - 1)
        if kind < 0.3:
            return self._pick(f"clamp({inner}, 10, 200)", f"clamp_min({inner}, {self._scalar(0)})",
                              f"clamp_max({inner}, {self._scalar(0)})", f"clamp({inner}, 5, 1)")
        if kind < 0.35:
            return f"{self._rng.choice(JUMPY_FUNCTIONS)}({self._selector(self._finite_name())})"
        if kind < 0.4:
            return f"round({self._selector(self._name())}{self._pick('', ', 0.5', ', 10', ', 0.1')})"
        if kind < 0.5:
            return f"vector({self._scalar(depth - 1)})"
        if kind < 0.6:
            return self._pick(
                f'label_replace({inner}, "to", "$1-x", "job", "(.)(.*)")',
                f'label_replace({inner}, "instance", "${{port}}", "instance", ".*:(?P<port>\\\\d+)")',
                f'label_replace({inner}, "to", "", "job", "")',
                f'label_join({inner}, "to", "/", "job", "instance", "nothing")')
        return f"{self._rng.choice(SIMPLE_FUNCTIONS)}({inner})"

    def _with_scalar(self, depth):
        vector, scalar = self._vector(depth - 1), self._scalar(depth - 2)
        left, right = self._pick((vector, scalar), (scalar, vector))
        if self._chance(0.6):
            return f"({left} {self._rng.choice(ARITHMETIC)} {right})"
        return f"({left} {self._rng.choice(COMPARISON)}{self._pick('', ' bool')} {right})"

    def _joined(self, depth):
        operator = self._rng.choice(ARITHMETIC)
        requests = self._pick(self._selector("http_requests_total"),
                              f"rate({self._range_selector('http_requests_total')})")
        memory = self._selector("memory_bytes")
        comparison = self._rng.choice(COMPARISON) + self._pick("", " bool")
        return self._pick(
            f"{requests} {operator} on (job, instance) group_left {memory}",
            f"{requests} {operator} on (job) group_left (version) {self._selector('job_info')}",
            f"{memory} {operator} ignoring (code) group_right (le) {requests}",
            f"{memory} {operator} on (instance) group_left () {self._selector('instance_weight')}",
            f"{memory} {comparison} {self._selector('up')}",
            f"{memory} % {self._selector('up')}",
            f"{memory} % on (instance) group_left {self._selector('instance_weight')}",
            f"{self._selector('latency_sum')} {comparison} ignoring () "
            f"{self._selector('latency_count')}",
            f"rate({self._range_selector('latency_sum')}) / rate({self._range_selector('latency_count')})",
            f"sum by (job) ({requests}) {operator} sum by (job) ({memory})",
            f"sum by (job) ({memory}) / on () group_left sum({memory})",
            f"sum by (job, instance) ({memory} atan2 {self._selector('up')})",
            f"sum({self._vector(depth - 1)}) {operator} avg({self._vector(depth - 1)})",
            # Several on both sides: an error.
            f"{requests} {operator} on (job) {memory}",
            f"{memory} {operator} on (job) group_left {self._selector('up')}")

    def _set_operation(self, depth):
        operator = self._pick("and", "or", "unless")
        left, right = self._selector("memory_bytes"), self._selector("up")
        return self._pick(
            f"{left} {operator} {right}",
            f"{left} {operator} on (job) {self._vector(depth - 1)}",
            f"{left} {operator} ignoring (instance) ({right} == 1)",
            f"{left} and on () (vector(1) {self._rng.choice(COMPARISON)} {self._scalar(0)})",
            f"sum by (job) ({left}) {operator} max by (job) ({right})")

    def _quantile_of_buckets(self):
        phi = self._pick("0", "0.1", "0.5", "0.9", "0.99", "1", "-1", "2")
        buckets = self._matchers("latency_bucket")
        rate = f"rate({buckets}[{self._pick('5m', '10m', '30m')}])"
        return self._pick(
            f"histogram_quantile({phi}, {rate})",
            f"histogram_quantile({phi}, sum by (le) ({rate}))",
            f"histogram_quantile({phi}, sum by (le, job) ({rate}))",
            f"histogram_quantile({phi}, {buckets})")

    def _odd(self):
        inner = self._selector("odd")
        function = self._pick("count", "min", "max", "group")
        return self._pick(
            inner, f"{function}({inner})", f"abs({inner})", f"{inner} > 1", f"{inner} == bool {inner}",
            f"count_over_time({self._range_selector('odd')})", f"sgn({inner})",
            f"max_over_time({self._range_selector('odd')})",
            f"min_over_time({self._range_selector('odd')})",
            f"changes({self._range_selector('odd')})", f"-{inner}", f"clamp({inner}, 0, 10)",
            f"sort({inner})", f'count_values("v", {inner})', f"quantile(0.5, {inner})",
            f"quantile_over_time(0.5, {self._range_selector('odd')})", f"{inner} / 0")

    def _wrong(self):
        selector = self._selector("up")
        return self._pick(
            f"rate({selector})", f"{selector}[5m", "sum(", "up offset", f"abs({selector}, 1)",
            f"{selector} + on (job) on (x) up", "up[5m] + 1", "scalar(1)", f"topk({selector})",
            f"sum by job ({selector})", "{}", '{job=""}', f'label_replace({selector}, "a b", "", "", "(")',
            "up == bool", "1 == 1", f"{selector} and 1", 'up{job=~"("}', "unknown(up)", "up @ x",
            "up[0s]", "\"text\" + 1", f"-\"text\"", "up{a}", "rate(up[5m:])[5m]")
