"""Filters of rows as a person types them: the conditions of an SQL WHERE clause to an Arrow expression.

    condition   a OR b, a AND b, NOT a, (a), or one of
    comparison  column = value; also ==, !=, <>, <, <=, >, >=, and between two columns
    membership  column [NOT] IN (value, ...), column [NOT] BETWEEN value AND value
    presence    column IS [NOT] NULL
    flag        column, where it holds true and false
    column      a name; in double quotes where it is none
    value       a number, a 'text' ('' is a quote in it), TRUE, FALSE; a time is a text, e.g. '2026-05-01'

Words are the same in capitals and small. As in SQL, a comparison with what is empty is neither true nor false: its row is left out,
under NOT too. A value is compared with a column of its own kind alone.
"""

import functools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import InputError
from cvtbatch.nearest import nearest
from cvtbatch.store.column_names import table_of, told_where

COMPARISONS: dict[str, Callable[[pc.Expression, pc.Expression], pc.Expression]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = frozenset({"AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"})
TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"[^"]*")
    |(?P<name>[^\W\d][\w.-]*)
    |(?P<sign>==|!=|<>|<=|>=|[=<>(),]))""",
    re.VERBOSE,
)
# What other languages write, and what is written here.
INSTEAD = {
    "&&": "write AND instead of &&",
    "&": "write AND instead of &",
    "||": "write OR instead of ||",
    "|": "write OR instead of |",
    "~": "write NOT instead of ~",
    "!": "write NOT instead of !",
    "[": "a list stands in round brackets, e.g. IN ('C1', 'C2')",
    "`": 'a name that is no word stands in double quotes, e.g. "log-sigma-1-0-mm"',
    "'": "this text has no end: close it with '",
    '"': 'this name has no end: close it with "',
}
SWAPPED = {"=>": ">=", "=<": "<="}
# What other languages call an empty value.
EMPTY = frozenset({"none", "null", "nan", "na"})
# Deeper brackets than anybody types would end in Python's own limit.
MOST_DEPTH = 50


def to_expression(where: "pc.Expression | str | None", schema: pa.Schema) -> "pc.Expression | None":
    """Return a filter as an Arrow expression; one that is such an expression already, as it is.

    Args:
        schema: the columns that the filter may name.

    Raises:
        InputError: "bad_filter" or "no_such_column", of a text with the place in it and what was expected there.
    """
    if where is None or isinstance(where, pc.Expression):
        require_fitting(where, schema)
        return where
    if not isinstance(where, str):
        raise InputError(
            "bad_filter",
            f"where is a text, e.g. \"center = 'C1'\", or an Arrow expression, not a {type(where).__name__}",
        )
    return _Parser(where, schema).parse()


def require_fitting(where: "pc.Expression | None", schema: pa.Schema) -> None:
    """Refuse an expression by columns that a table does not have, by values of another type, or that nothing can pass.

    Raises:
        InputError: "bad_filter".
    """
    if where is None:
        return
    # Of a wide table, those columns alone that the text may name.
    text = str(where)
    named = pa.schema([schema.field(name) for name in schema.names if name in text])
    try:
        named.empty_table().filter(where)
    except (pa.ArrowException, TypeError) as error:
        missing = re.match(r"No match for FieldRef\.Name\((.*?)\) in ", str(error))
        if missing is None:
            raise InputError("bad_filter", f"the filter {where} does not fit the table: {error}") from None
        told = f"the filter {where}: there is no column {missing[1]!r}; {_advice(missing[1], schema)}"
        raise InputError("bad_filter", told) from None
    without_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    if empty := re.search(r"(?:==|!=|[<>]=?) (?:null\[|nan\b)", without_texts):
        raise InputError(
            "bad_filter",
            f"the filter {where}: nothing compares with {empty[0].split()[1].rstrip('[')}: write pc.field(NAME).is_null() or "
            ".is_valid()",
        )


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the text, and its place in it, from 1; the last one is empty."""

    kind: str
    text: str
    place: int

    @property
    def word(self) -> str:
        """The token in capitals if it is a word of the grammar, a sign as it is, else empty."""
        if self.kind == "name":
            return self.text.upper() if self.text.upper() in WORDS else ""
        return self.text if self.kind == "sign" else ""


