"""Tables of the report as values: shown in the page, written as CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from cvtbatch.plain_text import for_spreadsheet
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import Counted, decimal, span_text, value_text
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Significance, T

Cell = Estimate | Counted | Significance | NotComputable | float | int | str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as the page shows it.

    Attributes:
        order: what sorting goes by.
        note: number of the note that says why there is no value, or 0.
        number: leans right.
        span: its interval, which may stand on a line of its own.
    """

    text: str
    order: str
    note: int = 0
    number: bool = False
    span: str = ""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table.

    Attributes:
        name: of its CSV file.
        digits: decimals of numbers, by column, 3 unless told; of estimates at most, see `report.digits`.
        notes: what a reader must know to read it.
        links: anchors of the first column's cells, a row each, or empty.
        long: has a filter, and scrolls.
        place: block of the page that shows it, e.g. "calibration"; tables of a block stand in the order in which they are made.
        keyed: the first column holds keys, which stay as they are wherever they are written.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    digits: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    place: str = ""
    long: bool = False
    keyed: bool = False
    _reasons: dict[str, int] = field(default_factory=dict, compare=False)

    def shown(self) -> list[list[Shown]]:
        """Return the rows as the page shows them."""
        return [[self._show(value, column) for column, value in enumerate(row)] for row in self.rows]

    def leans_right(self, column: int) -> bool:
        """Say whether a column holds numbers."""
        kinds = {type(row[column]) for row in self.rows} - {type(None), NotComputable}
        return bool(kinds) and kinds <= {Estimate, Counted, Significance, int, float}

    def reasons(self) -> list[str]:
        """Return why values are missing, in the order of their note numbers; call `shown` first."""
        return list(self._reasons)

    def _digits(self, column: int) -> int:
        return self.digits[column] if column < len(self.digits) else 3

    def _note(self, reason: str) -> int:
        return self._reasons.setdefault(reason, len(self._reasons) + 1)

    def _show(self, value: Cell, column: int) -> Shown:
        digits = self._digits(column)
        match value:
            case None:
                return Shown("", "")
            case NotComputable(reason=reason):
                return Shown("not computable", "", self._note(reason))
            case Estimate() | Counted():
                estimate = value.estimate if isinstance(value, Counted) else value
                note, span = 0, f"({span_text(estimate, digits)})"
                if isinstance(estimate.interval, NotComputable):
                    note, span = self._note(estimate.interval.reason), "(no interval)"
                return Shown(value_text(value, digits), repr(estimate.value), note, True, span)
            case Significance():
                return Shown(p_text(value.p_value), repr(value.p_value), 0, True)
            case bool():
                return Shown("yes" if value else "no", "yes" if value else "no")
            case int():
                return Shown(f"{value:,}", repr(value), 0, True)
            case float():
                return Shown(decimal(value, digits), repr(value), 0, True)
        text = str(value) if self.keyed and column == 0 else in_words(str(value))
        return Shown(text, text.casefold())

    def to_csv(self) -> str:
        """Return the table as CSV, numbers in full; an estimate takes three columns, a missing value its reason.

        Texts that a spreadsheet may take for a formula stand behind an apostrophe; numbers and keys do not.
        """
        spread = [any(isinstance(row[k], Estimate | Counted) for row in self.rows) for k in range(len(self.header))]
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            name
            for heading, wide in zip(self.header, spread, strict=True)
            for name in ((heading, f"{heading}, low", f"{heading}, high") if wide else (heading,))
        )
        for row in self.rows:
            writer.writerow(
                text
                for column, (value, wide) in enumerate(zip(row, spread, strict=True))
                for text in _flat(value if self.keyed and column == 0 else _harmless(value), wide)
            )
        return file.getvalue()


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table whose rows are one kind of value.

    Attributes:
        value: what stands there of a row.
        digits: decimals of its numbers, of estimates at most.
    """

    heading: str
    value: Callable[[T], Cell]
    digits: int = 3


def tabulate(
    name: str, title: str, columns: Sequence[Column[T]], rows: Iterable[T], *, place: str, notes: tuple[str, ...] = ()
) -> ReportTable:
    """Return a table of values, one a row."""
    return ReportTable(
        name,
        title,
        tuple(column.heading for column in columns),
        tuple(tuple(column.value(row) for column in columns) for row in rows),
        digits=tuple(column.digits for column in columns),
        notes=notes,
        place=place,
    )


def part_of(found: Maybe[T], value: Callable[[T], Cell]) -> Cell:
    """Return a value of what was found, or why nothing was."""
    return found if isinstance(found, NotComputable) else value(found)


def _harmless(value: Cell) -> Cell:
    return for_spreadsheet(value) if isinstance(value, str) else value


def _flat(value: Cell, wide: bool) -> Iterable[str]:
    if isinstance(value, Counted):
        value = value.estimate
    match value:
        case Estimate(value=number, interval=Interval(low=low, high=high)):
            return repr(number), repr(low), repr(high)
        case Estimate(value=number, interval=NotComputable(reason=reason)):
            return repr(number), f"not computable: {reason}", ""
        case NotComputable(reason=reason):
            text = f"not computable: {reason}"
        case Significance():
            text = repr(value.p_value)
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case int() | float():
            text = repr(value)
        case str():
            text = value.replace("\u00a0", " ")
    return (text, "", "") if wide else (text,)


def p_text(p_value: float) -> str:
    """Return a P value: three decimals, or "< 0.001"."""
    return "<\u00a00.001" if p_value < 0.001 else f"{p_value:.3f}"


def percent(share: float) -> str:
    """Return a share as per cent."""
    return f"{100 * share:.0f}\u00a0%"


def counted(pairs: Sequence[tuple[str, int]]) -> str:
    """Return reasons with their counts, e.g. "no outline (2), unreadable (1)"."""
    return ", ".join(f"{name} ({count})" for name, count in pairs)
