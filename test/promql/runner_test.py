"""That the conformance runner reads its language and finds what is wrong, without any server."""

import math
import unittest

import checks
import promql_text
import remote_write
import script
import servers


def only_eval(text):
    commands = script.parse(text)
    assert len(commands) == 1, commands
    return commands[0]


def vector(*series, warnings=(), infos=()):
    return servers.Result("vector", list(series), list(warnings), list(infos))


class RowsTest(unittest.TestCase):

    def test_values_expand(self):
        for text, expected in (
                ("m 1 -2 .5 1e3", [1, -2, 0.5, 1000]),
                ("m 0+10x3", [0, 10, 20, 30]),
                ("m 10-4x2", [10, 6, 2]),
                ("m -1+-1x1", None),
                ("m 5x2 _ 1", [5, 5, 5, None, 1]),
                ("m _x3 7", [None, None, None, 7]),
                ("m +Inf -Inf", [math.inf, -math.inf]),
                ("m", [])):
            with self.subTest(text):
                if expected is None:
                    self.assertRaises(script.ScriptError, script.parse_row, text)
                else:
                    self.assertEqual(script.parse_row(text)[1], expected)
        self.assertIs(script.parse_row("m stale")[1][0], remote_write.STALE)
        self.assertTrue(math.isnan(script.parse_row("m NaN")[1][0]))
        self.assertEqual(script.parse_row("m {{schema:0 count:1}}")[1], script.NATIVE)

    def test_labels_are_read_in_all_spellings(self):
        for text, expected in (
                ('m{a="b", c=\'d\'} 1', {"__name__": "m", "a": "b", "c": "d"}),
                ('{} 1', {}),
                ('{"m.n", a=`x}`,} 1', {"__name__": "m.n", "a": "x}"}),
                ('m{"a.b"="\\"", e=""} 1', {"__name__": "m", "a.b": '"'})):
            with self.subTest(text):
                self.assertEqual(script.parse_row(text), (expected, [1.0]))

    def test_native_histograms_are_known_with_their_bases(self):
        load = script.parse('load_with_nhcb 1m\n h_bucket{le="1",a="b"} 1\n m 1')[0]
        self.assertEqual(script.native_series_of(load), [{"__name__": "h", "a": "b"}])
        self.assertEqual(len(script.samples_of(load)), 2)


class CommandsTest(unittest.TestCase):

    def test_both_dialects_mean_the_same(self):
        old = only_eval("eval_fail instant at 1m sum(a)\n expected_fail_regexp a.*b")
        new = only_eval("eval instant at 1m sum(a)\n expect fail regex: a.*b")
        self.assertEqual(old, new)
        old = only_eval("eval_ordered instant at 1m sum(a)\n {} 1")
        new = only_eval("eval instant at 1m sum(a)\n expect ordered\n {} 1")
        self.assertEqual(old, new)

    def test_ranges_have_their_times(self):
        command = only_eval("eval range from 1m to 1h30m step 15s a + b\n {} 1x3")
        self.assertEqual((command.start_ms, command.end_ms, command.step_ms, command.expr),
                         (60_000, 5_400_000, 15_000, "a + b"))

    def test_nonsense_is_refused(self):
        for text in ("evaluate 1", "eval instant at 5 m", "eval instant at 1m m\n m 1 2",
                     "load x\n m 1", "eval instant at 1m m\n expect failure",
                     "eval instant at 1m m\n expect warn\n expect no_warn"):
            with self.subTest(text):
                self.assertRaises(script.ScriptError, script.parse, text)


class ChecksTest(unittest.TestCase):

    def test_what_differs_is_found(self):
        command = only_eval('eval instant at 1m m\n expect ordered\n m{a="1"} 1\n m{a="2"} NaN')
        first, second = {"__name__": "m", "a": "1"}, {"__name__": "m", "a": "2"}
        checks.check_result(vector((first, 1 + 1e-7), (second, math.nan)), command)
        for wrong in (vector((first, 1.0)),
                      vector((first, 1.0), (second, 2.0)),
                      vector((first, 1 + 1e-5), (second, math.nan)),
                      vector((second, math.nan), (first, 1.0)),
                      vector((first, 1.0), (second, math.nan), ({}, 1.0)),
                      vector((first, 1.0), (first, 1.0), (second, math.nan)),
                      servers.Result("scalar", 1.0, [], [])):
            self.assertRaises(checks.Mismatch, checks.check_result, wrong, command)

    def test_points_must_be_at_their_steps(self):
        command = only_eval("eval range from 0 to 2m step 1m m\n m 1 _ 3")
        labels = {"__name__": "m"}
        checks.check_result(servers.Result("matrix", [(labels, [(0, 1.0), (120_000, 3.0)])], [], []),
                            command)
        for points in ([(0, 1.0), (60_000, 3.0)], [(0, 1.0)], [(0, 1.0), (120_000, 4.0)]):
            wrong = servers.Result("matrix", [(labels, points)], [], [])
            self.assertRaises(checks.Mismatch, checks.check_result, wrong, command)

    def test_annotations_must_be_those_expected(self):
        command = only_eval("eval instant at 1m m\n expect warn regex: bad .* \\(1:3\\)\n"
                            " expect no_info")
        checks.check_annotations(vector(warnings=["bad bucket (1:3)"]), command)
        for wrong in (vector(), vector(warnings=["bad bucket (1:3)", "more"]),
                      vector(warnings=["bad bucket (1:3)"], infos=["x"])):
            self.assertRaises(checks.Mismatch, checks.check_annotations, wrong, command)

    def test_errors_must_be_expected_ones(self):
        error = servers.QueryError(400, "bad_data", 'invalid parameter "query": oh no')
        checks.check_error(error, only_eval("eval instant at 1m m\n expect fail msg: oh no"))
        for text in ("eval instant at 1m m\n expect fail msg: oh", "eval instant at 1m m"):
            self.assertRaises(checks.Mismatch, checks.check_error, error, only_eval(text))


class PinningTest(unittest.TestCase):

    def test_selectors_get_a_time_unless_they_have_one(self):
        for text, expected in (
                ("m", "m @ 9"),
                ('m{a="}"}[5m] offset 1m', 'm{a="}"}[5m] @ 9 offset 1m'),
                ("m @ 5 + m offset -(2*1m)", "m @ 5 + m @ 9 offset -(2*1m)"),
                ("m @ start() or m", "m @ 9 or m @ 9"),
                ("rate(m[5m])[1h:] / on (a) group_left (b) x",
                 "rate(m[5m])[1h:] @ 9 / on (a) group_left (b) x @ 9"),
                ("max_over_time((a+b)[1h:1m] @ 3)", "max_over_time((a+b)[1h:1m] @ 3)"),
                ("sum by (le) (x) > bool 5", "sum by (le) (x @ 9) > bool 5"),
                ("topk(3, x) without (y) == -inf", "topk(3, x @ 9) without (y) == -inf"),
                ("count({__name__=~'sum|by'})", "count({__name__=~'sum|by'} @ 9)"),
                ("vector(1) # m", "vector(1) # m")):
            with self.subTest(text):
                pinned = promql_text.Expression(text).pinned_at("9")
                self.assertEqual(" ".join(pinned.split()), expected)

    def test_selectors_know_what_they_match(self):
        selector, = promql_text.Expression('sum(rate({__name__=~"a|b", c!="d"}[5m]))').selectors
        self.assertTrue(selector.may_match({"__name__": "a"}))
        self.assertFalse(selector.may_match({"__name__": "ab"}))
        self.assertFalse(selector.may_match({"__name__": "a", "c": "d"}))


if __name__ == "__main__":
    unittest.main()
