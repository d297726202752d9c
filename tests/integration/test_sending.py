"""`results --to ... --send` into a real Orthanc, by DICOMweb and by DIMSE: the real head, its outline, and scores.

What Orthanc holds then is read by highdicom and by this project's own ingest, and held to the store.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from cvtbatch import contracts
from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.dlrn import load_bundle
from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.ingest.written_grids import lay_on_slices
from cvtbatch.manifest import read_manifest
from cvtbatch.pacs import dicomweb, sending
from cvtbatch.pacs.addresses import parse_address
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.sending import open_sender
from cvtbatch.store import FeatureStore
from tests.support.archives import write_rows
from tests.support.commands import cvtbatch
from tests.support.mask_files import datasets, write_seg
from tests.support.orthanc import PASSWORD, USER, Orthanc, running_orthanc
from tests.support.outside_data import outside
from tests.support.result_stores import SCORES, adapted_bundle, add_scores, keep
from tests.support.store_rows import EMBEDDING_SPEC, RADIOMICS_SPEC, VOLUME_SPEC, add_specs

FOLDER = "A/1/hematoma/A/1"
FILES = [f"{FOLDER}/{name}" for name in ("seg.dcm", "sr.dcm", "sc.dcm")]


@dataclass(frozen=True)
class Archive:
    """Orthanc, which has the head; a store with its outline and scores; and files of results.

    Attributes:
        slices: of the head, from below.
        drawn_zyx: the outline on them.
    """

    orthanc: Orthanc
    folder: Path
    slices: list[pydicom.Dataset]
    drawn_zyx: np.ndarray


@pytest.fixture(autouse=True)
def let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVTBATCH_PACS_USER", USER)
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """The head goes half by STOW-RS, half by C-STORE."""
    folder, head, roi = tmp_path_factory.mktemp("sending"), outside("head_ct_ge"), outside("head_ct_ge_roi.nii")
    files = [path.read_bytes() for path in sorted(head.iterdir())]
    slices = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    slices.sort(key=lambda image: image.ImagePositionPatient[2])
    drawn = _as_segmentation(head, roi, slices, folder)
    store = FeatureStore.open_for_writing(str(folder / "store"))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, EMBEDDING_SPEC)
    keep(store, folder / "manifest.csv")
    add_scores(store, load_bundle(adapted_bundle(folder / "store", folder / "bundle")).digest)
    with running_orthanc(folder / "orthanc") as orthanc, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CVTBATCH_PACS_USER", USER)
        patch.setenv("CVTBATCH_PACS_PASSWORD", PASSWORD)
        for address, half in ((orthanc.dicomweb, files[::2]), (orthanc.dimse, files[1::2])):
            with open_sender(parse_address(address)) as sender:
                assert {one.state for one in sender.send(half)} == {"sent"}
        yield Archive(orthanc, folder, slices, drawn)


def _as_segmentation(head: Path, roi: Path, slices: list[pydicom.Dataset], folder: Path) -> np.ndarray:
    """Write the outline on the head's own slices, which costs least to read, with a manifest of both; return its voxels."""
    row = {"center": "A", "case_id": "1", "image": str(head), "mask": str(roi)}
    [case] = read_manifest(write_rows(folder / "drawn.csv", [row]))
    volume = read_volume(case)
    outline = read_mask(case.rois[0], lambda: ImageSlices.of(volume))
    drawn = lay_on_slices(outline.voxels_zyx, outline.place, volume.stack)
    with quiet():
        tagged = {one.SOPInstanceUID: one for one in datasets(head)}
        write_seg(folder / "drawn.dcm", [tagged[one.SOPInstanceUID] for one in slices], drawn)
    write_rows(folder / "manifest.csv", [{**row, "mask": "drawn.dcm"}])
    return drawn


def results(archive: Archive, *more: object, code: int = 0) -> dict[str, object]:
    command = ["--manifest", archive.folder / "manifest.csv", "--store", archive.folder / "store"]
    result = cvtbatch("results", *command, "--bundle", archive.folder / "bundle", "--capture", *more, "--json")
    assert result.returncode == code, result.stderr
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/results.json") == []
    assert not any(word in result.stdout + result.stderr for word in (USER, PASSWORD, "2.25.", "1.2.840"))
    return dict(document)


def states(document: dict[str, object]) -> dict[str, str]:
    objects = document["objects"]
    assert isinstance(objects, list)
    return {one["file"]: one["state"] for one in objects}


def test_the_head_is_there_whichever_way_it_came(archive: Archive) -> None:
    held = {uid: pydicom.dcmread(io.BytesIO(data)) for uid, data in archive.orthanc.instances().items()}
    for image in archive.slices:
        assert held[image.SOPInstanceUID].PixelData == image.PixelData


def test_nothing_goes_without_send(archive: Archive, tmp_path: Path) -> None:
    before = archive.orthanc.instances().keys()
    for address in (archive.orthanc.dicomweb, archive.orthanc.dimse):
        document = results(archive, "--to", address, "--out", tmp_path / "out")
        assert states(document) == dict.fromkeys(FILES, "planned")
        assert document["to"] == address
    assert archive.orthanc.instances().keys() == before
    assert all((tmp_path / "out" / name).is_file() for name in FILES)


