"""`cvtbatch results`: what a store holds of outlines as DICOM Segmentations and Structured Reports, case by case.

Who a patient is stands in the source's headers alone: they are read when a case's results are written, and go nowhere else.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvtbatch.dicom_results.source_headers import KEPT, cut_headers
from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.errors import CvtbatchError, FormatError, InputError, UnavailableError
from cvtbatch.extras import require
from cvtbatch.imaging.placement import mask_volume_ml
from cvtbatch.ingest.instance_headers import read_instance_headers
from cvtbatch.ingest.written_grids import lay_on_slices
from cvtbatch.manifest import Case, Manifest, read_manifest, require_centers
from cvtbatch.nearest import did_you_mean
from cvtbatch.pipelines.results.outline_results import to_outline, to_results
from cvtbatch.pipelines.results.result_files import OutlineObjects, State, folder_of, make_files, write_files
from cvtbatch.pipelines.results.stored_results import StoredResults, read_stored_results
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.pipelines.stores.source_outlines import Row, read_outlines, read_stored_image, stored_mask
from cvtbatch.store import FeatureStore, StoredArray, View

DICOM = "DICOM"


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom results are asked for: all, where nothing is named.

    Attributes:
        keys: case_keys and roi_keys.
        reader: whose outlines.
    """

    keys: frozenset[str]
    centers: tuple[str, ...]
    reader: str | None

    def takes(self, case: Case) -> bool:
        """Say whether results of a case are asked for."""
        if self.centers and case.center not in self.centers:
            return False
        return not self.keys or any(key == case.case_key or key.startswith(f"{case.case_key}/") for key in self.keys)

    def takes_outline(self, row: Row) -> bool:
        """Say whether an outline of such a case is asked for."""
        named = not self.keys or not self.keys.isdisjoint({row["case_key"], row["roi_key"]})
        return named and self.reader in {None, row["reader"]}


@dataclass(frozen=True, slots=True)
class Refused:
    """A case of which nothing was written."""

    case_key: str
    manifest_row: int
    kind: str
    message: str


@dataclass(slots=True)
class ResultsReport:
    """What was written, for people and as the JSON document of `cvtbatch results --json`.

    Attributes:
        outlines: by what became of them: written, replaced (another one was there), there (nothing to do).
        folders: of the outlines, below `out`.
        unscored: roi_keys that the bundle has no current score of; none without a bundle.
        not_dicom: cases whose image is no DICOM series.
        not_stored: cases of the manifest that are asked for and have no such outline in the store.
        failed: the others go on.
    """

    out: str
    bundle_digest: str | None
    cases: int = 0
    outlines: Counter[str] = field(default_factory=lambda: Counter(written=0, replaced=0, there=0))
    folders: list[str] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)
    not_dicom: list[str] = field(default_factory=list)
    not_stored: list[str] = field(default_factory=list)
    failed: list[Refused] = field(default_factory=list)

    def add(self, rows: Sequence[Row], states: Sequence[State], stored: StoredResults) -> None:
        """Add what became of a case's outlines."""
        self.outlines.update(states)
        self.folders += [str(folder_of(row["roi_key"])) for row in rows]
        if self.bundle_digest is not None:
            keys = ((row["roi_key"], row["input_digest"]) for row in rows)
            self.unscored += [key[0] for key in keys if key not in stored.scores]

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        names = ("out", "bundle_digest", "cases", "folders", "unscored", "not_dicom", "not_stored")
        failed = [{name: getattr(one, name) for name in Refused.__dataclass_fields__} for one in self.failed]
        return {
            "command": "results",
            **{name: getattr(self, name) for name in names},
            "outlines": dict(self.outlines),
            "failed": failed,
        }


def write_results(
    url: str,
    manifest_path: Path,
    bundle_path: Path | None,
    out: Path,
    keys: Sequence[str],
    centers: Sequence[str],
    reader: str | None,
    on_progress: Callable[[int, int, int], None] = lambda *_: None,
    on_refused: Callable[[str, CvtbatchError], None] = lambda *_: None,
) -> ResultsReport:
    """Write the objects of every outline that is asked for into folders below `out`; what is there already stays as it is.

    Args:
        bundle_path: whose scores the reports hold; without one they hold measurements alone.
        on_progress: told after every case how many are done, how many are asked for, and how many were refused.
        on_refused: told of a case why; the error's private text is for the user's own terminal.

    Raises:
        InputError: there is no such case, centre or reader; `out` cannot be written; the store lacks the bundle's specifications;
            the bundle tells another outcome than CVT.
        FormatError: the bundle is damaged.
        ResourceError: highdicom is not here.
    """
    require("DICOM results need", "highdicom")
    bundle = None if bundle_path is None else load_bundle(bundle_path)
    if bundle is not None and not bundle.description.outcome.is_cvt:
        told = bundle.description.outcome.event
        raise InputError(
            "other_outcome",
            f"the bundle tells {told}, and codes of a report are of CVT alone: leave --bundle out, and the reports "
            "hold measurements",
        )
    store = FeatureStore(url)
    view = store.at(None)
    manifest = read_manifest(manifest_path)
    asked = _resolve(view, manifest, keys, centers, reader)
    stored = read_stored_results(view, bundle)
    report = ResultsReport(str(out), None if bundle is None else bundle.digest)
    wanted = sum(asked.takes(case) for case in manifest)
    for case in filter(asked.takes, manifest):
        report.cases += 1
        rows = [row for row in stored.rois.get(case.case_key, ()) if asked.takes_outline(row)]
        if not rows:
            report.not_stored.append(case.case_key)
        elif stored.volumes[case.case_key]["source_format"] != DICOM:
            report.not_dicom.append(case.case_key)
        else:
            try:
                files = [make_files(objects, out) for objects in _objects(store, stored, case, rows, bundle)]
            except (InputError, FormatError, UnavailableError) as error:
                report.failed.append(Refused(case.case_key, case.manifest_row, error.kind, error.message))
                on_refused(case.case_key, error)
            else:
                report.add(rows, [write_files(one) for one in files], stored)
        on_progress(report.cases, wanted, len(report.failed))
    return report


def _resolve(view: View, manifest: Manifest, keys: Sequence[str], centers: Sequence[str], reader: str | None) -> Asked:
    require_centers(centers, view.centers())
    if keys:
        there = {case.case_key for case in manifest}
        for key in keys:
            if key not in there and "/".join(key.split("/")[:2]) not in there:
                raise InputError(
                    "no_such_case",
                    f"the manifest has no case {key!r}; {did_you_mean(key, there)}a KEY is a case_key (CENTER/CASE) or a roi_key",
                )
    named = None if reader is None else read_readings(view, (), centers).find(reader).reader
    return Asked(frozenset(keys), tuple(centers), named)


def _objects(
    store: FeatureStore, stored: StoredResults, case: Case, rows: list[Row], bundle: Bundle | None
) -> Iterator[OutlineObjects]:
    volume = stored.volumes[case.case_key]
    source = read_stored_image(case, volume)
    headers = cut_headers(read_instance_headers(Path(case.image), source.acquisition.instances, KEPT))
    image = store.read_array(StoredArray(volume["path"], volume["checksum"]))
    for found in read_outlines(store, case, volume, source, rows):
        mask = lay_on_slices(found.voxels_zyx, found.place, source.stack)
        mean_hu = float(image[stored_mask(store, found.row) != 0].mean(dtype=np.float64))
        results = to_results(stored, found.row, mask_volume_ml(mask, source.stack), mean_hu, bundle)
        yield OutlineObjects(to_outline(stored, found.row), results, mask, headers, source.stack)
