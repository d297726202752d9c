"""Clinical values find their patients by the hospital's ids alone, and nobody else's."""

import datetime
from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.indexing.clinical_table import ClinicalTable, read_clinical_table


def _table(
    folder: Path, text: str, on: str = "id", name: str = "clinical.csv", centers: tuple[str, ...] = ()
) -> ClinicalTable:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_clinical_table(path, on, centers)


def test_columns_of_the_manifest_and_the_users_own_are_taken(tmp_path: Path) -> None:
    table = _table(tmp_path, "id,age,etiology,x_ward,Age,birth,patient,mask\n 007 ,62.5,CVT,Nord,63,1961,Doe,m.nii\n")
    assert table.columns == ("age", "etiology", "x_ward")
    assert table.not_taken == ("'Age' (is 'age' meant?)", "'birth'", "'patient'", "'mask'")
    assert table.values("A", "007 ") == {"age": "62.5", "etiology": "CVT", "x_ward": "Nord"}
    assert table.values("A", "7") == table.values("A", "") == {}


def test_values_are_held_to_the_manifests_rules(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as raised:
        _table(tmp_path, 'id,age,sex,cvt,etiology\n1,130,F,,\n2,62,w,,\n3,,,1,HP\n4,NaN,,,\n,50,,,\n5,"62,5",,,\n')
    assert raised.value.kind == "bad_clinical_table"
    assert "has 6 problems" in raised.value.message
    for number, what in (
        *(
            (1, "column age: '130' is out of range"),
            (2, "column sex: 'w'"),
            (3, "column cvt: 1 contradicts etiology HP"),
        ),
        *(
            (4, "column age: 'NaN' is what software writes"),
            (5, "column id: empty"),
            (6, "column age: '62,5' is not a number: write 62.5"),
        ),
    ):
        assert f"row {number}, {what}" in raised.value.private


def test_equal_ids_of_two_centres_are_two_patients(tmp_path: Path) -> None:
    table = _table(tmp_path, "center,id,age\nA,7,40\nB,7,50\n")
    assert (table.values("A", "7"), table.values("B", "7"), table.values("C", "7")) == (
        {"age": "40"},
        {"age": "50"},
        {},
    )
    assert table.unmatched([("A", "7"), ("C", "7")]) == (2,)


def test_without_centres_an_id_at_two_of_them_is_nobodys(tmp_path: Path) -> None:
    table = _table(tmp_path, "id,age\n7,40\n8,50\n")
    assert table.unmatched([("A", "7"), ("B", "8"), ("B", "9")]) == ()
    with pytest.raises(InputError, match=r"row 1 .*'A' and 'B': add a column 'center'") as raised:
        table.unmatched([("A", "7"), ("B", "7")])
    assert raised.value.kind == "clinical_table_without_center"
    assert "7" not in raised.value.message.replace("row 1", "")


def test_a_centre_in_another_spelling_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="'berlin' is 'Berlin'"):
        _table(tmp_path, "center,id,age\nberlin,7,40\n", centers=("Berlin",))
    _table(tmp_path, "center,id,age\nBerlin,7,40\nParis,7,40\n", centers=("Berlin",))


def test_zeros_that_a_spreadsheet_dropped_are_an_error_with_both_lengths(tmp_path: Path) -> None:
    table = _table(tmp_path, "id,age\n12,40\n13,50\n14,60\n")
    with pytest.raises(InputError, match=r"2 ids .*first in row 1: 2 digits there, 6 in the study") as raised:
        table.unmatched([("A", "000012"), ("A", "000013"), ("A", "14")])
    assert raised.value.kind == "unpadded_ids"
    assert "000012" not in raised.value.message
    # Who has both ids has two patients.
    assert table.unmatched([("A", "000012"), ("A", "12"), ("A", "13"), ("A", "14")]) == ()
    assert table.unmatched([("A", "012a"), ("A", "13"), ("A", "14")]) == (1,)


