"""What was read of an archive's headers, kept from run to run: a file of the user's own, outside archive, manifest and store.

It holds patient ids and UIDs as the files have them (mode 0600). A file is known by its name, size and time; a folder whose files
are all as they were is not looked into. What cannot be used any more is made anew: the archive is what counts.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.ingest.fingerprint import READING_REVISION
from cvtbatch.pipelines.indexing.folder_walk import Folder
from cvtbatch.pipelines.shared.run_log import log_folder

# Raised when headers are kept otherwise than before.
_REVISION = 4
_VERSION = READING_REVISION * 1000 + _REVISION
_TABLES = """
CREATE TABLE IF NOT EXISTS folders (
    id INTEGER PRIMARY KEY, path BLOB UNIQUE, archive INTEGER, digest BLOB, notes TEXT, run INTEGER);
CREATE TABLE IF NOT EXISTS parts (
    folder INTEGER, patient TEXT, study TEXT, files INTEGER, refused TEXT, series TEXT, outlines INTEGER, packed BLOB);
CREATE INDEX IF NOT EXISTS parts_of_folder ON parts (folder);
CREATE TABLE IF NOT EXISTS written (
    manifest BLOB, center TEXT, case_id TEXT, digest TEXT, PRIMARY KEY (manifest, center, case_id));
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one folder that are of one study, as packed headers; or those that are of none.

    Attributes:
        patient_id, study_uid: as the files have them; both None where the files are no readable DICOM.
        files: how many.
        refused: how many cannot be read, by kind.
        series: how many CT slices of each SeriesInstanceUID.
        outlines: how many are segmentations or structure sets.
    """

    patient_id: str | None
    study_uid: str | None
    files: int
    refused: dict[str, int]
    series: dict[str, int]
    outlines: int
    packed: bytes = field(repr=False)


def cache_file(root: Path) -> Path:
    """Return where the headers of an archive are kept.

    Raises:
        InputError: "no_home".
    """
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return log_folder() / "index" / f"{name}.sqlite"


class HeaderCache:
    """The kept headers of one archive, for one run at a time; used as a context, at the end of which all is written.

    Raises:
        InputError: it cannot be kept, or another run has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = self._opened() or self._anew()
        except sqlite3.OperationalError as error:
            raise _no_cache(f"{path}: {error}") from None
        except OSError as error:
            raise _no_cache(str(error)) from None
        [[last]] = self._database.execute("SELECT coalesce(max(run), 0) FROM folders")
        self.run = int(last) + 1
        self._database.execute("BEGIN IMMEDIATE")

    def __enter__(self) -> "HeaderCache":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.commit()
        self._database.close()

    def _opened(self) -> sqlite3.Connection | None:
        """Return the database, without the headers of another version; None where it is damaged."""
        database = sqlite3.connect(self._path, timeout=1.0, isolation_level=None)
        try:
            [[version]] = database.execute("PRAGMA user_version")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            if version not in {0, _VERSION}:
                # What was written into manifests stays known: else rows that a person deleted would come back.
                database.executescript("DROP TABLE IF EXISTS folders; DROP TABLE IF EXISTS parts;")
            database.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        except sqlite3.OperationalError:
            database.close()
            raise
        except sqlite3.DatabaseError:
            database.close()
            return None
        return database

    def _anew(self) -> sqlite3.Connection:
        self._path.unlink()
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        database = self._opened()
        assert database is not None, "a new file has no version"
        return database

    def keep(self) -> None:
        """Write to the disk what was added, so that a run that is killed loses nothing."""
        try:
            self._database.execute("COMMIT")
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise ResourceError(
                "no_scratch", "the file of what was read takes no more: make room there", str(error)
            ) from None

    def enter(self, folder: Folder) -> tuple[int, bool]:
        """Say that a folder is there in this run; return its number, and whether all its files are as they were."""
        path, notes = os.fsencode(folder.path), json.dumps([folder.notes, folder.unavailable])
        row = self._database.execute("SELECT id, digest FROM folders WHERE path = ?", (path,)).fetchone()
        if row is None:
            cursor = self._database.execute(
                "INSERT INTO folders (path, archive, notes, run) VALUES (?, ?, ?, ?)",
                (path, folder.is_archive, notes, self.run),
            )
            return int(cursor.lastrowid or 0), False
        number, digest = row
        same = digest == _digest(folder)
        self._database.execute(
            "UPDATE folders SET notes = ?, run = ?, digest = ? WHERE id = ?",
            (notes, self.run, digest if same else None, number),
        )
        return int(number), same

    def take_out(self, number: int) -> list[bytes]:
        """Return the packed files of a folder, and forget them."""
        packed = [row[0] for row in self._database.execute("SELECT packed FROM parts WHERE folder = ?", (number,))]
        self._database.execute("DELETE FROM parts WHERE folder = ?", (number,))
        return packed

    def add(self, number: int, parts: Sequence[Part]) -> None:
        """Keep files of a folder."""
        self._database.executemany(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    number,
                    part.patient_id,
                    part.study_uid,
                    part.files,
                    json.dumps(part.refused),
                    json.dumps(part.series),
                    part.outlines,
                    part.packed,
                )
                for part in parts
            ],
        )

    def complete(self, number: int, folder: Folder) -> None:
        """Say that all files of a folder are kept, as they are now."""
        self._database.execute("UPDATE folders SET digest = ? WHERE id = ?", (_digest(folder), number))

    def folders(self) -> Iterator[tuple[int, str, bool]]:
        """Yield number and path of every folder that is there, and whether it is a packed archive."""
        for number, path, archive in self._database.execute(
            "SELECT id, path, archive FROM folders WHERE run = ? ORDER BY path", (self.run,)
        ):
            yield number, os.fsdecode(path), bool(archive)

    def parts(self) -> Iterator[tuple[int, int, Part]]:
        """Yield the number of a folder that is there, that of a part of it, and the part without its headers."""
        query = (
            "SELECT folder, parts.rowid, patient, study, files, refused, series, outlines FROM parts "
            "JOIN folders ON folders.id = folder WHERE run = ? ORDER BY path, parts.rowid"
        )
        for folder, part, patient, study, files, refused, series, outlines in self._database.execute(
            query, (self.run,)
        ):
            yield folder, part, Part(patient, study, files, json.loads(refused), json.loads(series), outlines, b"")

    def packed(self, part: int) -> bytes:
        """Return the packed headers of a part."""
        return bytes(self._database.execute("SELECT packed FROM parts WHERE rowid = ?", (part,)).fetchone()[0])

    def notes_of(self, number: int) -> tuple[list[tuple[str, str]], list[str]]:
        """Return what was passed over unopened in a folder, and what cannot be given now."""
        [text] = self._database.execute("SELECT notes FROM folders WHERE id = ?", (number,)).fetchone()
        notes, unavailable = json.loads(text)
        return [(reason, name) for reason, name in notes], unavailable

    def written(self, manifest: Path) -> dict[tuple[str, str], str]:
        """Return the cases that were written to a manifest, by centre and case id, and the digest of each one's files."""
        rows = self._database.execute(
            "SELECT center, case_id, digest FROM written WHERE manifest = ?", (os.fsencode(manifest),)
        )
        return {(center, case_id): digest for center, case_id, digest in rows}

    def remember(self, manifest: Path, cases: dict[tuple[str, str], str]) -> None:
        """Keep which cases a manifest was given, in place of what was kept of it."""
        name = os.fsencode(manifest)
        self._database.execute("DELETE FROM written WHERE manifest = ?", (name,))
        self._database.executemany(
            "INSERT INTO written VALUES (?, ?, ?, ?)", [(name, *case, digest) for case, digest in cases.items()]
        )


def _digest(folder: Folder) -> bytes:
    hasher = hashlib.sha256()
    for file in sorted(folder.files, key=lambda file: file.name):
        hasher.update(b"%d %d %s\0" % (file.size, file.mtime_ns, os.fsencode(file.name)))
    return hasher.digest()[:16]


def _no_cache(why: str) -> InputError:
    return InputError(
        "no_header_cache",
        "what is read of the headers cannot be kept: another `cvtbatch index` of this folder is at work, or the folder of your own "
        "state (XDG_STATE_HOME, ~/.local/state) cannot be written",
        why,
    )
