"""An empty manifest: its columns, and what each may hold, as the contract has it."""

import csv
from dataclasses import dataclass
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why


@dataclass(frozen=True, slots=True)
class ManifestColumn:
    """A column in words.

    Attributes:
        holds: what a cell may be; empty for any text.
        default: what an empty cell stands for, if anything.
    """

    name: str
    meaning: str
    required: bool
    holds: str
    default: str | int | None

    def to_document(self) -> dict[str, str | int | bool | None]:
        return {
            "name": self.name,
            "meaning": self.meaning,
            "required": self.required,
            "holds": self.holds,
            "default": self.default,
        }


def manifest_columns() -> tuple[ManifestColumn, ...]:
    """Return the manifest's columns in the contract's order."""
    return tuple(
        ManifestColumn(field.name, field.description, field.required, _holds(field), field.default)
        for field in contracts.manifest_fields().values()
    )


def write_template(path: Path) -> None:
    """Write a manifest without rows.

    Raises:
        InputError: "cannot_write", there is a file of that name, or no place for it.
    """
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(contracts.manifest_fields())
    except FileExistsError:
        raise InputError(
            "cannot_write", "there is something of that name already: give --out another one, or remove it", str(path)
        ) from None
    except OSError as error:
        raise InputError("cannot_write", f"the manifest cannot be written there: {why(error)}", str(path)) from None


def _holds(field: contracts.Field) -> str:
    if field.enum:
        return ", ".join(field.enum)
    if field.type == "string":
        return ""
    if (field.minimum, field.maximum) == (0, 1):
        return "0 or 1"
    what = "a whole number" if field.type == "integer" else "a number"
    return f"{what} from {field.minimum or 0:.12g} to {field.maximum:.12g}"