def test_a_table_that_fits_no_patient_is_refused_with_the_shapes_of_ids_alone(tmp_path: Path) -> None:
    table = _table(tmp_path, "id,age\n0047101,40\n0047102,50\n")
    with pytest.raises(InputError, match=r"none of 2 rows .* any of 1 patients") as raised:
        table.unmatched([("A", "0047102_Mustermann")])
    assert raised.value.kind == "clinical_table_fits_nothing"
    assert "ids look like 7 digits, those of the studies like 7 digits '_' 10 letters" in raised.value.message
    assert not [secret for secret in ("4710", "Muster") if secret in raised.value.message]
    assert raised.value.private == "in the table '0047102', of a study '0047102_Mustermann'"
    with pytest.raises(InputError, match="those of the studies like empty"):
        table.unmatched([("A", "")])
    assert table.unmatched([]) == (1, 2)
    with pytest.raises(InputError, match="column 'center' has 'Bern', the studies are of 'B': spell"):
        _table(tmp_path, "center,id,age\nBern,7,40\n").unmatched([("B", "7")])


def test_a_patient_may_stand_twice_if_the_rows_agree(tmp_path: Path) -> None:
    assert _table(tmp_path, "id,age,sex\n7,40,F\n 7,40,F\n").values("A", "7") == {"age": "40", "sex": "F"}
    with pytest.raises(ProblemsError, match=r"row 3: the patient of row 1, with another age and sex"):
        _table(tmp_path, "id,age,sex\n7,40,F\n7,40,F\n7,41,\n")
    with pytest.raises(ProblemsError, match=r"row 2: the patient of row 1, with another onset"):
        _table(tmp_path, "id,onset\n7,2024-01-31\n7,2024-02-01\n")


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31 14:05",
        "2024-01-31T14:05:00",
        "2024-01-31_14:05",
        "2024-01-31 14:05:00,000",
        "31.01.2024 14:05",
        "31.1.2024, 14:05",
        "31.1.2024 14:05:00",
    ],
)
def test_the_onset_is_read_and_never_a_value(tmp_path: Path, text: str) -> None:
    table = _table(tmp_path, f"id;age;onset\n7;40;{text}\n8;40;\n")
    assert table.has_onset
    assert table.onset("A", "7") == datetime.datetime(2024, 1, 31, 14, 5)
    assert table.onset("A", "8") is table.onset("A", "9") is None
    assert "onset" not in table.columns
    assert not table.not_taken


@pytest.mark.parametrize(
    "text",
    [
        "1/31/2024 14:05",
        "20240131",
        "31.02.2024",
        "yesterday",
        "2024-01-31 14:05+01:00",
        "45322.58",
        '"2024-01-31 14,05"',
    ],
)
def test_a_time_that_could_be_another_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProblemsError, match=r"row 1, column onset: .* is no time such as 2024-01-31 14:05"):
        _table(tmp_path, f"id,onset\n7,{text}\n")


def test_a_column_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'id'; it has 'PatID', 'age'"):
        _table(tmp_path, "PatID,age\n7,40\n")
    with pytest.raises(InputError, match="no column that a manifest takes: etiology, cvt"):
        _table(tmp_path, "id,Alter\n7,40\n")


def test_participants_of_bids_are_read_in_our_words(tmp_path: Path) -> None:
    text = "participant_id\tage\tsex\thandedness\nsub-01\t62\tmale\tn/a\nsub-02\tn/a\tF\tR\nsub-03\t89+\tO\tL\n"
    table = _table(tmp_path, text, "participant_id", "participants.tsv")
    assert table.values("A", "sub-01") == {"age": "62", "sex": "M"}
    assert table.values("A", "sub-02") == {"age": "", "sex": "F"}
    assert table.values("A", "sub-03") == {"age": "", "sex": ""}
    with pytest.raises(ProblemsError, match="row 2, column age: 'n/a'"):
        _table(tmp_path, text, "participant_id", "other.tsv")
