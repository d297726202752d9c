"""The studies of an archive, of what was read of its headers: which files are whose, as tasks to choose in."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from cvtbatch.ingest.scanned_files import unpack
from cvtbatch.pipelines.indexing.folder_tree import FolderTree, PackedFiles
from cvtbatch.pipelines.indexing.header_cache import HeaderCache
from cvtbatch.pipelines.indexing.left_out import UnreadFile
from cvtbatch.pipelines.indexing.scan import refusal_of
from cvtbatch.pipelines.indexing.study_choice import ChoiceOptions, StudyTask, common_folder
from cvtbatch.pipelines.indexing.study_key import StudyKey, StudyRule

# How many folders above its own are a study's, where no other study lies below them.
_UPWARD = 3


class Studies:
    """The studies that hold readable DICOM objects besides outlines.

    Attributes:
        tree: the folders.
        refused: files that cannot be read, by kind.
        areas: folders that belong to one study alone, filled as its task is made.
        outlines: parts that hold segmentations or structure sets.
    """

    def __init__(self, root: Path, cache: HeaderCache, rule: StudyRule) -> None:
        self._root = root
        self.refused: Counter[str] = Counter()
        self.areas: set[str] = set()
        self.outlines: list[tuple[int, int]] = []
        self._refused_parts: list[tuple[int, int]] = []
        self._rest: dict[int, list[int]] = {}
        series: dict[int, Counter[str]] = {}
        self._parts: dict[StudyKey, list[tuple[int, int]]] = {}
        self._owners: dict[int, set[StudyKey]] = {}
        self.tree = FolderTree(root, cache, self._rest, series)
        for folder, part, found in cache.parts():
            self.refused.update(found.refused)
            if found.refused:
                self._refused_parts.append((folder, part))
            if found.patient_id is None or found.study_uid is None:
                self._rest.setdefault(folder, []).append(part)
                continue
            series.setdefault(folder, Counter()).update(found.series)
            if found.outlines:
                self.outlines.append((folder, part))
            if found.outlines == found.files:
                continue
            key = rule.key(self.tree.path(folder), found.patient_id, found.study_uid, bool(found.series))
            if key is not None:
                self._parts.setdefault(key, []).append((folder, part))
                self._owners.setdefault(folder, set()).add(key)

    def __len__(self) -> int:
        return len(self._parts)

    def tasks(self, options: ChoiceOptions) -> Iterator[StudyTask]:
        """Yield every study, in order."""
        for key in sorted(self._parts):
            parts = self._parts[key]
            areas = sorted(self._areas(key, [folder for folder, _ in parts]))
            self.areas.update(areas)
            numbers = dict.fromkeys(chain.from_iterable(self.tree.below(area) for area in areas))
            yield StudyTask(
                str(self._root),
                key,
                tuple(chain.from_iterable(self.tree.packed(folder, [part]) for folder, part in parts)),
                tuple(areas),
                tuple(self.tree.facts(number) for number in numbers),
                options,
            )

    def packed_outlines(self) -> Iterator[PackedFiles]:
        """Yield the parts that hold segmentations or structure sets."""
        for folder, part in self.outlines:
            yield from self.tree.packed(folder, [part])

    def refused_files(self) -> Iterator[UnreadFile]:
        """Yield the files that cannot be read, by folder."""
        for folder, part in self._refused_parts:
            for packed in self.tree.packed(folder, [part]):
                for file in unpack(packed.packed, packed.prefix):
                    if (error := refusal_of(file.listed)) is not None:
                        yield UnreadFile(self._below_root(packed.folder, file.listed.name), error.kind, error.message)

    def other_files(self) -> Iterator[tuple[Path, bool]]:
        """Yield the files that are no DICOM, and whether each lies in a folder of a study that `tasks` has yielded."""
        for folder, parts in self._rest.items():
            if self.tree.is_archive(folder):
                continue
            covered = self._covers(self.tree.path(folder))
            for part in self.tree.packed(folder, parts):
                for file in unpack(part.packed, part.prefix):
                    if file.listed.content is not None:
                        yield Path(file.listed.name), covered

    def _below_root(self, folder: str, name: str) -> str:
        """Return a file's path; a member of a packed archive, which is no folder, is called by its number and name there."""
        return name if Path(name).is_absolute() else f"{folder}/{name.partition(':')[2]}"

    def _covers(self, folder: str) -> bool:
        while folder and folder not in self.areas:
            folder = folder.rpartition("/")[0]
        return folder in self.areas

    def _areas(self, key: StudyKey, folders: list[int]) -> set[str]:
        """Return the folder that holds all of a study and nothing of another, or else each of its folders."""
        paths = {self.tree.path(folder) for folder in folders}
        if any(self.tree.is_archive(folder) for folder in folders):
            return paths
        area = common_folder(sorted(paths))
        if not self._is_own(key, area):
            return paths
        for _ in range(_UPWARD if area else 0):
            above = area.rpartition("/")[0]
            if not self._is_own(key, above):
                break
            area = above
        return {area}

    def _is_own(self, key: StudyKey, area: str) -> bool:
        return all(self._owners.get(number, {key}) == {key} for number in self.tree.below(area))
