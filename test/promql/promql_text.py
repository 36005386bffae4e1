"""Reads the structure of a PromQL expression, as far as the tests need it: which selectors it has,
and the same expression with its time pinned.

This is no parser: it takes for granted that the expression is right, knows no precedence, and
leaves what it does not understand to the server. It raises ValueError when it loses its way.
"""

import re

AGGREGATIONS = frozenset(
    "sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk "
    "limit_ratio".split())
_WORD_OPERATORS = frozenset("and or unless atan2".split())
_MATCHING_WORDS = frozenset(
    "on ignoring group_left group_right fill fill_left fill_right".split())

_TOKEN = re.compile(r"""
    (?P<space> \s+ | \#[^\n]* )
  | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` )
  | (?P<number> 0[xX][0-9a-fA-F_]+
              | (?:[0-9]+(?:ms|[smhdwy]))+
              | (?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)? )
  | (?P<word> [a-zA-Z_:][a-zA-Z0-9_:]* )
  | (?P<sign> =~|!~|==|!=|<=|>=|</|>/|[-+*/%^<>=!@(){}\[\],:] )
""", re.VERBOSE)

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
            "\\": "\\", "'": "'", '"': '"'}
_ESCAPE = re.compile(r"""\\(?:([abfnrtv\\'"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})"""
                     r"""|U([0-9a-fA-F]{8}))""")


