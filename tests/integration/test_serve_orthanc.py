"""`serve` over a real PACS: the real head and its outline come in, and its results go back, once."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch import contracts
from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.dlrn import load_bundle
from cvtbatch.embedding import weights
from cvtbatch.ingest import read_volume
from cvtbatch.manifest import read_manifest, series_address
from cvtbatch.pacs.addresses import parse_address
from cvtbatch.pacs.sending import open_sender
from cvtbatch.pipelines.extraction.settings import resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore
from tests.support.archives import write_rows
from tests.support.commands import cvtbatch
from tests.support.index_runs import own_state, rows_of
from tests.support.mask_files import datasets, write_seg
from tests.support.orthanc import PASSWORD, USER, Orthanc, running_orthanc
from tests.support.outside_data import outside
from tests.support.result_stores import adapted_bundle
from tests.support.stand_ins import standing_in
from tests.support.store_rows import add_specs


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVTBATCH_PACS_USER", USER)
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", PASSWORD)
    own_state(tmp_path / "own", monkeypatch)


@dataclass(frozen=True)
class Pacs:
    """Orthanc, which has the head and an outline of it.

    Attributes:
        drawn: voxels of the outline.
    """

    orthanc: Orthanc
    drawn: int


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    folder, head = tmp_path_factory.mktemp("serve"), outside("head_ct_ge")
    with running_orthanc(folder / "orthanc") as orthanc, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CVTBATCH_PACS_USER", USER)
        patch.setenv("CVTBATCH_PACS_PASSWORD", PASSWORD)
        with quiet():
            slices = datasets(head)
            mask = np.zeros((len(slices), slices[0].Rows, slices[0].Columns), np.uint8)
            mask[10:14, 240:280, 200:250] = 1
            write_seg(folder / "drawn.dcm", slices[10:14], mask[10:14])
        with open_sender(parse_address(orthanc.dicomweb)) as sender:
            files = [path.read_bytes() for path in (*head.iterdir(), folder / "drawn.dcm")]
            assert {one.state for one in sender.send(files)} == {"sent"}
        yield Pacs(orthanc, int(mask.sum()))


def serve(orthanc: Orthanc, store: Path, *more: object, code: int = 0) -> dict[str, object]:
    result = cvtbatch(
        *("serve", "--source", orthanc.dicomweb, "--store", store, "--center", "GE", "--body-part", "HEAD"),
        *("--once", "--workers", 0, "--json", *more),
    )
    assert result.returncode == code, result.stderr
    assert not any(word in result.stdout + result.stderr for word in (PASSWORD, "2.25.", "1.2.840", "Traceback"))
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/serve.json") == []
    return dict(document)


def trained_bundle(folder: Path) -> Path:
    """Write a bundle whose weights lie in the store, for the study's features."""
    store = FeatureStore.open_for_writing(str(folder / "store"))
    data = weights.to_bytes(weights.random_weights.__wrapped__(5)).replace(b'"true"', b'"flse"')
    (folder / "weights.safetensors").write_bytes(data)
    job = read_job("extract", None, [f"embedding.weights={folder / 'weights.safetensors'}"])
    settings = resolve(job, str(folder / "store"))
    [embedding] = settings.embeddings
    store.write_weights(embedding.weights.sha256, data)
    add_specs(store, *settings.specs)
    bundle = adapted_bundle(folder / "store", folder / "bundle")
    document = json.loads((bundle / "bundle.json").read_text())
    document["weights"] = {"name": "file", "not_for_inference": False, "sha256": embedding.weights.sha256}
    (bundle / "bundle.json").write_text(json.dumps(document))
    return bundle


def test_a_head_comes_in_and_its_results_go_back_once(pacs: Pacs, tmp_path: Path) -> None:
    orthanc, store = pacs.orthanc, tmp_path / "store"
    before = orthanc.instances()
    with standing_in():
        bundle = trained_bundle(tmp_path)
        asked = ("--bundle", bundle, "--to", orthanc.dicomweb, "--send")
        document = serve(orthanc, store, *asked)
        assert [document[name] for name in ("studies", "fresh", "due")] == [1, 1, 0]
        document = serve(orthanc, store, *asked)
    assert (document["due"], document["cases"], document["sent"]) == (1, 1, 2)
    assert document["ended"] == {"done": 1, "held": 0, "failed": 0, "left_out": 0, "incomplete": 0}
    opened = FeatureStore(str(store))
    [volume], [roi] = opened.current("volumes").to_pylist(), opened.rois().to_pylist()
    row = {"center": "A", "case_id": "1", "image": str(outside("head_ct_ge"))}
    [case] = read_manifest(write_rows(tmp_path / "manifest.csv", [row]))
    assert volume["image_digest"] == read_volume(case).image_digest()
    [score] = opened.table("scores").read().to_pylist()
    new = [pydicom.dcmread(io.BytesIO(data)) for uid, data in orthanc.instances().items() if uid not in before]
    report, segmentation = sorted(new, key=lambda one: str(one.Modality), reverse=True)
    with quiet():
        assert int(segmentation.pixel_array.sum()) == pacs.drawn
    values = {str(value) for value in _numbers(report)}
    assert {repr(roi["volume_ml"]), repr(score["rad"])} <= values
    assert load_bundle(bundle).digest in {item.TextValue for item in _items(report) if item.ValueType == "TEXT"}
    # It takes its own results for no news.
    with standing_in():
        document = serve(orthanc, store, *asked)
    assert [document[name] for name in ("studies", "fresh", "due")] == [1, 0, 0]
    assert orthanc.instances().keys() - before.keys() == {one.SOPInstanceUID for one in new}
    assert list((tmp_path / "own").rglob("*.dcm")) == []


def test_an_index_of_the_archive_is_that_of_its_files(pacs: Pacs, tmp_path: Path) -> None:
    cvtbatch("pull", pacs.orthanc.dicomweb, "--out", tmp_path / "pulled", check=True)
    found = {}
    for name, source in (("archive", pacs.orthanc.dicomweb), ("pulled", tmp_path / "pulled")):
        document = json.loads(
            cvtbatch(
                *("index", source, "--center", "B", "--out", tmp_path / f"{name}.csv", "--workers", 0, "--json"),
                check=True,
            ).stdout
        )
        assert contracts.problems_of(document, "commands/index.json") == []
        [found[name]] = rows_of(tmp_path / "pulled", f"{name}.csv")
    for column in ("center", "case_id", "patient", "series_uid", "x_state", "x_reason", "x_candidates"):
        assert found["archive"][column] == found["pulled"][column]
    # An outline is a file. The results that the archive was sent are none.
    assert found["pulled"]["mask"]
    assert found["archive"]["mask"] == ""
    assert found["archive"]["x_outlines"].count("(an outline is read of a file: pull the study)") == 1
    address = series_address(found["archive"]["image"])
    assert address is not None
    assert address.server == pacs.orthanc.dicomweb
    assert address.series_uid == str(
        pydicom.dcmread(next((tmp_path / found["pulled"]["image"]).iterdir())).SeriesInstanceUID
    )


def _items(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _numbers(report: pydicom.Dataset) -> Iterator[float]:
    for item in _items(report):
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            yield float(measured.get("FloatingPointValue", measured.NumericValue))
