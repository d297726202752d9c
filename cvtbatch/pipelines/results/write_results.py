"""`cvtbatch results`: what a store holds of outlines as DICOM objects, case by case, into a folder and to an archive.

Who a patient is stands in the source's headers alone: they are read when a case's results are made, and go nowhere else.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.sending import Sender, open_sender
from cvtbatch.pipelines.results.delivery import Delivered, Destination, deliver
from cvtbatch.pipelines.results.outline_results import to_outline, to_results
from cvtbatch.pipelines.results.result_files import OutlineObjects, Products, ResultFiles, make_files, write_files
from cvtbatch.pipelines.results.stored_results import StoredResults, read_stored_results
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.pipelines.stores.source_outlines import Row, read_outlines, read_stored_image, stored_mask
from cvtbatch.reporting.outlined_slice import OutlinedSlice
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
        out: None where no file is kept.
        to: the archive; None for none.
        outlines: by what became of their files: written, replaced (another one was there), there (nothing to do).
        folders: of the outlines, below `out`.
        objects: on their way to the archive.
        unscored: roi_keys that the bundle has no current score of; none without a bundle.
        not_dicom: cases whose image is no DICOM series.
        not_stored: cases of the manifest that are asked for and have no such outline in the store.
        failed: the others go on.
    """

    out: str | None
    to: str | None
    bundle_digest: str | None
    cases: int = 0
    outlines: Counter[str] = field(default_factory=lambda: Counter(written=0, replaced=0, there=0))
    folders: list[str] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)
    not_dicom: list[str] = field(default_factory=list)
    not_stored: list[str] = field(default_factory=list)
    failed: list[Refused] = field(default_factory=list)
    objects: list[Delivered] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether no case was refused, and no object failed."""
        return not self.failed and all(one.state != "failed" for one in self.objects)

    def add(self, rows: Sequence[Row], files: Sequence[ResultFiles], stored: StoredResults) -> None:
        """Add a case's outlines."""
        self.folders += [str(one.folder) for one in files]
        if self.bundle_digest is not None:
            keys = ((row["roi_key"], row["input_digest"]) for row in rows)
            self.unscored += [key[0] for key in keys if key not in stored.scores]

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        names = ("out", "to", "bundle_digest", "cases", "folders", "unscored", "not_dicom", "not_stored")
        failed = [{name: getattr(one, name) for name in Refused.__dataclass_fields__} for one in self.failed]
        return {
            "command": "results",
            **{name: getattr(self, name) for name in names},
            "outlines": dict(self.outlines),
            "failed": failed,
            "objects": [one.to_document() for one in self.objects],
        }


def write_results(
    url: str,
    manifest_path: Path,
    bundle_path: Path | None,
    products: Products,
    destination: Destination | None,
    keys: Sequence[str],
    centers: Sequence[str],
    reader: str | None,
    on_progress: Callable[[int, int, int], None] = lambda *_: None,
    on_refused: Callable[[str, CvtbatchError], None] = lambda *_: None,
) -> ResultsReport:
    """Make the objects of every outline that is asked for, write them and send them; what is there already stays as it is.

    Args:
        bundle_path: whose scores the reports hold; without one they hold measurements alone.
        on_progress: told after every case how many are done, how many are asked for, and how many were refused.
        on_refused: told of a case or an object why; the error's private text is for the user's own terminal.

    Raises:
        InputError: there is no such case, centre or reader; a folder cannot be written; the store lacks the bundle's
            specifications; there are no credentials as they must be.
        FormatError: the bundle is damaged.
        ResourceError: a library is not here.
    """
    require("DICOM results need", "highdicom")
    with _open(destination) as sender:
        bundle = None if bundle_path is None else load_bundle(bundle_path)
        store = FeatureStore(url)
        view = store.at(None)
        manifest = read_manifest(manifest_path)
        asked = _resolve(view, manifest, keys, centers, reader)
        stored = read_stored_results(view, bundle)
        report = ResultsReport(
            None if products.out is None else str(products.out),
            None if destination is None else str(destination.address),
            None if bundle is None else bundle.digest,
        )
        wanted = sum(asked.takes(case) for case in manifest)
        for case in filter(asked.takes, manifest):
            report.cases += 1
            rows = [row for row in stored.rois.get(case.case_key, ()) if asked.takes_outline(row)]
            if _can_be_made(case, rows, stored, report):
                try:
                    files = [make_files(objects, products) for objects in _objects(store, stored, case, rows, bundle)]
                except (InputError, FormatError, UnavailableError) as error:
                    report.failed.append(Refused(case.case_key, case.manifest_row, error.kind, error.message))
                    on_refused(case.case_key, error)
                else:
                    report.add(rows, files, stored)
                    _hand_over(files, products, destination, sender, report, on_refused)
            on_progress(report.cases, wanted, len(report.failed))
    return report


def _open(destination: Destination | None) -> AbstractContextManager[Sender | None]:
    if destination is None or not destination.send:
        return nullcontext()
    if isinstance(destination.address, Dimse):
        require("sending by DIMSE needs", "pynetdicom")
    return open_sender(destination.address, destination.ae_title)


def _can_be_made(case: Case, rows: Sequence[Row], stored: StoredResults, report: ResultsReport) -> bool:
    if not rows:
        report.not_stored.append(case.case_key)
    elif stored.volumes[case.case_key]["source_format"] != DICOM:
        report.not_dicom.append(case.case_key)
    else:
        return True
    return False


def _hand_over(
    files: Sequence[ResultFiles],
    products: Products,
    destination: Destination | None,
    sender: Sender | None,
    report: ResultsReport,
    on_refused: Callable[[str, CvtbatchError], None],
) -> None:
    """Write a case's files, and then send them."""
    for of_outline in files:
        if products.out is not None:
            report.outlines[write_files(of_outline, products.out)] += 1
        for one in deliver(of_outline, sender) if destination is not None else ():
            # Of an archive that is away all that is left has one error, which is told once.
            if one.error is not None and not (report.objects and report.objects[-1].error is one.error):
                on_refused(one.file, one.error)
            report.objects.append(one)


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
    with case_at_hand(case) as here:
        source = read_stored_image(here, volume)
        instances = source.acquisition.instances
        slices = cut_headers(read_instance_headers(Path(here.image), instances, KEPT), instances)
    image = store.read_array(StoredArray(volume["path"], volume["checksum"]))
    for found in read_outlines(store, case, volume, source, rows):
        mask = lay_on_slices(found.voxels_zyx, found.place, source.stack)
        inside = stored_mask(store, found.row)
        mean_hu = float(image[inside != 0].mean(dtype=np.float64))
        results = to_results(stored, found.row, mask_volume_ml(mask, source.stack), mean_hu, bundle)
        index = int(np.count_nonzero(inside, axis=(1, 2)).argmax())
        largest = OutlinedSlice.facing_up(image[index], inside[index], volume["spacing_mm"], volume["direction"])
        yield OutlineObjects(to_outline(stored, found.row), results, largest, mask, slices, source.stack)