def unquote(text):
    """The value of a string literal in any of the three quotes."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'`":
        raise ValueError(f"not a quoted string: {text}")
    if text[0] == "`":
        return text[1:-1]

    def replace(match):
        simple, byte, octal, short, long = match.groups()
        if simple:
            return _ESCAPES[simple]
        return chr(int(octal, 8) if octal else int(byte or short or long, 16))
    return _ESCAPE.sub(replace, text[1:-1])


class Selector:
    """`name{matchers}`; matchers are (label, operator, value)."""

    def __init__(self, matchers):
        self.matchers = matchers

    def may_match(self, labels):
        """Whether a series with these labels is selected."""
        return all(_matches(operator, value, labels.get(label, ""))
                   for label, operator, value in self.matchers)


def _matches(operator, wanted, value):
    if operator in ("=", "!="):
        return (value == wanted) == (operator == "=")
    try:
        matched = re.fullmatch(f"(?s:{wanted})", value) is not None
    except re.error:
        return True  # a dialect that Python does not know: it may
    return matched == (operator == "=~")


class Expression:
    """What there is in an expression: `selectors`, and the names of the functions it calls."""

    def __init__(self, text):
        self.text = text
        self.selectors = []
        self.functions = set()
        self._edits = []     # (start, end): there goes an @
        self._tokens = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise ValueError(f"unexpected {text[position]!r} at {position} of: {text}")
            if match.lastgroup != "space":
                self._tokens.append((match.lastgroup, match.group(), match.start(), match.end()))
            position = match.end()
        self._next = 0
        self._expression()
        if self._next != len(self._tokens):
            raise ValueError(f"unexpected {self._peek()!r} in: {text}")

    def pinned_at(self, seconds):
        """The expression with `@ seconds` on every outermost selector and sub-query that names no
        time of its own."""
        result = self.text
        for start, end in sorted(self._edits, reverse=True):
            space = " " if result[end:end + 1].isalnum() else ""
            result = f"{result[:start]} @ {seconds}{space}{result[end:]}"
        return result

    # Tokens.

    def _peek(self, ahead=0):
        index = self._next + ahead
        return self._tokens[index][1] if index < len(self._tokens) else ""

    def _kind(self):
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self, wanted=None):
        if self._next == len(self._tokens):
            raise ValueError(f"unexpected end of: {self.text}")
        token = self._tokens[self._next]
        if wanted is not None and token[1] != wanted:
            raise ValueError(f"expected {wanted!r} but found {token[1]!r} in: {self.text}")
        self._next += 1
        return token

    def _position(self):
        """The end of the token taken last."""
        return self._tokens[self._next - 1][3]

    def _skip_group(self):
        """Takes a bracket and all up to its partner; returns the tokens between."""
        opening = self._take()[1]
        closing = {"(": ")", "[": "]", "{": "}"}[opening]
        depth, start = 1, self._next
        while depth:
            token = self._take()[1]
            depth += (token == opening) - (token == closing)
        return [token[1] for token in self._tokens[start:self._next - 1]]

    # The grammar.

    def _expression(self):
        self._unary()
        while self._peek() and (self._peek() in _WORD_OPERATORS or self._kind() == "sign"
                                and self._peek() not in (")", ",", "]", "}")):
            self._take()
            if self._peek() == "bool":
                self._take()
            while self._peek() in _MATCHING_WORDS:
                self._take()
                if self._peek() == "(":
                    self._skip_group()
            self._unary()

    def _unary(self):
        while self._peek() in ("+", "-"):
            self._take()
        self._postfix()

    def _postfix(self):
        edits_before = len(self._edits)
        is_selector = self._primary()
        insert_at = self._position() if is_selector else None
        pinned = None  # the existing @ as (start, end), or "time"
        while True:
            word = self._peek()
            if word == "[":
                inside = self._skip_group()
                if ":" in inside or any(token.startswith(":") for token in inside):
                    # A sub-query: what stands inside keeps its own time.
                    del self._edits[edits_before:]
                    pinned = None
                insert_at = self._position()
            elif word == "offset":
                self._take()
                self._offset()
            elif word == "@":
                pinned = self._at()
            elif word in ("anchored", "smoothed"):
                self._take()
            else:
                break
        self._pin(insert_at, pinned)

    def _pin(self, insert_at, pinned):
        if insert_at is None or pinned == "time":
            return
        self._edits.append(pinned or (insert_at, insert_at))

    def _at(self):
        start = self._take("@")[2]
        if self._peek() in ("start", "end"):
            self._take()
            self._skip_group()
            return start, self._position()
        while self._peek() in ("+", "-"):
            self._take()
        self._take()
        return "time"

    def _offset(self):
        while self._peek() in ("+", "-"):
            self._take()
        if self._kind() == "word":
            self._take()
        if self._peek() == "(":
            self._skip_group()
        elif self._kind() == "number":
            self._take()

    def _primary(self):
        """Takes one; whether it was a selector."""
        kind, word = self._kind(), self._peek()
        if word == "(":
            self._arguments()
            return False
        if kind in ("number", "string"):
            self._take()
            return False
        if word == "{":
            self._selector(None)
            return True
        if kind != "word":
            raise ValueError(f"unexpected {word!r} in: {self.text}")
        if word.lower() in ("inf", "nan") and self._peek(1) != "{":
            self._take()
            return False
        following = self._peek(1)
        if word.lower() in AGGREGATIONS and following.lower() in ("by", "without", "("):
            self._aggregation()
            return False
        self._take()
        if following == "(":
            self.functions.add(word)
            self._arguments()
            return False
        self._selector(word)
        return True

    def _aggregation(self):
        self._take()
        grouped = self._grouping()
        self._arguments()
        if not grouped:
            self._grouping()

    def _grouping(self):
        if self._peek().lower() not in ("by", "without"):
            return False
        self._take()
        self._skip_group()
        return True

    def _arguments(self):
        self._take("(")
        while self._peek() != ")":
            self._expression()
            if self._peek() == ",":
                self._take()
        self._take(")")

    def _selector(self, name):
        alternatives = [[]]
        if name is not None:
            alternatives[0].append(("__name__", "=", name))
        if self._peek() == "{":
            self._take()
            while self._peek() != "}":
                if self._peek() in (",", "or"):
                    if self._take()[1] == "or":
                        alternatives.append([])
                    continue
                kind, label, _, _ = self._take()
                label = unquote(label) if kind == "string" else label
                if self._peek() in (",", "}"):
                    alternatives[-1].append(("__name__", "=", label))
                else:
                    operator = self._take()[1]
                    alternatives[-1].append((label, operator, unquote(self._take()[1])))
            self._take("}")
        self.selectors += [Selector(matchers) for matchers in alternatives]
