"""What of an archive is wanted; dates as PS3.4 C.2.2.2.5 writes ranges of them."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pacs.archive import Series, Study, StudyQuery
from cvtbatch.pipelines.shared.pull_selection import Selection, parse_dates, read_accessions

STUDY = Study("1.2", "20240630", "A1", "Schädel nativ")
SERIES = Series("1.2", "1.2.3", "CT", "HEAD", "Axial 5.0 [soft]")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("20240101-20241231", ("20240101", "20241231")),
        ("20240101-", ("20240101", "")),
        ("-20241231", ("", "20241231")),
        ("20240229", ("20240229", "20240229")),
    ],
)
def test_ranges_of_days(text: str, days: tuple[str, str]) -> None:
    assert parse_dates(text) == days
    assert StudyQuery(days).keys() == {"StudyDate": text}


@pytest.mark.parametrize(
    "text", ["", "-", "2024", "20240101-20231231", "20230229", "20241301-", "2024-01-01", "20240101 "]
)
def test_what_is_no_range_of_days_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"no range of days|a day that there is not"):
        parse_dates(text)


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), True),
        (Selection(modalities=("MR", "CT")), True),
        (Selection(modalities=("MR",)), False),
        (Selection(body_parts=("head",)), True),
        (Selection(body_parts=("CHEST",)), False),
        (Selection(descriptions=("*angio*", "axial*")), True),
        (Selection(descriptions=("SCHÄDEL*",)), True),
        (Selection(descriptions=("axial",)), False),
        (Selection(dates=("20240630", "20240630")), True),
        (Selection(dates=("", "20240629")), False),
        (Selection(dates=("20240701", "")), False),
        (Selection(accessions=("A1",)), True),
        (Selection(accessions=("A", "A1*")), False),
    ],
)
def test_what_is_wanted_is_looked_at_here_too(selection: Selection, wanted: bool) -> None:
    assert (selection.takes_study(STUDY) and selection.takes(STUDY, SERIES)) == wanted


def test_a_study_without_a_date_is_not_of_any_day() -> None:
    undated = Study("1.2", "", "", "")
    assert Selection().takes_study(undated)
    assert not Selection(dates=("", "20241231")).takes_study(undated)


def test_every_accession_is_asked_for_with_every_modality(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffA1\r\n\n  B 2 \nA1\n", encoding="utf-8")
    accessions = read_accessions(tmp_path / "a.txt")
    assert accessions == ("A1", "B 2")
    asked = [query.keys() for query in Selection(modalities=("CT",), accessions=accessions).queries()]
    assert asked == [{"ModalitiesInStudy": "CT", "AccessionNumber": one} for one in accessions]
    for content in (b"\n\n", b"\xff\xfe"):
        (tmp_path / "a.txt").write_bytes(content)
        with pytest.raises(InputError, match=r"has none|no text"):
            read_accessions(tmp_path / "a.txt")
    with pytest.raises(InputError, match="there is no such file"):
        read_accessions(tmp_path / "none.txt")
