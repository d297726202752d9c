"""Where the studies of a batch lie while they are worked on: a private folder, one watch at a time, emptied after every batch.

    SPOOL/files/STUDY/SERIES/INSTANCE.dcm   as `pull` lays them, of this batch alone
    SPOOL/manifest.csv                      as `index` writes it

What a watch that was killed has left there is taken up by the next one: instances that are whole are not fetched again.
"""

import csv
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.manifest import key_of
from cvtbatch.pipelines.indexing.header_cache import cache_file
from cvtbatch.pipelines.indexing.index import IndexOptions, index, prepare
from cvtbatch.pipelines.indexing.left_out import LeftOut
from cvtbatch.pipelines.indexing.manifest_file import read_manifest_file
from cvtbatch.pipelines.serving.arrivals import Arrival
from cvtbatch.pipelines.shared.pulled_files import PulledFiles, opened_folder, study_folder
from cvtbatch.plain_text import FOR_PEOPLE


@dataclass(frozen=True, slots=True)
class Indexed:
    """What `index` made of a batch.

    Attributes:
        cases: case_keys of each study, by its key.
        left_out: why a study has none, by its key.
    """

    cases: dict[str, tuple[str, ...]]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder."""

    folder: Path
    files: PulledFiles

    @property
    def manifest(self) -> Path:
        """The manifest of the batch."""
        return self.folder / "manifest.csv"

    def has(self, arrival: Arrival) -> bool:
        """Say whether anything of a study is there."""
        return (self.files.out / study_folder(arrival.study_uid)).exists()

    def keep(self, batch: Sequence[Arrival]) -> None:
        """Take away what is not of some studies."""
        names = {study_folder(arrival.study_uid).name for arrival in batch}
        for path in self.files.out.iterdir():
            if path.name not in names:
                shutil.rmtree(path)
        for path in (self.manifest, LeftOut.path(self.manifest), cache_file(self.files.out)):
            path.unlink(missing_ok=True)

    def index(self, batch: Sequence[Arrival], options: IndexOptions, cluster: Cluster) -> Indexed:
        """Make a manifest of studies that are there.

        Raises:
            InputError: pseudonyms cannot be given, or the manifest cannot be written.
        """
        of_folder = {study_folder(arrival.study_uid).name: arrival.key for arrival in batch}
        cases: dict[str, tuple[str, ...]] = {}
        left_out: dict[str, str] = {}
        try:
            index(prepare(self.files.out, self.manifest, options), cluster, lambda *_: None)
        except InputError as error:
            if error.kind != "no_studies":
                raise
        else:
            for row in read_manifest_file(self.manifest).rows:
                key = of_folder[self._study(row.cells["image"])]
                case_key = key_of(row.cells["center"], row.cells["case_id"])
                cases[key] = tuple(dict.fromkeys((*cases.get(key, ()), case_key)))
            for folder, state in self._left_out():
                left_out.setdefault(of_folder[self._study(folder)], state)
        return Indexed(
            cases, {key: left_out.get(key, "no_ct_series") for key in of_folder.values() if key not in cases}
        )

    def _study(self, cell: str) -> str:
        """Return the name of a study's folder, of a path as seen from the manifest."""
        return PurePath(cell).relative_to(self.files.out.name).parts[0]

    def _left_out(self) -> Iterator[tuple[str, str]]:
        path = LeftOut.path(self.manifest)
        if path.exists():
            with path.open(encoding=FOR_PEOPLE, newline="") as file:
                for row in csv.DictReader(file):
                    yield row["folder"], row["x_state"]


@contextmanager
def open_spool(folder: Path) -> Iterator[Spool]:
    """Make the folder, and keep other watches on this machine out of it while the block lasts.

    Raises:
        InputError: "cannot_write"; "folder_in_use".
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError("cannot_write", f"--spool cannot be made: {why(error)}", str(folder)) from None
    # Paths of the manifest are relative to where it truly lies.
    folder = folder.resolve()
    with opened_folder(folder / "files") as files:
        yield Spool(folder, files)
