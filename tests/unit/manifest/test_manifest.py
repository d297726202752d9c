import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import files, key_of, read_manifest
from cvtbatch.manifest import manifest as reading
from cvtbatch.manifest.problems import IN_WORDS
from cvtbatch.spec import digest
from tests.support.archives import write_rows
from tests.support.manifest_rows import problems, row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ct.nii.gz", "a.nii.gz", "b.nii.gz"):
        (tmp_path / name).touch()
    return tmp_path


def test_defaults_and_derived_values(folder: Path) -> None:
    [case] = read_manifest(
        write_rows(folder / "m.csv", [row(mask="a.nii.gz", etiology="CVT", x_site="north", age="61.5")])
    )
    values = case.clinical_values()
    assert (values["patient"], values["cvt"], values["age"], values["epilepsy"]) == ("1", 1, 61.5, None)
    assert case.extra == '{"x_site":"north"}'
    [roi] = case.rois
    assert (roi.roi_key, roi.roi, roi.reader, roi.reading) == ("A/1/hematoma/A/1", "hematoma", "A", 1)
    assert (case.image, roi.mask) == (str(folder / "ct.nii.gz"), str(folder / "a.nii.gz"))


def test_rows_of_one_case_are_its_outlines(folder: Path) -> None:
    rows = [row(mask="a.nii.gz"), row(mask="b.nii.gz", reader="B"), row(case_id="2")]
    manifest = read_manifest(write_rows(folder / "m.csv", rows))
    assert [len(case.rois) for case in manifest] == [2, 1]
    assert [len(case.masked_rois()) for case in manifest] == [2, 0]


def test_parquet_gives_the_same_cases_as_csv(folder: Path) -> None:
    rows = [row(mask="a.nii.gz", age=61.5, cvt=1), row(case_id="2", age=None, cvt=None)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet")
    csv = read_manifest(write_rows(folder / "m.csv", [{k: v for k, v in r.items() if v is not None} for r in rows]))
    assert list(read_manifest(folder / "m.parquet")) == list(csv)


def test_floats_that_are_whole_count_as_integers(folder: Path) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(epilepsy="1.0")]))
    assert case.clinical_values()["epilepsy"] == 1


def test_labels_are_as_large_as_label_maps_have_them(folder: Path) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(mask="a.nii.gz", mask_label=4_294_967_295)]))
    assert case.rois[0].mask_label == 4_294_967_295
    found = problems(folder, row(mask="a.nii.gz", mask_label=4_294_967_296))
    assert found == ["row 1, column mask_label: '4294967296' is out of range; it must lie in 1 to 4294967295"]


def test_every_problem_is_listed_with_row_and_column(folder: Path) -> None:
    found = problems(
        folder,
        row(mask="a.nii.gz", age="old", sex="X", epilepsy="2"),
        row(mask="a.nii.gz", age="old", sex="X", epilepsy="2"),
        row(case_id="2", etiology="HP", cvt="1"),
        row(case_id="", reading="1.5", mask_label="3"),
    )
    assert found == [
        "row 1, column epilepsy: '2' is out of range; it must lie in 0 to 1",
        "row 1, column age: 'old' is not a number",
        "row 1, column sex: 'X' is not one of F, M",
        "row 2, column epilepsy: '2' is out of range; it must lie in 0 to 1",
        "row 2, column age: 'old' is not a number",
        "row 2, column sex: 'X' is not one of F, M",
        "row 3, column cvt: 1 contradicts etiology HP",
        "row 4, column case_id: empty; a value is required",
        "row 4, column reading: '1.5' is not an integer",
        "row 4, column mask: empty, but mask_label or segment is given",
        "row 2: the same center, case_id, roi, reader and reading as row 1 (A / 1 / hematoma / A / 1)",
    ]


def test_unknown_missing_and_doubled_columns_are_listed(folder: Path) -> None:
    (folder / "m.csv").write_text("center,imge,age,age,x_free\nA,ct.nii.gz,1,1,z\n")
    with pytest.raises(ProblemsError) as raised:
        read_manifest(folder / "m.csv")
    assert raised.value.private.splitlines() == [
        "column case_id is missing; it is required",
        "column image is missing; it is required",
        "column 'imge' is unknown; did you mean 'image'? columns of your own begin with 'x_'",
        "column 'age' stands 2 times",
    ]


def test_rows_of_one_case_must_agree(folder: Path) -> None:
    found = problems(folder, row(mask="a.nii.gz", age="50"), row(mask="b.nii.gz", reader="B", age="51"))
    assert found == ["row 2, column age: differs from row 1 of the same case"]


