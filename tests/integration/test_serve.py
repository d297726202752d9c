"""`serve`: what is new in an archive is taken once, whoever is killed, grows, fails, is away or waits for a review meanwhile."""

import functools
import io
import itertools
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import StorageError
from cvtbatch.geometry import SliceStack
from cvtbatch.ingest.writing import SeriesTags, write_series
from cvtbatch.pacs.retries import Retries
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.serving import batch_work, clinical_watch, memory, serve
from cvtbatch.pipelines.shared.pulled_files import PulledFiles
from cvtbatch.store import FeatureStore, Location
from tests.support.archives import skulled_head
from tests.support.commands import cvtbatch, told
from tests.support.dicomweb_server import DicomwebServer, serve_dicomweb
from tests.support.index_runs import own_state
from tests.support.mask_files import ball, datasets, write_seg
from tests.support.paths import ROOT
from tests.support.store_rows import row
from tests.support.stub_archive import stub_archive

SEGMENTER = ROOT / "tests" / "support" / "segmenter.py"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_state(tmp_path / "own", monkeypatch)
    for module in (serve, batch_work):
        monkeypatch.setattr(module, "Retries", functools.partial(Retries, attempts=2, first_s=0.01))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Objects of a study, by their UIDs: twelve slices, and then an outline of them."""
    folder, drawn = tmp_path_factory.mktemp("head"), ball((5.0,) * 11)
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("Secret", "axial", 0.0))
    slices = datasets(folder / "ct")
    write_seg(folder / "seg.dcm", slices, drawn.mask())
    files = {str(one.SOPInstanceUID): Path(one.filename).read_bytes() for one in slices}
    outline = (folder / "seg.dcm").read_bytes()
    return {**files, str(pydicom.dcmread(io.BytesIO(outline)).SOPInstanceUID): outline}


@pytest.fixture
def archive(head: dict[str, bytes]) -> Iterator[DicomwebServer]:
    with serve_dicomweb(head) as served:
        yield served


def options(archive: DicomwebServer, tmp_path: Path) -> tuple[object, ...]:
    (tmp_path / "true").mkdir(exist_ok=True)
    if not (link := tmp_path / "linked").is_symlink():
        link.symlink_to("true")
    to = ("--source", archive.url, "--store", tmp_path / "store", "--center", "B", "--spool", link / "spool")
    return (*to, "--set", "embedding.weights=none", "--set", "volume.spacing_mm=[2,2,5]", "--workers", 0)


def poll(archive: DicomwebServer, tmp_path: Path, *more: object, code: int = 0) -> dict[str, object]:
    """Poll once; return what is told, `ended` without what did not happen."""
    result = cvtbatch("serve", *options(archive, tmp_path), "--once", "--json", *more)
    assert result.returncode == code, result.stderr
    assert "Secret" not in result.stdout + result.stderr
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/serve.json") == []
    return {**document, "ended": {state: count for state, count in document["ended"].items() if count}}


def fetched(archive: DicomwebServer) -> int:
    """Return how often files were asked for since the last time."""
    count = sum("?" not in path for path in archive.requests)
    archive.requests.clear()
    return count


def rows(tmp_path: Path) -> dict[str, int]:
    store = FeatureStore(str(tmp_path / "store"))
    return {name: store.current(name).num_rows for name in ("cases", "volumes", "rois", "radiomics", "failures")}


def test_a_study_is_taken_when_it_has_stopped_growing_and_again_when_it_grows(
    archive: DicomwebServer, tmp_path: Path
) -> None:
    later = {uid: archive.files.pop(uid) for uid in list(archive.files)[-3:]}
    assert poll(archive, tmp_path)["fresh"] == 1
    archive.files.update(list(later.items())[:2])
    assert poll(archive, tmp_path)["fresh"] == 1
    assert fetched(archive) == 0
    document = poll(archive, tmp_path)
    assert (document["due"], document["ended"], document["cases"]) == (1, {"done": 1}, 1)
    assert rows(tmp_path) == {"cases": 1, "volumes": 1, "rois": 0, "radiomics": 0, "failures": 0}
    assert fetched(archive) == 1
    assert list((tmp_path / "true").rglob("*.dcm")) == []
    # An outline comes along.
    archive.files.update(later)
    assert poll(archive, tmp_path)["fresh"] == 1
    assert poll(archive, tmp_path)["ended"] == {"done": 1}
    assert rows(tmp_path) == {"cases": 1, "volumes": 1, "rois": 1, "radiomics": 1, "failures": 0}
    [state] = FeatureStore(str(tmp_path / "store")).table("arrivals").current().to_pylist()
    assert (state["state"], state["kind"], state["series"], state["instances"]) == ("done", "", 2, 13)
    # Whoever is forgotten is not taken again, were it that the study grows.
    [case_key] = FeatureStore(str(tmp_path / "store")).current("cases")["case_key"].to_pylist()
    told(f"forget {case_key} --store {tmp_path / 'store'} --from-snapshots", 0)
    assert poll(archive, tmp_path)["ended"] == {}
    del archive.files[list(archive.files)[-1]]
    assert (poll(archive, tmp_path)["erased"], poll(archive, tmp_path)["due"]) == (1, 0)


def killed_after(count: int, function: Callable[..., object]) -> Callable[..., object]:
    """Return a function that works so often, and then is as if its process had been killed."""
    left = itertools.count(count, -1)

    def call(*arguments: object) -> object:
        if not next(left):
            raise StorageError("store_busy", "as if it had been killed")
        return function(*arguments)

    return call


def test_whoever_is_killed_loses_and_doubles_nothing(
    archive: DicomwebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert poll(archive, tmp_path)["fresh"] == 1
    fetched(archive)
    line = " ".join(map(str, ("serve", *options(archive, tmp_path), "--once", "--connections", "1")))
    with serve.hold_store(Location.of(str(tmp_path / "store"))):
        assert "another `cvtbatch serve` fills this store" in told(line, 1)
    # In the middle of what is fetched; of a row of the run; and when all is done, but for what the store remembers of it.
    for owner, name, calls in (
        (PulledFiles, "write", 3),
        (RowBatch, "commit", 0),
        (memory.Memory, "write", 1),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killed_after(calls, getattr(owner, name)))
            assert "as if it had been killed" in told(line, 1)
    # All slices; then those nine that were missing, one by one, and the outline, which may have been begun before; and never again.
    assert fetched(archive) in {1 + 9 + 1, 1 + 9 + 2}
    before = rows(tmp_path)
    assert before == {"cases": 1, "volumes": 1, "rois": 1, "radiomics": 1, "failures": 0}
    pin = FeatureStore(str(tmp_path / "store")).table("radiomics").pin()
    assert poll(archive, tmp_path)["ended"] == {"done": 1}
    assert (rows(tmp_path), fetched(archive)) == (before, 0)
    assert FeatureStore(str(tmp_path / "store")).table("radiomics").pin() == pin


def test_an_archive_that_is_away_is_asked_until_it_answers(
    archive: DicomwebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.busy = [(503, "0")] * 3
    del archive.files[list(archive.files)[-1]]

    def look() -> None:
        if (tmp_path / "store").exists():
            states = FeatureStore(str(tmp_path / "store")).table("arrivals").current(["state"])["state"].to_pylist()
            if states == ["done"]:
                raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["cvtbatch.cli.serve"], "raise_if_interrupted", look)
    result = cvtbatch("serve", *options(archive, tmp_path), "--every", "1", "--metrics", tmp_path / "serve.prom")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("busy or away (HTTP 503); tried again") == 1
    assert "the archive answers again" in result.stderr
    told_last = (tmp_path / "serve.prom").read_text()
    for line in ('studies_total{state="done"} 1.0', "source_up 1.0", "queue_studies 0.0", "seen_studies_total 1.0"):
        assert f"cvtbatch_serve_{line}\n" in told_last


def test_found_outlines_wait_for_their_review(
    archive: DicomwebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = skulled_head(0)
    origin, step = np.array(image.GetOrigin()), image.GetSpacing()[2]
    positions = tuple((*origin[:2], origin[2] + step * number) for number in range(image.GetDepth()))
    stack = SliceStack(*image.GetSize()[:2], (2.0, 2.0), (1, 0, 0), (0, 1, 0), (0, 0, 1), positions)
    write_series(tmp_path / "ct", sitk.GetArrayFromImage(image), stack, SeriesTags("Secret skull", "axial", 0.0))
    archive.files.clear()
    archive.files.update(
        {str(pydicom.dcmread(path).SOPInstanceUID): path.read_bytes() for path in (tmp_path / "ct").iterdir()}
    )
    line = shlex.join([sys.executable, str(SEGMENTER), "none"]) + " {image} {out}"
    method = {"method": "command", "device": "cpu", "command.line": line, "command.version": "1"}
    found = [text for name, value in method.items() for text in ("--set", f"outline.{name}={json.dumps(value)}")]
    with stub_archive() as pacs:
        asked = (*found, "--to", pacs.address, "--send")
        assert poll(archive, tmp_path, *asked)["fresh"] == 1
        document = poll(archive, tmp_path, *asked)
        assert (document["ended"], document["kinds"], document["sent"]) == ({"held": 1}, {}, 0)
        assert (poll(archive, tmp_path, *asked)["due"], pacs.posted) == (0, [])
        with monkeypatch.context() as forgotten:
            # A patient whose cases are not in the store any more: that nobody waits for a review takes nothing again.
            forgotten.setattr(serve.Watch, "_stored_cases", lambda _: {})
            assert poll(archive, tmp_path, *asked)["due"] == 0
        store = FeatureStore.open_for_writing(str(tmp_path / "store"))
        [roi] = store.rois().to_pylist()
        names = ("case_key", "center", "case_id", "roi_key", "input_digest", "reader")
        store.table("reviews").append([row("reviews", **{name: roi[name] for name in names}, verdict="accept")])
        document = poll(archive, tmp_path, *asked)
        assert (document["ended"], document["sent"], len(pacs.posted)) == ({"done": 1}, 2, 2)
        assert poll(archive, tmp_path, *asked)["due"] == 0


def test_what_is_not_for_inference_is_refused(archive: DicomwebServer, tmp_path: Path) -> None:
    line = " ".join(["serve", *map(str, options(archive, tmp_path)), "--once"])
    assert "outlines by threshold are not for inference" in told(f"{line} --set outline.method=threshold", 1)
    bundle = ROOT / "tests" / "compat" / "bundle-2"
    assert "the bundle is not for inference" in told(f"{line} --bundle {bundle}", 1)
    assert "--send-unreviewed goes with --to and --send" in told(f"{line} --send-unreviewed --to {archive.url}", 2)
    assert not (tmp_path / "store").exists()
    assert archive.requests == []


def test_a_study_that_fails_or_is_left_out_does_not_stop_the_others(
    archive: DicomwebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del archive.files[list(archive.files)[-1]]
    gap, tie = ball((5.0, 5.0, 10.0, 5.0, 5.0, 5.0)), ball((5.0,) * 5)
    write_series(tmp_path / "gap", gap.hu(), gap.stack, SeriesTags("Secret gap", "axial", 0.0))
    for name in ("tie", "tie again"):
        write_series(tmp_path / name, tie.hu(), tie.stack, SeriesTags(f"Secret {name}", "axial", 0.0))
    studies = {}
    for path in sorted(tmp_path.glob("*/*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = studies.setdefault(path.parent.name[:3], dataset.StudyInstanceUID)
        dataset.PatientID = path.parent.name[:3]
        content = io.BytesIO()
        dataset.save_as(content)
        archive.files[str(dataset.SOPInstanceUID)] = content.getvalue()
    assert poll(archive, tmp_path, "--queue", 1)["fresh"] == 3
    document = poll(archive, tmp_path, "--queue", 1, code=3)
    assert document["ended"] == {"done": 1, "failed": 1, "left_out": 1}
    assert (document["kinds"], document["cases"]) == ({"missing_slices": 1, "tie": 1}, 2)
    document = poll(archive, tmp_path, "--retry-failed", code=3)
    assert (document["due"], document["ended"]) == (2, {"failed": 1, "left_out": 1})


def test_clinical_values_come_with_the_study_of_whom_the_table_knows(
    archive: DicomwebServer, tmp_path: Path, head: dict[str, bytes]
) -> None:
    patient = pydicom.dcmread(io.BytesIO(next(iter(head.values())))).PatientID
    table = tmp_path / "clinical.csv"
    table.write_text("id,age,epilepsy\nsomebody else,50,1\n")
    values = ("--clinical", table, "--on", "id")
    poll(archive, tmp_path, *values)
    assert poll(archive, tmp_path, *values)["ended"] == {"done": 1}
    [case] = FeatureStore(str(tmp_path / "store")).current("cases").to_pylist()
    assert (case["age"], case["epilepsy"]) == (None, None)
    # The row is there when the study grows.
    table.write_text(f"id,age,epilepsy\nsomebody else,50,1\n{patient},61.5,1\n")
    del archive.files[list(archive.files)[-1]]
    poll(archive, tmp_path, *values)
    assert poll(archive, tmp_path, *values)["ended"] == {"done": 1}
    [case] = FeatureStore(str(tmp_path / "store")).current("cases").to_pylist()
    assert (case["age"], case["epilepsy"]) == (61.5, 1)
    table.write_text("id,age\n1,old\n")
    result = cvtbatch("serve", *options(archive, tmp_path), "--once", *values)
    assert (result.returncode, "'old' is not a number" in result.stderr) == (1, True)


@pytest.mark.parametrize("wrong", ["id,age\n{},old\n", "id\n{}\n", None], ids=["value", "column", "file"])
def test_a_clinical_table_that_becomes_wrong_is_waited_for(
    archive: DicomwebServer, tmp_path: Path, head: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, wrong: str | None
) -> None:
    """It ended the watch, and nobody was there to begin another."""
    patient = pydicom.dcmread(io.BytesIO(next(iter(head.values())))).PatientID
    table, log, asked, mended = (
        tmp_path / "clinical.csv",
        tmp_path / "serve.jsonl",
        itertools.count(),
        itertools.count(),
    )
    table.write_text(f"id,age\n{patient},61.5\n")
    poll(archive, tmp_path)

    def look() -> None:
        if next(asked) == 0:
            table.unlink() if wrong is None else table.write_text(wrong.format(patient))
        if log.exists() and "clinical_table_wrong" in log.read_text() and next(mended) == 0:
            table.write_text(f"id,age\n{patient},62.5\n")
        if (tmp_path / "store").exists():
            store = FeatureStore(str(tmp_path / "store"))
            if store.table("arrivals").current(["state"])["state"].to_pylist() == ["done"]:
                raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["cvtbatch.cli.serve"], "raise_if_interrupted", look)
    monkeypatch.setattr(clinical_watch, "SETTLED_S", 0.2)
    to = (*options(archive, tmp_path), "--every", "1", "--log", log, "--clinical", table, "--on", "id")
    result = cvtbatch("serve", *to)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("the clinical table cannot be used (the log says why), and studies wait for it") == 1
    assert "the clinical table can be used again" in result.stderr
    assert str(tmp_path) not in result.stderr
    [case] = FeatureStore(str(tmp_path / "store")).current("cases").to_pylist()
    assert case["age"] == 62.5


def test_a_clinical_table_is_read_when_it_is_written_to_its_end(tmp_path: Path) -> None:
    """The last value of half a file may lack its end."""
    table = tmp_path / "clinical.csv"
    table.write_text("id,age\n1,6")
    ends = iter([lambda: table.write_text("id,age\n1,old\n"), lambda: table.write_text("id,age\n1,61.5\n")])

    def look() -> None:
        next(ends, lambda: 0)()

    clinical_watch.require_clinical_table(table, "id", None, look)
    assert next(ends, None) is None