@dataclass(frozen=True, slots=True)
class _Operand:
    """A column or a value: its expression, its type, and where it stands; `value` is None of a column."""

    expression: pc.Expression
    type: pa.DataType
    token: _Token
    value: "pa.Scalar | None" = None


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        self._schema, self._text, self._depth = schema, text, 0
        self._tokens = self._split()
        self._next = 0

    def parse(self) -> pc.Expression:
        condition = self._any_of()
        if self._token.kind != "end":
            raise self._refused(self._token, "AND, OR or the end was expected")
        return condition

    def _split(self) -> list[_Token]:
        tokens, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            match = TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._refused(_Token("", self._text[at:].split()[0], at + 1), self._unreadable(at))
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1))
            at = match.end()
        return [*tokens, _Token("end", "", end + 1)]

    def _unreadable(self, at: int) -> str:
        """Say what to write instead of what cannot be read at a place, from 0."""
        for sign, told in INSTEAD.items():
            if self._text.startswith(sign, at):
                return told
        return "this cannot be read; texts stand in '...'"

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *words: str) -> _Token | None:
        """Return the next token and go on, if it is one of these."""
        token = self._token
        if token.word not in words:
            return None
        self._next += 1
        return token

    def _need(self, word: str) -> None:
        if self._take(word) is None:
            raise self._refused(self._token, f"{word} was expected")

    def _any_of(self) -> pc.Expression:
        parts = [self._all_of()]
        while self._take("OR"):
            parts.append(self._all_of())
        return _joined(operator.or_, parts)

    def _all_of(self) -> pc.Expression:
        parts = [self._not()]
        while self._take("AND"):
            parts.append(self._not())
        return _joined(operator.and_, parts)

    def _not(self) -> pc.Expression:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise self._refused(self._token, f"more than {MOST_DEPTH} brackets and NOT within one another")
        if self._take("NOT"):
            condition = ~self._not()
        elif self._take("("):
            condition = self._any_of()
            self._need(")")
        else:
            condition = self._test()
        self._depth -= 1
        return condition

    def _test(self) -> pc.Expression:
        left = self._operand()
        if sign := self._take(*COMPARISONS):
            self._refuse_pair(sign)
            if self._is_empty(self._token):
                test = "IS NOT NULL" if sign.text in {"!=", "<>"} else "IS NULL"
                raise self._refused(self._token, f"nothing equals {self._token.text}: write {left.token.text} {test}")
            return self._compared(left, COMPARISONS[sign.text], self._operand())
        if self._take("IS"):
            absent = self._take("NOT") is None
            self._need("NULL")
            return left.expression.is_null() if absent else left.expression.is_valid()
        negated = self._take("NOT") is not None
        if self._take("IN"):
            condition = self._among(left)
        elif self._take("BETWEEN"):
            low = self._operand()
            self._need("AND")
            condition = self._compared(left, operator.ge, low) & self._compared(left, operator.le, self._operand())
        elif not negated and pa.types.is_boolean(left.type):
            return left.expression
        else:
            raise self._refused(
                self._token, f"a comparison was expected, e.g. {left.token.text} = {_example(left.type)}"
            )
        return ~condition if negated else condition

    def _refuse_pair(self, sign: _Token) -> None:
        """Refuse a comparison whose two signs are in the other order."""
        pair = sign.text + self._token.text
        if pair in SWAPPED and self._token.place == sign.place + 1:
            raise self._refused(sign, f"write {SWAPPED[pair]} instead of {pair}")

    def _is_empty(self, token: _Token) -> bool:
        return token.kind == "name" and token.text.lower() in EMPTY and token.text not in self._schema.names

    def _among(self, left: _Operand) -> pc.Expression:
        self._need("(")
        equal: list[pc.Expression] = []
        while not equal or self._take(","):
            if self._is_empty(self._token):
                raise self._refused(
                    self._token,
                    f"nothing equals {self._token.text}: leave it out, and write OR {left.token.text} IS NULL",
                )
            equal.append(self._compared(left, operator.eq, self._operand()))
        self._need(")")
        return _joined(operator.or_, equal)

    def _operand(self) -> _Operand:
        token = self._token
        self._next += 1
        if token.kind == "number":
            whole = token.text.lstrip("+-").isdigit() and abs(int(token.text)) < 2**63
            return _of_value(pa.scalar(int(token.text) if whole else float(token.text)), token)
        if token.kind == "text":
            return _of_value(pa.scalar(token.text[1:-1].replace("''", "'")), token)
        if token.word in {"TRUE", "FALSE"}:
            return _of_value(pa.scalar(token.word == "TRUE"), token)
        if token.kind == "quoted" or (token.kind == "name" and not token.word):
            name = token.text.strip('"')
            if name not in self._schema.names:
                raise self._no_column(name, token)
            return _Operand(pc.field(name), self._schema.field(name).type, token)
        raise self._refused(token, "a column or a value was expected")

    def _compared(
        self, left: _Operand, compare: Callable[[pc.Expression, pc.Expression], pc.Expression], right: _Operand
    ) -> pc.Expression:
        left, right = self._as_time(left, right), self._as_time(right, left)
        if _kind(left.type) != _kind(right.type) or _kind(left.type) == "a list":
            one, other = (left, right) if left.value is None else (right, left)
            raise self._refused(
                other.token,
                f"{one.token.text} is {_kind(one.type)} and {other.token.text} is {_kind(other.type)}; "
                f"compare it with {_example(one.type, other.token.text)}",
            )
        return compare(left.expression, right.expression)

    def _as_time(self, operand: _Operand, other: _Operand) -> _Operand:
        """Return a text that is compared with a time as a time."""
        if operand.value is None or not pa.types.is_timestamp(other.type) or not pa.types.is_string(operand.type):
            return operand
        try:
            # Without a zone a time is meant in UTC, in which the store keeps times.
            time = operand.value.cast(pa.timestamp(other.type.unit)).cast(other.type)
        except pa.ArrowException:
            raise self._refused(
                operand.token, f"{operand.token.text} is no time such as '2026-05-01' or '2026-05-01 08:30:00'"
            ) from None
        return _of_value(time, operand.token)

    def _no_column(self, name: str, token: _Token) -> InputError:
        advice = _advice(name, self._schema)
        if token.kind == "quoted" or "did you mean" not in advice:
            advice += f" A text stands in single quotes: '{name}'" * (not table_of(name))
        return InputError(
            "no_such_column",
            f"where, at character {token.place}: there is no column {name!r}; {advice}\n{self._shown(token)}",
        )

    def _refused(self, token: _Token, why: str) -> InputError:
        what = repr(token.text) if token.text else "the end"
        return InputError("bad_filter", f"where, at character {token.place} ({what}): {why}\n{self._shown(token)}")

    def _shown(self, token: _Token) -> str:
        one_line = re.sub(r"\s", " ", self._text)
        return f"  {one_line}\n  {' ' * (token.place - 1)}^"