def test_blank_lines_count_as_rows_and_are_passed_over(folder: Path) -> None:
    (folder / "m.csv").write_text("center,case_id,image\nA,1,ct.nii.gz\n\n,,\nA,2,\n")
    with pytest.raises(ProblemsError, match="row 4, column image: empty"):
        read_manifest(folder / "m.csv")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators_are_named(folder: Path, mark: str) -> None:
    (folder / "m.csv").write_text(mark.join(["center", "case_id", "image"]) + "\n")
    with pytest.raises(InputError, match=re.escape(f"separated by {mark!r}")):
        read_manifest(folder / "m.csv")


@pytest.mark.parametrize("bad", ["nan", "inf", "-1", "130", "4_5"])
def test_numbers_are_finite_and_in_range(folder: Path, bad: str) -> None:
    assert len(problems(folder, row(age=bad))) == 1


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\xff\xfe", b"", b"\x00\x00\x00", b'center,case_id,image\n"A,1,x']
)
def test_what_is_no_csv_is_said(folder: Path, content: bytes) -> None:
    (folder / "m.csv").write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_manifest(folder / "m.csv")
    assert raised.value.kind == "manifest_not_csv"


def test_uneven_rows_and_an_empty_body_are_said(folder: Path) -> None:
    (folder / "m.csv").write_text("center,case_id,image\nA,1\n")
    with pytest.raises(ProblemsError, match="row 1: 2 cells, where the header has 3"):
        read_manifest(folder / "m.csv")
    (folder / "m.csv").write_text("center,case_id,image\n")
    with pytest.raises(ProblemsError, match="no rows below the header"):
        read_manifest(folder / "m.csv")


def test_ids_of_parquet_that_are_no_text(folder: Path) -> None:
    """pandas makes floats of whole numbers where one is missing: of 17 digits, two ids are one number."""
    columns = {"center": [b"A"] * 2, "case_id": ["1", "2"], "image": ["ct.nii.gz"] * 2, "patient": [12.0, None]}
    pq.write_table(pa.table(columns), folder / "m.parquet")
    found = [(case.center, case.clinical_values()["patient"]) for case in read_manifest(folder / "m.parquet")]
    assert found == [("A", "12"), ("A", "2")]
    for lost in (12345678901234567.0, 9007199254740993.0):
        pq.write_table(pa.table({**columns, "patient": [lost, None]}), folder / "m.parquet")
        with pytest.raises(ProblemsError, match=r"row 1, column patient: .* a program has lost digits"):
            read_manifest(folder / "m.parquet")
    pq.write_table(pa.table({**columns, "patient": [9007199254740991.0, None]}), folder / "m.parquet")
    assert next(iter(read_manifest(folder / "m.parquet"))).clinical_values()["patient"] == "9007199254740991"