def test_what_is_sent_is_read_back_as_the_store_has_it(archive: Archive, tmp_path: Path) -> None:
    before = archive.orthanc.instances()
    document = results(archive, "--to", archive.orthanc.dicomweb, "--send", "--out", tmp_path / "out")
    assert states(document) == dict.fromkeys(FILES, "sent")
    held = archive.orthanc.instances()
    new = {uid: data for uid, data in held.items() if uid not in before}
    by_class = {}
    for data in new.values():
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(data))
        by_class[dataset.SOPClassUID.name] = dataset
    assert sorted(by_class) == [
        "Comprehensive 3D SR Storage",
        "Secondary Capture Image Storage",
        "Segmentation Storage",
    ]
    [study] = json.loads(archive.orthanc.get("studies?expand"))
    assert len(study["Series"]) == 4
    _held_to_the_outline(archive, by_class["Segmentation Storage"], tmp_path)
    _held_to_the_scores(archive, by_class["Comprehensive 3D SR Storage"])
    # Again, by either way and without a folder: the same objects.
    assert states(results(archive, "--to", archive.orthanc.dicomweb, "--send")) == dict.fromkeys(FILES, "there")
    document = results(archive, "--to", archive.orthanc.dimse, "--send")
    assert (states(document), document["out"]) == (dict.fromkeys(FILES, "sent"), None)
    assert archive.orthanc.instances().keys() == held.keys()


def _held_to_the_outline(archive: Archive, segmentation: pydicom.Dataset, folder: Path) -> None:
    segmentation.save_as(folder / "back.dcm")
    shown = np.flatnonzero(archive.drawn_zyx.any(axis=(1, 2)))
    with quiet():
        pixels = highdicom.seg.segread(folder / "back.dcm").get_pixels_by_source_instance(
            [archive.slices[index].SOPInstanceUID for index in shown],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
        )
    assert np.array_equal(pixels, archive.drawn_zyx[shown])
    row = {"center": "A", "case_id": "1", "image": str(outside("head_ct_ge")), "mask": "back.dcm"}
    [case] = read_manifest(write_rows(folder / "back.csv", [row]))
    back = read_mask(case.rois[0], lambda: ImageSlices.of(read_volume(case)))
    assert np.array_equal(back.voxels_zyx, archive.drawn_zyx)


def _held_to_the_scores(archive: Archive, report: pydicom.Dataset) -> None:
    with quiet():
        content = highdicom.sr.Comprehensive3DSR.from_dataset(report).content
    [group] = content.get_volumetric_roi_measurement_groups()
    values = {
        (one.name.value, one.method.value if one.method else ""): float(one.value) for one in group.get_measurements()
    }
    [roi] = FeatureStore(str(archive.folder / "store")).rois().to_pylist()
    assert values["118565006", "stored_grid"] == roi["volume_ml"]
    assert values["42798000", "stored_grid"] == roi["largest_slice_area_mm2"]
    assert values["dlrn_probability", ""] == SCORES["dlrn"]
    for name in ("rad", "dl", "dlr", "rad_probability", "dlr_probability", "points_total", "outside_count"):
        assert values[name, ""] == SCORES[name]
    bundle = load_bundle(archive.folder / "bundle")
    for model, thresholds in bundle.description.thresholds.items():
        for at, threshold in thresholds.items():
            assert values[codes.CUTS[model, at].value, ""] == threshold
    classes = {one.name.value: one.value.value for one in group.get_qualitative_evaluations()}
    assert classes["dlrn_cls_sens95"] == codes.NEGATIVE.value
    assert classes["dlrn_cls_youden"] == codes.POSITIVE.value
    texts = [item.TextValue for item in group[0].ContentSequence if item.ValueType == "TEXT"]
    assert bundle.digest in texts


def test_an_archive_that_dies_is_told_and_the_same_command_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dicomweb, sending):
        monkeypatch.setattr(module, "Retries", lambda: Retries(attempts=2, first_s=0.01))
    archive.orthanc.kill()
    for address in (archive.orthanc.dicomweb, archive.orthanc.dimse):
        document = results(archive, "--to", address, "--send", "--out", tmp_path / "out", code=3)
        assert {one["kind"] for one in document["objects"]} == {"pacs_unavailable"}  # type: ignore[attr-defined]
    archive.orthanc.start()
    document = results(archive, "--to", archive.orthanc.dicomweb, "--send", "--out", tmp_path / "out")
    assert document["outlines"] == {"written": 0, "replaced": 0, "there": 1}
    assert set(states(document).values()) <= {"sent", "there"}


def test_an_archive_that_dies_between_two_objects_has_the_first_and_gets_the_rest(archive: Archive) -> None:
    contents = []
    for number in range(3):
        image = archive.slices[number].copy()
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"2.25.47{number}"
        content = io.BytesIO()
        pydicom.dcmwrite(content, image)
        contents.append(content.getvalue())

    class Felling(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            yield self[0]
            archive.orthanc.kill()
            yield from self[1:]

    before = archive.orthanc.instances().keys()
    retries = Retries(attempts=2, first_s=0.01)
    with open_sender(parse_address(archive.orthanc.dicomweb), retries=retries) as sender:
        outcomes = sender.send(Felling(contents))
    assert [one.error.kind if one.error else one.state for one in outcomes] == ["sent", *["pacs_unavailable"] * 2]
    archive.orthanc.start()
    with open_sender(parse_address(archive.orthanc.dicomweb)) as sender:
        assert [one.state for one in sender.send(contents)] == ["there", "sent", "sent"]
    assert len(archive.orthanc.instances().keys() - before) == 3


def test_who_is_not_let_in_loses_nothing(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = archive.orthanc.instances().keys()
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", "another password")
    document = results(archive, "--to", archive.orthanc.dicomweb, "--send", "--out", tmp_path / "out", code=3)
    assert states(document) == dict.fromkeys(FILES, "failed")
    stranger = archive.orthanc.dimse.replace("ORTHANC", "STRANGER")
    document = results(archive, "--to", stranger, "--send", "--out", tmp_path / "out", code=3)
    assert {one["kind"] for one in document["objects"]} == {"pacs_denied"}  # type: ignore[attr-defined]
    assert all((tmp_path / "out" / name).is_file() for name in FILES)
    assert archive.orthanc.instances().keys() == before