def _advice(name: str, schema: pa.Schema) -> str:
    """Say which column was meant, or which table has it."""
    if told := told_where(name, schema.names):
        return told
    near = nearest(name, schema.names)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(schema.names[:8])}, ..."


def _of_value(value: "pa.Scalar", token: _Token) -> _Operand:
    return _Operand(pc.scalar(value), value.type, token, value)


def _joined(join: Callable[[pc.Expression, pc.Expression], pc.Expression], parts: list[pc.Expression]) -> pc.Expression:
    """Return conditions joined, halves of halves: a long list would nest deeper than Arrow can go."""
    if len(parts) > 2:
        half = len(parts) // 2
        parts = [_joined(join, parts[:half]), _joined(join, parts[half:])]
    return functools.reduce(join, parts)


def _kind(kind: pa.DataType) -> str:
    """Return what a type holds, in words."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "a number"
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_timestamp(kind):
        return "a time"
    return "a text" if pa.types.is_string(kind) else "a list"


def _example(kind: pa.DataType, given: str = "") -> str:
    """Return what a value of a kind may be compared with: a number that was given in quotes, without them."""
    number = given.strip("'")
    if _kind(kind) == "a number" and number.replace(".", "", 1).lstrip("-").isdecimal():
        return f"{number}, without quotes"
    examples = {"a number": "1", "a text": "'text'", "true or false": "TRUE", "a time": "'2026-05-01'"}
    return examples.get(_kind(kind), "IS NULL")