def test_what_is_no_parquet_or_no_file_is_said(folder: Path) -> None:
    (folder / "m.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError) as raised:
        read_manifest(folder / "m.parquet")
    assert raised.value.kind == "manifest_not_parquet"
    with pytest.raises(InputError) as raised:
        read_manifest(folder / "absent.csv")
    assert raised.value.kind == "no_manifest"


def test_keys_of_odd_names_stay_apart() -> None:
    assert key_of("a/b", "c") != key_of("a", "b/c")
    assert key_of("100%", "2F") == "100%25/2F"


def test_clinical_digest_covers_values_and_own_columns(folder: Path) -> None:
    def of(**values: object) -> str:
        [case] = read_manifest(write_rows(folder / "m.csv", [row(**values)]))
        return case.clinical_digest()

    assert of(age="50") == of(age="50.0") != of(age="51")
    assert of(age="50", x_a="1") != of(age="50", x_a="2")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_TOGETHER", 4)
    monkeypatch.setattr(reading, "CASES_TOGETHER", 3)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_a_case_need_not_be_neighbours(folder: Path, suffix: str) -> None:
    rows = [
        row(case_id=str(case), reader=reader, mask="a.nii.gz", age=40 + case) for case in range(11) for reader in "ABC"
    ]
    random.Random(5).shuffle(rows)
    path = write_rows(folder / "m.csv", rows)
    if suffix == ".parquet":
        path = folder / "m.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    manifest = read_manifest(path)
    by_case: dict[object, list[tuple[object, int]]] = {}
    for number, values in enumerate(rows, 1):
        by_case.setdefault(values["case_id"], []).append((values["reader"], number))
    expected = [(name, outlines[0][1], outlines) for name, outlines in by_case.items()]
    for _ in range(2):
        found = [(c.case_id, c.manifest_row, [(r.reader, r.manifest_row) for r in c.rois]) for c in manifest]
        assert found == expected
    assert (len(manifest), manifest.rows) == (11, 33)
    assert {case.clinical_values()["age"] for case in manifest} == set(range(40, 51))
    asked = [("A", name) for name, _, _ in expected]
    assert manifest.find([*reversed(asked), ("B", "1")]).tolist() == [*range(10, -1, -1), -1]


@pytest.mark.usefixtures("small_batches")
def test_rows_far_apart_are_held_against_each_other(folder: Path) -> None:
    others = [row(case_id=f"x{number}") for number in range(9)]
    rows = [row(age=50), *others[:5], row(age=51, reader="B", x_a="1"), *others[5:], row(age=50)]
    assert problems(folder, *rows) == [
        "row 12: the same center, case_id, roi, reader and reading as row 1 (A / 1 / hematoma / A / 1)",
        "row 7, column age: differs from row 1 of the same case",
        "row 7, column x_ columns: differs from row 1 of the same case",
    ]


def test_of_very_many_problems_the_first_are_told_and_all_counted(folder: Path) -> None:
    path = write_rows(folder / "m.csv", [row(case_id=str(number), sex="X") for number in range(IN_WORDS + 5)])
    with pytest.raises(ProblemsError, match=f"has {IN_WORDS + 5} problems") as raised:
        read_manifest(path)
    told = raised.value.private.splitlines()
    assert len(told) == IN_WORDS + 1
    assert told[-1] == "... and 5 more"


def test_a_manifest_that_changes_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_rows(folder / "m.csv", [row()])

    def digest_and_change(of: Path) -> str:
        found = files.file_digest(of)
        of.write_text(of.read_text() + "A,2,ct.nii.gz\n")
        return found

    monkeypatch.setattr(reading, "file_digest", digest_and_change)
    with pytest.raises(InputError, match="changed while it was read"):
        read_manifest(path)


def test_the_digest_of_a_manifest_is_that_of_its_bytes(folder: Path) -> None:
    path = write_rows(folder / "m.csv", [row()])
    assert read_manifest(path).sha256 == digest(path.read_bytes())


def test_one_case_is_found_without_the_others(tmp_path: Path) -> None:
    rows = [row(case_id=str(number), mask=f"{reader}.nii", reader=reader) for number in (1, 2, 3) for reader in "AB"]
    manifest = read_manifest(write_rows(tmp_path / "m.csv", rows))
    [second] = [case for case in manifest if case.case_id == "2"]
    assert manifest.case("A", "2") == second
    assert [roi.manifest_row for roi in second.rois] == [3, 4]
    assert manifest.case("A", "4") is None
    assert manifest.case("B", "2") is None


def test_columns_are_those_of_the_file_without_a_name_too(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(",center,case_id,image,x_own\n0,A,1,ct.nii,a\n1,A,2,ct.nii,b\n")
    manifest = read_manifest(path)
    assert manifest.columns == ("", "center", "case_id", "image", "x_own")
    assert manifest.folder == tmp_path.resolve()


def test_a_timepoint_says_which_study_of_a_patient_it_is_and_no_two_have_the_same(folder: Path) -> None:
    rows = [
        row(patient="p", timepoint=0, mask="a.nii.gz"),
        row(patient="p", timepoint=0, mask="b.nii.gz", reader="B"),  # of the same study
        row(case_id="2", patient="p", timepoint=1),
        row(case_id="1", center="B", patient="p", timepoint=0),  # another patient
        row(case_id="3", patient="q", timepoint=0),
        row(case_id="4", patient="p"),
    ]
    manifest = read_manifest(write_rows(folder / "m.csv", rows))
    assert [case.timepoint for case in manifest] == [0, 1, 0, 0, None]
    found = problems(folder, *rows, row(case_id="5", patient="p", timepoint=1), row(case_id="6", timepoint=-1))
    assert found == [
        "row 8, column timepoint: '-1' is out of range; it must lie in 0 to 1000000",
        "row 7, column timepoint: that of row 3, another study of this patient: number studies in their order, e.g. 0 and 1",
    ]


def test_a_case_without_a_timepoint_keeps_the_digest_that_it_had(folder: Path) -> None:
    def clinical_digest(**values: object) -> str:
        [case] = read_manifest(write_rows(folder / "m.csv", [row(age="61.5", **values)]))
        return case.clinical_digest()

    # As version 0.2.0 wrote it into stores.
    assert (
        clinical_digest()
        == clinical_digest(timepoint="")
        == "6982c3e8bef20110ea1124a77a17469df22e2fb6120387062672c5b580e1f3ac"
    )
    assert len({clinical_digest(), clinical_digest(timepoint=0), clinical_digest(timepoint=1)}) == 3
