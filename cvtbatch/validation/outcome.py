"""The outcome that a model tells, yes or no or one of several classes, and its words."""

from dataclasses import dataclass

EXPANSION = "expansion"
ETIOLOGY = "etiology"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome.

    Attributes:
        column: "cvt", "expansion", "etiology", or an x_ column of the manifest.
        classes: what a bundle calls those without and with the event; or the names of more than two classes.
    """

    column: str = "cvt"
    classes: tuple[str, ...] = ("other", "cvt")

    @property
    def is_cvt(self) -> bool:
        """Whether it is the study's."""
        return self.column == "cvt"

    @property
    def is_several(self) -> bool:
        """Whether it is one of several classes, of which none is the event."""
        return len(self.classes) > 2

    @property
    def event(self) -> str:
        """What cases with the event have."""
        return "CVT" if self.is_cvt else self.classes[1]

    @property
    def others(self) -> str:
        """What cases without the event have."""
        return "other causes" if self.is_cvt else self.classes[0]

    @property
    def other(self) -> str:
        """What one case without the event has."""
        return "another cause" if self.is_cvt else self.classes[0]


CVT = Outcome()


def outcome_of(column: str, classes: tuple[str, ...] = ()) -> Outcome:
    """Return the outcome that is told by a column, yes or no, or one of several classes."""
    if classes:
        return Outcome(column, classes)
    return CVT if column == CVT.column else Outcome(column, (f"no {column}", column))
