"""Ids of a manifest: no word that software writes for an empty cell, nothing that does not show, no spreadsheet's formula."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest import find_twins, name_centers, read_manifest, refuse_twins, twins_of
from cvtbatch.plain_text import FORMULA_START, hidden_character, is_formula, visible
from cvtbatch.regions.rules import is_region
from tests.support.archives import write_rows
from tests.support.manifest_rows import problems, row

IDS = ("center", "case_id", "patient", "roi", "reader")
# What pandas (str, to_csv(na_rep=...)), R (write.csv), Excel, SAS and databases leave of an empty cell.
EMPTY = (
    "nan",
    "NaN",
    "None",
    "NULL",
    "NA",
    "N/A",
    "#N/A",
    "<NA>",
    "NaT",
    "null",
    "n/a",
    ".",
    "\\N",
    "#REF!",
    "1.#QNAN",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ct.nii.gz").touch()
    return tmp_path


@pytest.mark.parametrize("word", EMPTY)
def test_words_for_an_empty_cell_are_no_ids(folder: Path, word: str) -> None:
    for name in IDS:
        mend = "a value is required" if name in {"center", "case_id"} else "leave the cell empty"
        told = f"row 2, column {name}: {word!r} is what software writes for an empty cell: {mend}"
        assert problems(folder, row(case_id="0"), row(**{name: word})) == [told]


def test_a_column_of_patients_that_pandas_wrote_as_text_merges_nobody(folder: Path) -> None:
    rows = [row(case_id=str(number), patient=str(float("nan"))) for number in range(3)]
    found = problems(folder, *rows)
    assert [line.partition(":")[0] for line in found] == [f"row {number}, column patient" for number in (1, 2, 3)]
    pq.write_table(pa.Table.from_pylist([{**entry, "patient": None} for entry in rows]), folder / "m.parquet")
    patients = [case.clinical_values()["patient"] for case in read_manifest(folder / "m.parquet")]
    assert patients == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("column", "word"), [("age", "NA"), ("sex", "nan"), ("mask_label", "NaN"), ("cvt", "None"), ("series_uid", "nan")]
)
def test_other_columns_say_so_too(folder: Path, column: str, word: str) -> None:
    [found] = problems(folder, row(mask="ct.nii.gz", **{column: word}))
    assert found == f"row 1, column {column}: {word!r} is what software writes for an empty cell: leave the cell empty"


def test_words_that_mean_something_are_kept(folder: Path) -> None:
    (folder / "NA").mkdir()
    [case] = read_manifest(
        write_rows(folder / "m.csv", [row(image="NA", mask="NA", segment="None", confirmed_by="NONE", x_note="n/a")])
    )
    assert (case.image_entry, case.rois[0].mask_entry, case.rois[0].segment) == ("NA", "NA", "None")
    assert case.clinical_values()["confirmed_by"] == "NONE"
    assert case.extra == '{"x_note":"n/a"}'


@pytest.mark.parametrize("patient", ["Nan-01", "NONE1", "0", "N", "Nantes", "na na"])
def test_ids_that_are_like_such_words_are_ids(folder: Path, patient: str) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(patient=patient)]))
    assert case.clinical_values()["patient"] == patient


def test_a_file_of_such_a_name_that_is_not_there_is_an_empty_cell(folder: Path) -> None:
    assert problems(folder, row(mask="nan"), row(case_id="2", image="NULL")) == [
        "row 1, column mask: 'nan' is what software writes for an empty cell: leave the cell empty",
        "row 2, column image: 'NULL' is what software writes for an empty cell: a value is required",
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_ids_are_no_formulas(folder: Path, start: str) -> None:
    value = f"{start}1"
    for name in IDS:
        told = f"row 1, column {name}: {value!r} begins with {start!r}, which spreadsheets take for a formula: begin with a "
        assert problems(folder, row(**{name: value})) == [f"{told}letter or a digit"]


def test_ids_hold_nothing_that_does_not_show(folder: Path) -> None:
    found = problems(
        folder, row(case_id="CVT-\u202e1"), row(case_id="2", center="A\u200b"), row(case_id="3", reader="\x9bA")
    )
    assert found == [
        "row 1, column case_id: 'CVT-\\u202e1' holds U+202E (RIGHT-TO-LEFT OVERRIDE), a character that does not show: type it "
        "anew without",
        "row 2, column center: 'A\\u200b' holds U+200B (ZERO WIDTH SPACE), a character that does not show: type it anew without",
        "row 3, column reader: '\\x9bA' holds U+009B, a character that does not show: type it anew without",
    ]


def test_the_contract_of_ids_is_what_terminals_pages_and_spreadsheets_need() -> None:
    """The pattern in `schemas/` and the rules of `plain_text` say the same of every character, inside an id and before it."""
    pattern = contracts.manifest_fields()["case_id"].pattern
    assert pattern is not None
    assert {contracts.manifest_fields()[name].pattern for name in IDS} == {pattern}
    for number in (*range(0x10000), *range(0xE0000, 0xE1100), 0x1F600):
        character = chr(number)
        hidden = bool(hidden_character(character))
        assert (pattern.fullmatch(f"a{character}b") is None) == hidden, hex(number)
        assert (pattern.fullmatch(f"{character}b") is None) == (hidden or is_formula(character)), hex(number)
    assert pattern.fullmatch(" ") is None
    assert FORMULA_START.startswith("^")


@pytest.mark.parametrize(
    "name", ["Ünïversität Köln", "東京", "Санкт-Петербург", "بغداد", "St. Mary (2)", "a-b=c@d", "Site\u00a01"]
)
def test_names_in_any_script_are_ids(folder: Path, name: str) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(center=name)]))
    assert case.center == name


# Hospitals and MRIs in Persian; a letter of Hindi and one of Sinhala, which the joiner makes; a shortened word before a stop.
JOINED = (
    "\u0628\u06cc\u0645\u0627\u0631\u0633\u062a\u0627\u0646\u200c\u0647\u0627",
    "MRI\u200c\u0647\u0627",
    "\u0915\u094d\u200d\u0937",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "\u0647\u200d.",
)


@pytest.mark.parametrize("name", JOINED, ids=ascii)
def test_joiners_are_spelling_between_letters(folder: Path, name: str) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(**dict.fromkeys(IDS, name))]))
    assert (case.center, case.case_id, case.rois[0].reader) == (name, name, name)
    assert visible(name) == name
    assert hidden_character(name) == ""
    bare = name.replace("\u200c", "").replace("\u200d", "")
    assert find_twins([name, bare]) == [tuple(sorted([name, bare]))]


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"], ids=ascii)
@pytest.mark.parametrize(
    "frame",
    [
        "{}\u0647",
        "\u0647{}",
        "\u0647{} \u0647",
        "\u0647 {}\u0647",
        "\u0647{}{}\u0647",
        "\u0647{}\u00a0\u0647",
        "C{}1",
        "{}",
    ],
    ids=ascii,
)
def test_joiners_that_join_nothing_do_not_show(folder: Path, frame: str, joiner: str) -> None:
    name = frame.replace("{}", joiner)
    [told] = problems(folder, row(center=name))
    what = {"\u200c": "U+200C (ZERO WIDTH NON-JOINER)", "\u200d": "U+200D (ZERO WIDTH JOINER)"}[joiner]
    assert told == f"row 1, column center: {name!r} holds {what}, a character that does not show: type it anew without"
    assert ascii(joiner)[1:-1] in visible(name)


def test_beside_a_joiner_that_is_spelling_the_one_that_does_not_show_is_named(folder: Path) -> None:
    for hidden in ("\u202e", "\u200b", "\x07"):
        [told] = problems(folder, row(center=f"{JOINED[0]}{hidden}A"))
        assert f" holds U+{ord(hidden):04X}" in told
        [told] = problems(folder, row(center=f"\u0647\u200c{hidden}\u0647"))
        assert " holds U+200C" in told


@pytest.mark.parametrize(
    "twin", ["c1", "C 1", "C\u00a01", "C1 ", "Ｃ１", "C\u2009\u20091", "C\u200b1"], ids=lambda name: ascii(name)
)
def test_centres_of_several_spellings_are_found(twin: str) -> None:
    assert find_twins([twin, "C1", "C2", "C1"]) == [tuple(sorted(["C1", twin]))]
    assert twins_of("C1", ["C1", "C2", twin]) == (twin,)
    assert twins_of(twin, ["C1", "C2", twin]) == ("C1",)


def test_spellings_in_other_forms_of_unicode_are_twins_and_told_apart() -> None:
    composed, decomposed, capital = "K\u00f6ln", "Ko\u0308ln", "K\u00d6LN"
    [names] = find_twins([composed, decomposed, capital, "Koln", "Bonn"])
    assert set(names) == {composed, decomposed, capital}
    assert find_twins(["Straße", "STRASSE"]) == [("STRASSE", "Straße")]
    assert name_centers([composed, decomposed]) == f"{composed!r} ('K\\xf6ln'), {decomposed!r} ('Ko\\u0308ln')"
    assert find_twins(["A", "B", "A-1", "A1", "A_1"]) == []


def test_training_centres_have_one_spelling() -> None:
    refuse_twins(["C3", "C2"], ["C1", "c1", "C2", "C3"])
    for training in (["C1"], ["c1", "C2"], ["C1", "c1"]):
        with pytest.raises(InputError, match="differ by capitals, blanks or Unicode form alone") as caught:
            refuse_twins(training, ["C1", "c1", "C2"])
        assert caught.value.kind == "twin_centers"


def test_names_of_files_hold_no_null(folder: Path) -> None:
    assert problems(folder, row(image="ct\0.nii.gz", mask="m\0")) == [
        f"row 1, column {column}: {name!r} holds U+0000, a character that does not show: type it anew without"
        for column, name in (("image", "ct\0.nii.gz"), ("mask", "m\0"))
    ]


@pytest.mark.parametrize("reader", ["blast-ct:0123abcd", "threshold:00000000", "command:ffffffff"])
def test_no_person_is_named_as_a_method_that_finds_outlines(folder: Path, reader: str) -> None:
    rows = [row(), row(case_id="2", reader=reader), row(case_id="3", reader=f" {reader} ")]
    with pytest.raises(ProblemsError) as raised:
        read_manifest(write_rows(folder / "m.csv", rows))
    assert raised.value.kind == "reserved_reader"
    lines = raised.value.private.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["row 2, column reader", "row 3, column reader"]
    assert f"'{reader}' is how outlines are named that `extract` finds by itself: name the person" in lines[0]


def test_no_outline_is_named_as_a_region_that_is_derived_of_one(folder: Path) -> None:
    found = problems(folder, row(), row(case_id="2", roi="hematoma.rim5"), row(case_id="3", roi="hematoma.rim"))
    assert [line.partition(":")[0] for line in found] == ["row 2, column roi", "row 3, column roi"]
    assert "with a hyphen in place of the dot" in found[0]


@pytest.mark.parametrize(
    "roi",
    ["a.rim5", "a.rim", "a.core2.5", "a.hull", "b.a.part3", "a.largest", "a.rim0", "a.part0", "a.b", "rim5", "a.rim5x"],
)
def test_what_is_reserved_is_what_regions_are_called(roi: str) -> None:
    assert (contracts.reserved_rois().fullmatch(roi) is not None) == is_region(roi)


def test_a_method_among_other_problems_is_one_of_them(folder: Path) -> None:
    found = problems(folder, row(age="old"), row(case_id="2", reader="blast-ct:0123abcd"))
    assert [line.partition(":")[0] for line in found] == ["row 1, column age", "row 2, column reader"]


@pytest.mark.parametrize(
    "reader", ["blast-ct", "blast-ct:0123ABCD", "blast-ct:0123abcde", "nnunet:0123abcd", "Dr command:1"]
)
def test_what_no_method_is_called_is_a_person(folder: Path, reader: str) -> None:
    [case] = read_manifest(write_rows(folder / "m.csv", [row(reader=reader)]))
    assert case.rois[0].reader == reader
