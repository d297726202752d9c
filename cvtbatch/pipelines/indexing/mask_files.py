"""Which of a tree's mask files belong to an image, by names and folders alone.

In the order of trust: inside the image's folder; the same subject and session by BIDS; the same name but for words that every
image or mask has; the beginning of the mask's name, where no other image of the folder shares more of it; a name that says nothing,
beside the one image of a folder. A number more in a mask's name may be another scan's, a word more another tissue's: doubts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.ingest.image_files import image_format
from cvtbatch.ingest.image_headers import read_image_header
from cvtbatch.pipelines.indexing.file_names import (
    MASK_FOLDERS,
    PLAIN_WORDS,
    BidsName,
    bids_name,
    core_of,
    is_mask_path,
    is_no_ct,
    is_numbered_mask,
    is_other_organ,
    says_image,
    stem_of,
    without_variant,
)

SCENE = ".mrb"
SHARED = "its name fits several images: give it the name of one, or fill in the row by hand"
NUMBERED = "its name has a number that the image's has not: is it of another scan? --mask-pattern says which to take"
STRANGE = "its name says {}: is it the hematoma? --mask-pattern says which to take"
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class OwnMask:
    """A mask of an image, and why that may be wrong; empty where nothing speaks against it."""

    path: Path
    doubt: str = ""


class MaskFiles:
    """The masks and images of a tree, by folder; looked up in a time that does not grow with the tree.

    Args:
        files: below `root`; those that are neither image files nor scenes of 3D Slicer are passed over.
        areas: folders below `root` that hold DICOM files of one study alone.
    """

    def __init__(self, files: Iterable[Path], root: Path, areas: Iterable[str] = ()) -> None:
        self._areas = {root / area for area in areas}
        self._masks: dict[Path, list[Path]] = defaultdict(list)
        self._images: dict[Path, set[Path]] = defaultdict(set)
        self._below: dict[Path, list[Path]] = defaultdict(list)
        self._bids: dict[tuple[str, str], list[tuple[Path, BidsName]]] = defaultdict(list)
        self._bids_images: dict[tuple[str, str], set[BidsName]] = defaultdict(set)
        for path in sorted(files):
            scene = path.suffix.lower() == SCENE
            if not scene and image_format(path) is None:
                continue
            name = bids_name(path.name)
            if not scene and not _is_mask(path, root):
                self._images[path.parent].add(path)
                if name and not is_no_ct(path.name):
                    self._bids_images[name.subject, name.session].add(name)
            elif not is_other_organ(path.name):
                self._masks[path.parent].append(path)
                for folder in path.parents[: len(path.relative_to(root).parts)]:
                    self._below[folder].append(path)
                if name:
                    self._bids[name.subject, name.session].append((path, name))
        self._owned = cache(self._owned_in)

    def of(self, image: Path) -> tuple[OwnMask, ...]:
        """Return the masks that belong to an image.

        Args:
            image: a file, or a folder of DICOM files.
        """
        if image not in self._images.get(image.parent, ()) and image.is_dir():
            return tuple(self._of_folder(image))
        if (name := bids_name(image.name)) is not None:
            key = (name.subject, name.session)
            images = self._bids_images.get(key, set()) | {name}
            return tuple(
                OwnMask(mask, SHARED if sum(map(derived.is_of, images)) > 1 else "")
                for mask, derived in self._bids.get(key, ())
                if derived.is_of(name)
            )
        return tuple(self._owned(image.parent).get(without_variant(image.name), ()))

    def of_study(self, image: Path) -> Sequence[OwnMask]:
        """Return the masks in the folder of a study of DICOM files, whichever of its series they are of."""
        area = next((folder for folder in image.parents if folder in self._areas), None)
        masks = self._below.get(area, ()) if area and image not in self._images.get(image.parent, ()) else ()
        return [OwnMask(mask, _doubt(mask, 0, _words_of_folders(mask))) for mask in masks]

    def _of_folder(self, image: Path) -> Iterator[OwnMask]:
        if inside := self._below.get(image):
            yield from map(OwnMask, inside)
            return
        core, siblings = core_of(image.name), _folders_in(image.parent)
        masks = [mask for folder in _with_mask_folders(image.parent) for mask in self._masks.get(folder, ())]
        if same := [mask for mask in masks if core_of(mask.name) == core]:
            shared = sum(core_of(sibling) == core for sibling in siblings) > 1
            yield from (OwnMask(mask, SHARED if shared else "") for mask in same)
        elif len(siblings) == 1:
            yield from (OwnMask(mask, _doubt(mask, 0)) for mask in masks if not core or not core_of(mask.name))

    def _owned_in(self, folder: Path) -> dict[str, list[OwnMask]]:
        """Return the masks of a folder's images by the images' names."""
        stems = sorted({without_variant(image.name) for image in self._images.get(folder, ())})
        by_core: dict[str, list[str]] = defaultdict(list)
        for stem in stems:
            by_core[core_of(stem)].append(stem)
        owned: dict[str, list[OwnMask]] = defaultdict(list)
        beside = [mask for near in _with_mask_folders(folder) for mask in self._masks.get(near, ())]
        apart = [mask for near in _mask_folders(folder.parent) for mask in self._masks.get(near, ())]
        for mask, is_beside in {**dict.fromkeys(apart, False), **dict.fromkeys(beside, True)}.items():
            owners, doubt = _owners(mask, by_core)
            if not owners and is_beside and len(stems) == 1 and ("" in by_core or not core_of(mask.name)):
                owners, doubt = stems, _doubt(mask, 0)
            for stem in owners:
                owned[stem].append(OwnMask(mask, SHARED if len(owners) > 1 else doubt))
        return owned


def _is_mask(path: Path, root: Path) -> bool:
    if is_mask_path(path.relative_to(root)):
        return True
    try:
        return not says_image(path.name) and read_image_header(path).is_label_map
    except (InputError, UnavailableError):
        return False


def _owners(mask: Path, by_core: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], str]:
    """Return the names of the images that a mask's name says, most often one, and what speaks against it."""
    words = core_of(mask.name).split()
    for count in range(len(words), 0 if words else -1, -1):
        if owners := by_core.get(" ".join(words[:count])):
            named = [stem for stem in owners if stem.casefold() in stem_of(mask.name).casefold()]
            longest = max(map(len, named), default=0)
            return [stem for stem in named if len(stem) == longest] or owners, _doubt(mask, count)
    return (), ""


def _words_of_folders(mask: Path) -> frozenset[str]:
    """Return what the folders are called in which a mask lies."""
    return frozenset(word for name in mask.parts[:-1] for word in core_of(name).split())


def _doubt(mask: Path, said: int, known: frozenset[str] = frozenset()) -> str:
    """Return what speaks against an image that says so many words of its mask's name, and is the only one where it says none.

    Args:
        known: words that say nothing against it.
    """
    if not said and is_numbered_mask(mask.name):
        return ""
    strange = [word for word in core_of(mask.name).split()[said:] if word not in PLAIN_WORDS | known]
    if any(word.isdigit() for word in strange):
        return NUMBERED
    return STRANGE.format(", ".join(map(repr, strange))) if strange else ""


def _mask_folders(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _folders_in(folder) if name.casefold() in MASK_FOLDERS)


def _with_mask_folders(folder: Path) -> Iterator[Path]:
    yield folder
    yield from _mask_folders(folder)


@lru_cache(maxsize=_REMEMBERED)
def _folders_in(folder: Path) -> Sequence[str]:
    try:
        return [path.name for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
