"""Segmentations and structure sets of an archive, by the series that they were drawn on."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cvtbatch.dicom_results.values import PRODUCER
from cvtbatch.ingest.dicom_outlines import NamedOutline
from cvtbatch.ingest.scanned_files import unpack
from cvtbatch.pipelines.indexing.folder_tree import PackedFiles


@dataclass(frozen=True, slots=True)
class DicomOutline:
    """A segmentation or structure set, and its path."""

    path: str
    named: NamedOutline


def outlines_by_series(parts: Iterable[PackedFiles]) -> Mapping[str, Sequence[DicomOutline]]:
    """Return the outlines that name one series, by it: one that names several does not say on which it was drawn.

    Members of packed archives are left out: no column can name them. So are segmentations that `results` made: they are what became
    of an outline, and would stand beside it, or for a person's where a method found it.
    """
    found: dict[str, list[DicomOutline]] = defaultdict(list)
    for part in parts:
        for file in unpack(part.packed, part.prefix) if part.prefix else ():
            outline = file.outline
            if outline is not None and len(outline.series) == 1 and outline.producer != PRODUCER:
                found[outline.series[0]].append(DicomOutline(file.listed.name, outline))
    return found


def segments_of(outline: NamedOutline, wanted: str | None) -> tuple[str, ...]:
    """Return the names by which a segment of an outline can be taken: the wanted one, or the only one.

    Capitals count only where two names differ in nothing else.
    """
    if wanted is None:
        return outline.segments if len(outline.segments) == 1 else ()
    exact = [name for name in outline.segments if name == wanted]
    return tuple(exact or [name for name in outline.segments if name.casefold() == wanted.casefold()])
