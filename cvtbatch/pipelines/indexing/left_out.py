"""Studies that get no row in the manifest, files that cannot be read, and why: a CSV file beside it, where there are any."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pipelines.indexing.study_choice import StudyChoice
from cvtbatch.plain_text import FOR_PEOPLE, for_spreadsheet
from cvtbatch.whole_files import written_whole

_COLUMNS = ("center", "case_id", "folder", "x_state", "x_reason", "x_candidates")


class Naming(Protocol):
    """Names studies by their pseudonyms."""

    def case(self, choice: StudyChoice) -> tuple[str, str]: ...

    def place(self, below_root: str) -> str: ...


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that cannot be read, and why.

    Attributes:
        path: absolute, or below the root.
    """

    path: str
    kind: str
    message: str


class LeftOut:
    """Studies with the state and the reason for which they were left out, and the files that cannot be read."""

    def __init__(self) -> None:
        self._found: list[tuple[StudyChoice, str, str]] = []
        self.files: tuple[UnreadFile, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._found or self.files)

    def extend(self, choices: Sequence[StudyChoice], state: str, reason: str) -> None:
        self._found += [(choice, state, reason) for choice in choices]

    def choices(self) -> Iterator[StudyChoice]:
        return (choice for choice, _, _ in self._found)

    def counts(self) -> dict[str, int]:
        """Return how many there are by state, the most first."""
        return dict(Counter(state for _, state, _ in self._found).most_common())

    @staticmethod
    def path(manifest: Path) -> Path:
        """Return where the file lies beside a manifest."""
        return manifest.with_name(f"{manifest.stem}.left-out.csv")

    def write(self, manifest: Path, naming: Naming) -> None:
        """Write the file; where nothing was left out, take away that of an earlier run.

        Raises:
            InputError: "cannot_write".
        """
        path = self.path(manifest)
        try:
            if not self:
                path.unlink(missing_ok=True)
                return
            with written_whole(path) as aside, aside.open("w", encoding=FOR_PEOPLE, newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(_COLUMNS)
                for choice, state, reason in sorted(self._found, key=lambda found: (found[1], found[0].place)):
                    place = for_spreadsheet(naming.place(choice.place))
                    writer.writerow([*naming.case(choice), place, state, reason, choice.candidates])
                for unread in self.files:
                    place = for_spreadsheet(naming.place(unread.path))
                    writer.writerow(["", "", place, unread.kind, unread.message, ""])
        except OSError as error:
            raise InputError(
                "cannot_write", f"{path.name} beside --out cannot be written: {why(error)}", str(path)
            ) from None
