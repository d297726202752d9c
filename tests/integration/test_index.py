"""`cvtbatch index`: a folder of studies to a manifest that check and extract take as it is."""

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.ingest import read_volume
from cvtbatch.manifest import read_manifest
from tests.support.archives import tiny_head
from tests.support.commands import cvtbatch
from tests.support.index_runs import own_state, rows_of, run_index
from tests.support.series import HEAD, case, change, multiframe
from tests.support.studies import THIN, add_series

SOFT, SHARP = {"ConvolutionKernel": "H31s"}, {"ConvolutionKernel": "H60s"}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_state(tmp_path, monkeypatch)


def _left_out(root: Path) -> dict[str, str]:
    rows = rows_of(root, "m.left-out.csv")
    return {Path(row["folder"]).parts[1]: row["x_state"] for row in rows if row["case_id"]}


def _dose(study: Path, patient: str) -> None:
    add_series(study, "dose", patient, (5.0,), Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67")


def _scout(study: Path) -> None:
    add_series(study, "scout", "p", (5.0,), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def _spread(study: Path) -> None:
    series = add_series(study, "a", "p", **SOFT)
    (study / "b").mkdir()
    for path in sorted(series.iterdir())[:9]:
        path.rename(study / "b" / path.name)


def _flat(study: Path) -> None:
    for name, gaps, tags in (("soft", HEAD, SOFT), ("sharp", HEAD, SHARP)):
        series = add_series(study, name, "p", gaps, **tags)
        for path in series.iterdir():
            path.rename(study / f"{name}{path.name}")
        series.rmdir()


def _damaged(study: Path) -> None:
    path = add_series(study, "a", "p") / "0003.dcm"
    path.write_bytes(path.read_bytes()[:600])


def _damaged_beside(study: Path) -> None:
    """Another series is damaged, of which other slices are whole; and another object."""
    add_series(study, "soft", "p", **SOFT)
    path = add_series(study, "sharp", "p", **SHARP) / "0003.dcm"
    path.write_bytes(path.read_bytes()[:900])


def _split_in_tags(study: Path) -> None:
    series = add_series(study, "a", "p")
    change(series, lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3"), range(4))


def _enhanced(study: Path) -> None:
    series = add_series(study, "a", "p")
    multiframe(series, study / "whole.dcm")
    shutil.rmtree(series)


STUDIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one": (lambda study: add_series(study, "a", "p"), "chosen"),
    "kernels": (lambda study: [add_series(study, "1", "p", **SOFT), add_series(study, "2", "p", **SHARP)], "chosen"),
    "thin-and-thick": (
        lambda study: [add_series(study, "1", "p", **SOFT), add_series(study, "2", "p", THIN, **SOFT)],
        "tie",
    ),
    "scout-and-dose": (lambda study: [add_series(study, "a", "p"), _scout(study), _dose(study, "p")], "chosen"),
    "contrast": (
        lambda study: [add_series(study, "a", "p"), add_series(study, "b", "p", ContrastBolusAgent="IOMERON")],
        "chosen",
    ),
    "derived": (
        lambda study: [add_series(study, "a", "p"), add_series(study, "b", "p", ImageType=["DERIVED", "PRIMARY", "MPR"])],
        "chosen",
    ),
    "spread": (_spread, "chosen"),
    "flat": (_flat, "chosen"),
    "enhanced": (_enhanced, "chosen"),
    "scout-alone": (_scout, "no_ct_series"),
    "dose-alone": (lambda study: _dose(study, "p"), "no_ct_series"),
    "map": (lambda study: add_series(study, "a", "p", RescaleType="ML/100ML"), "not_hounsfield"),
    "damaged": (_damaged, "unreadable_file"),
    "damaged-beside": (_damaged_beside, "chosen"),
    "split-in-tags": (_split_in_tags, "several_series"),
}  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive") / "nas"
    for name, (build, _) in STUDIES.items():
        build(root / name)
    return root


def _read(path: Path, series_uid: str | None = None) -> str:
    """Return what extract reads at a path, as a digest of voxels and geometry, or the kind of its refusal."""
    try:
        return read_volume(case(path, series_uid)).image_digest()
    except InputError as error:
        return error.kind


def test_index_says_of_every_study_what_extract_does_with_its_folder(archive: Path) -> None:
    """The rule asked by `index`, of headers that were kept, and by `extract`, of the study's whole folder."""
    document = run_index(archive, code=3)
    rows, left_out = rows_of(archive), _left_out(archive)
    by_study: dict[str, list[dict[str, str]]] = {name: [] for name in STUDIES}
    for row in rows:
        name = Path(row["image"]).relative_to("nas").parts[0]
        by_study[name].append(row)
    for name, (_, expected) in STUDIES.items():
        whole, own = _read(archive / name), by_study[name]
        assert (own[0]["x_state"] if own else left_out[name]) == expected, name
        taken = [_read(archive.parent / row["image"], row["series_uid"] or None) for row in own]
        if expected == "chosen":
            assert taken == [whole], name
        elif expected == "tie":
            assert (whole, len(set(taken))) == ("several_series", 2), name
        else:
            assert whole == expected, name
    counts = [state for _, state in STUDIES.values()]
    assert (document["chosen"], document["ties"]) == (counts.count("chosen"), counts.count("tie"))
    assert document["studies"] == len(STUDIES)


def test_a_tie_is_refused_with_the_way_out_and_decided_by_a_preference(archive: Path) -> None:
    run_index(archive, code=3)
    with pytest.raises(InputError, match=r"2 series of one case .* --prefer thin or thick"):
        read_manifest(archive.parent / "m.csv")
    before = (archive.parent / "m.csv").read_bytes()
    [thin] = [row["image"] for row in rows_of(archive) if row["x_state"] == "tie" and "36 slices" in row["x_reason"]]
    document = run_index(archive, "--prefer", "thin", code=3)  # files are damaged
    assert (document["settled"], document["standing_ties"], document["rows_added"]) == (1, 0, 0)
    after = (archive.parent / "m.csv").read_bytes()
    assert set(after.splitlines()) < set(before.splitlines())
    assert sum(row["image"] == thin for row in rows_of(archive)) == 1
    assert len(read_manifest(archive.parent / "m.csv")) == document["chosen"]


def test_thick_slices_and_kernels_are_preferred_where_series_tie_alone(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    STUDIES["thin-and-thick"][0](root / "a")
    STUDIES["kernels"][0](root / "b")
    for name, kernel in (("1", "H31s"), ("2", "H60s"), ("3", "unknown")):
        add_series(root / "c", name, "p", ConvolutionKernel=kernel)
    assert run_index(root, code=3)["ties"] == 2  # an unknown kernel is no evidence
    run_index(root, "--prefer", "thick", "--kernel", "sharp", out="n.csv")
    told = {Path(row["image"]).parts[1]: row["x_reason"] for row in rows_of(root, "n.csv")}
    assert told["a"].startswith("18 slices 5 mm")
    assert told["a"].endswith("chosen of 2 CT series by: thick slices preferred")
    assert "kernel H31s" in told["b"]
    assert "kernel H60s" in told["c"]


def test_running_again_reads_nothing_and_changes_no_row_that_is_there(tmp_path: Path) -> None:
    root, manifest = tmp_path / "nas", tmp_path / "m.csv"
    for name in "abc":
        add_series(root / name, "s", name, (5.0,) * 17)
    assert run_index(root)["rows_added"] == 3
    lines = manifest.read_bytes().splitlines(keepends=True)
    # A person orders rows, renames a case, quotes, adds a column of their own, takes a row out.
    edited = [lines[0].strip() + b",x_note\n", lines[2].strip() + b',"seen, by me"\r\n', lines[1].strip() + b",\n"]
    edited[2] = b"B,mine" + edited[2][edited[2].index(b",", 2) :]
    manifest.write_bytes(b"\xef\xbb\xbf" + b"".join(edited))
    kept = manifest.read_bytes()
    document = run_index(root)
    assert (document["files_read"], document["rows_added"], document["rows_kept"], document["taken_out"]) == (
        0,
        0,
        2,
        1,
    )
    assert manifest.read_bytes() == kept
    add_series(root / "d", "s", "d")
    (root / "a" / "s" / "0001.dcm").touch()
    shutil.rmtree(root / "b")
    document = run_index(root)
    assert (document["files_read"], document["rows_added"]) == (19, 1)
    assert len(document["changed"]) == len(document["removed"]) == 1
    assert manifest.read_bytes().startswith(kept)
    assert rows_of(root)[-1]["image"] == "nas/d/s"


def test_other_ids_of_the_same_images_are_told_and_nothing_counts_as_gone(tmp_path: Path) -> None:
    root, out = tmp_path / "nas", tmp_path / "m.csv"
    for name in ("a", "b", "c"):
        add_series(root / "B" / f"{name}_x", "s", name)
    run_index(root, "--pattern", "{center}/{patient}")
    written = out.read_bytes()
    shutil.rmtree(root / "B" / "c_x")
    for _ in range(2):
        document = run_index(root, "--pattern", "{center}/{patient}_*")
        told = [document[name] for name in ("rows_added", "rows_kept", "other_ids", "taken_out")]
        assert (told, len(document["removed"]), out.read_bytes() == written) == ([0, 3, 2, 0], 1, True)
    begun = ("index", root, "--pattern", "{center}/{patient}_*", "--out", out, "--workers", 0)
    assert "the ids of 2 studies are not those of before" in (text := cvtbatch(*begun).stdout)
    assert f"to begin again delete {out}" in text
    out.unlink()
    assert run_index(root, "--pattern", "{center}/{patient}_*")["rows_added"] == 2


def test_ties_that_a_preference_does_not_decide_are_left_to_a_person(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    STUDIES["thin-and-thick"][0](root / "a")
    for name, kernel in (("1", "H31s"), ("2", "unknown")):
        add_series(root / "b", name, "q", ConvolutionKernel=kernel)
    begun = ("index", root, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    assert "delete all but one of each, or run again with --prefer or --kernel" in cvtbatch(*begun).stdout
    for settled in ("1 tie", "0 ties"):
        text = cvtbatch(*begun, "--prefer", "thin").stdout
        assert f"{settled} of an earlier run decided by --prefer thin" in text
        assert "1 case with rows of several series that --prefer thin does not tell apart (x_state tie): delete" in text
        assert "run again" not in text


@pytest.mark.parametrize("damage", ["semicolons", "utf-16", "uneven"])
def test_a_manifest_that_cannot_be_added_to_is_refused_before_anything_is_read(tmp_path: Path, damage: str) -> None:
    add_series(tmp_path / "nas" / "a", "s", "p")
    text = {"semicolons": "center;case_id;image\n", "utf-16": "center,case_id\n", "uneven": "center,case_id,image\nA\n"}
    content = text[damage].encode("utf-16" if damage == "utf-16" else "utf-8")
    (tmp_path / "m.csv").write_bytes(content)
    result = cvtbatch("index", tmp_path / "nas", "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    assert result.returncode == 1
    assert "reading" not in result.stderr
    assert (tmp_path / "m.csv").read_bytes() == content


def test_followups_are_cases_of_one_patient_and_no_identity_is_told(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    for name, patient, day in (("a", "4711", "20240601"), ("b", "4711", "20240530"), ("c", "", "20240601")):
        add_series(root / name, "s", patient, StudyDate=day)
    (root / "d").mkdir()
    (root / "d" / "0001.dcm").write_bytes(b"\0" * 2000)
    result = cvtbatch("index", root, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    rows = rows_of(root)
    assert len({row["patient"] for row in rows if row["patient"]}) == 1
    assert len({row["case_id"] for row in rows}) == 3
    study = str(pydicom.dcmread(root / "a" / "s" / "0001.dcm").StudyInstanceUID)
    told = result.stdout + result.stderr + (tmp_path / "m.csv").read_text()
    assert not [secret for secret in ("4711", "DOE", study) if secret in told]
    [kept] = (tmp_path / "XDG_STATE_HOME" / "cvtbatch" / "index").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert result.returncode == 3  # a file cannot be read
    assert "1 file not to be read: 1 unreadable_file: nas/d/0001.dcm; why stands in" in result.stdout
    [row] = rows_of(root, "m.left-out.csv")
    assert (row["folder"], row["case_id"], row["x_state"]) == ("nas/d/0001.dcm", "", "unreadable_file")
    with zipfile.ZipFile(root / "d" / "e.zip", "w") as packed:
        packed.write(root / "d" / "0001.dcm", "1.dcm")
    (root / "d" / "0001.dcm").unlink()
    cvtbatch("index", root, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    assert [row["folder"] for row in rows_of(root, "m.left-out.csv")] == ["nas/d/e.zip/1.dcm"]


def test_a_pattern_says_what_a_case_is_or_shows_the_paths_that_do_not_fit(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    for path in ("bern/p1/s1", "bern/p1/s2", "ulm/p1/s1"):
        add_series(root / path, "s", "same", study_name="same")
    add_series(root / "stray", "s", "same")
    document = run_index(root, "--pattern", "{center}/{patient}/{study}/s")
    assert (document["chosen"], document["misfit_folders"]) == (3, 1)
    assert [row["center"] for row in rows_of(root)] == ["bern", "bern", "ulm"]
    arguments = ("index", root, "--pattern", "{center}/x/{study}", "--out", tmp_path / "n.csv", "--workers", 0)
    result = cvtbatch(*arguments)
    assert (result.returncode, "'bern/p1/s1/s'" in result.stderr) == (1, True)
    assert not (tmp_path / "n.csv").exists()
    assert "--center" in cvtbatch("index", root, "--out", tmp_path / "n.csv").stderr


def test_zips_and_image_files_are_sources_too(tmp_path: Path) -> None:
    import SimpleITK as sitk

    root = tmp_path / "nas"
    series = add_series(tmp_path / "x", "s", "p")
    root.mkdir()
    with zipfile.ZipFile(root / "study.zip", "w") as packed:
        for path in series.iterdir():
            packed.write(path, path.name)
    (root / "n1").mkdir()
    for image, name in zip(tiny_head(1), ("ct", "ct_mask"), strict=True):
        sitk.WriteImage(image, str(root / "n1" / f"{name}.nii.gz"))
    assert run_index(root)["chosen"] == 2
    rows = {Path(row["image"]).name: row for row in rows_of(root)}
    assert rows["ct.nii.gz"]["mask"] == "nas/n1/ct_mask.nii.gz"
    assert _read(root / "study.zip") == _read(series)
    assert cvtbatch("check", tmp_path / "m.csv", "--json").returncode == 0


def test_a_scan_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvtbatch.pipelines.indexing import scan

    root = tmp_path / "nas"
    for name in "abcd":
        add_series(root / name, "s", name)
    scanned: list[str] = []
    whole = scan.scan_task

    def dies(task: scan.ScanTask) -> object:
        if len(scanned) == 2:
            raise RuntimeError
        scanned.append(task.prefix)
        return whole(task)

    monkeypatch.setattr(scan, "scan_task", dies)
    monkeypatch.setattr(scan, "KEEP_SECONDS", 0.0)
    ends = scan.HeaderCache.__exit__
    # Who is killed writes nothing at the end.
    monkeypatch.setattr(scan.HeaderCache, "__exit__", lambda self, *_: self._database.close())
    arguments = ("index", root, "--center", "B", "--out", tmp_path / "m.csv", "--workers", 0)
    assert cvtbatch(*arguments).returncode != 0
    assert not (tmp_path / "m.csv").exists()
    monkeypatch.setattr(scan, "scan_task", whole)
    monkeypatch.setattr(scan.HeaderCache, "__exit__", ends)
    assert run_index(root)["files_read"] == 36


def test_image_files_whose_patient_nothing_names_are_told(tmp_path: Path) -> None:
    """Two studies of one patient would be trained on and judged on at once."""
    root = tmp_path / "nas"
    for day in ("0", "1"):
        (root / "p1" / day).mkdir(parents=True)
        sitk.WriteImage(tiny_head(1)[0], str(root / "p1" / day / "ct.nii.gz"))
    assert run_index(root)["without_patient"] == 2
    told = cvtbatch("index", root, "--center", "B", "--out", tmp_path / "t.csv", "--workers", 0).stdout
    assert "2 folders and image files without the patient's id: each study counts as a patient of its own" in told
    assert run_index(root, "--pattern", "{patient}/{study}", "--center", "B", out="n.csv")["without_patient"] == 0
