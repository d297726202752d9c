"""What options and arguments take; a refusal says what was typed, and what would do."""

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from cvtbatch.nearest import did_you_mean, enumerated


class Word(click.Choice[str]):
    """One of some words.

    Args:
        prefix: a word that begins so is taken too; empty for none.
    """

    def __init__(self, choices: Sequence[str], prefix: str = "") -> None:
        super().__init__(choices)
        self.prefix = prefix

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices and not (self.prefix and value.startswith(self.prefix)):
            known = [*self.choices, *([f"{self.prefix}NAME"] if self.prefix else [])]
            self.fail(f"{value!r}; {did_you_mean(value, self.choices)}it is one of {enumerated(known)}", param, ctx)
        return value


class TableName(click.ParamType[str]):
    """A table of a store, `wide` or `pairs`. Their names are read when one is given: no other command waits for the contracts."""

    name = "table"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return self._words().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return self._words().shell_complete(ctx, param, incomplete)

    @staticmethod
    def _words() -> Word:
        from cvtbatch import contracts

        return Word([*contracts.table_names(), "wide", "pairs"], prefix="features_")


class WholeNumber(click.IntRange):
    """A whole number within limits.

    Args:
        hint: what else a user should know who has typed another thing.
    """

    def __init__(self, least: int, most: int | None = None, hint: str = "") -> None:
        super().__init__(least, most)
        self.hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            wanted = f"{value!r} is not a whole number{_span(self.min, self.max)}"
            self.fail(f"{wanted}: {self.hint}" if self.hint else wanted, param, ctx)


class Number(click.FloatRange):
    """A number within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(super().convert(value, param, ctx))
        except click.BadParameter:
            span = f" above {self.min:g}" if self.min_open else _span(self.min, self.max)
            self.fail(f"{value!r} is not a number{span}", param, ctx)


def _span(least: float | None, most: float | None) -> str:
    return f" from {least:g} on" if most is None else f" from {least:g} to {most:g}"
