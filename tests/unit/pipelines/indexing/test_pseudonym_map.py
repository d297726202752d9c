"""The pseudonym map: pseudonyms by another computation, a file that is nobody else's, and many hands at one map."""

import csv
import hashlib
import hmac
import multiprocessing
import os
from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.manifest.pseudonyms import suspicions_of
from cvtbatch.pipelines.indexing.pseudonym_map import COLUMNS, PseudonymMap, default_map_path
from cvtbatch.pipelines.shared.uid_key import UidKey

KEY = UidKey(b"a key of the tests, of 32 bytes.")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "own" / "pseudonyms.csv"


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _write(path: Path, *rows: tuple[str, ...], key_id: str = KEY.key_id) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *((*row, key_id) for row in rows)])
    path.chmod(0o600)


def _by_hand(prefix: str, text: str) -> str:
    """The last 60 bits of the HMAC, five at a time from the end."""
    bits = "".join(f"{byte:08b}" for byte in hmac.new(KEY.secret, text.encode(), hashlib.sha256).digest())
    digits = [CROCKFORD[int(bits[end - 5 : end], 2)] for end in range(256, 256 - 60, -5)]
    return f"{prefix}-{''.join(digits[:6])}-{''.join(digits[6:])}"


def test_pseudonyms_are_hmacs_of_centre_and_ids(path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    assert pseudonyms.patient("Köln", "0012") == _by_hand("P", '["patient","Köln","0012"]')
    assert pseudonyms.case("Köln", "0012", "1.2.3") == _by_hand("C", '["case","Köln","0012","1.2.3"]')


def test_they_tell_centres_patients_and_keys_apart(path: Path, tmp_path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    patients = {pseudonyms.patient(center, patient) for center in ("A", "B") for patient in ("1", "01", "1,1", '"1')}
    assert len(patients) == 8
    assert len({pseudonyms.case("A", "1", study) for study in ("1", "2")} | {pseudonyms.case("A", "", "1")}) == 3
    elsewhere = PseudonymMap.open(tmp_path / "other.csv", KEY)
    assert elsewhere.patient("A", "1") in patients
    other_key = PseudonymMap.open(tmp_path / "third.csv", UidKey(b"another key of the tests"))
    assert other_key.patient("A", "1") not in patients


@pytest.mark.parametrize("text", [" 0012 ", "0012\0", "\t0012"])
def test_what_dicom_pads_an_id_with_does_not_count(path: Path, text: str) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    assert pseudonyms.patient("A", text) == pseudonyms.patient("A", "0012")
    assert pseudonyms.patient("A", "Mu\u0308ller") == pseudonyms.patient("A", "Müller")


def test_without_an_id_there_is_no_patient_and_still_a_case(path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    assert pseudonyms.patient("A", " \0") == ""
    first, second = pseudonyms.case("A", "", "1.2"), pseudonyms.case("A", "", "1.3")
    assert first != second
    pseudonyms.save()
    assert [row[3] for row in _rows(path)[1:]] == ["", ""]
    with pytest.raises(InputError, match="no id") as raised:
        pseudonyms.case("A", "1", "")
    assert raised.value.kind == "no_study_id"


def test_no_pseudonym_looks_like_an_id_of_a_hospital(path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    assert not any(suspicions_of(pseudonyms.case("A", "1", str(number))) for number in range(3000))


def test_ids_of_any_text_come_back_as_they_were(path: Path) -> None:
    ids = ["Müller, Jörg", "a\nb", "\udcfc", "=1+1", "\u00a05\u00a0", 'x"y', "5", "木村"]
    pseudonyms = PseudonymMap.open(path, KEY)
    cases = [pseudonyms.case("A", patient, "1") for patient in ids]
    pseudonyms.save()
    again = PseudonymMap.open(path, KEY)
    assert [again.case("A", patient, "1") for patient in ids] == cases
    before = path.read_bytes()
    again.save()
    assert path.read_bytes() == before
    assert len(set(cases)) == len(ids) - 1  # blanks around 5


def test_the_file_is_its_owners_alone_from_the_first_byte(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (seen.append(os.fstat(file).st_mode & 0o777), fsync(file)))
    mask = os.umask(0)
    try:
        pseudonyms = PseudonymMap.open(path, KEY)
        assert path.stat().st_mode & 0o777 == 0o600
        pseudonyms.case("A", "1", "1")
        pseudonyms.save()
    finally:
        os.umask(mask)
    assert (seen, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ([0o600], 0o600, 0o700)


def test_what_others_can_read_is_refused(path: Path) -> None:
    PseudonymMap.open(path, KEY)
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600") as raised:
        PseudonymMap.open(path, KEY)
    assert raised.value.kind == "pseudonym_map_exposed"


def test_it_lies_in_no_store(tmp_path: Path) -> None:
    (tmp_path / "cvtbatch-store.json").write_text("{}")
    with pytest.raises(InputError, match="outside") as raised:
        PseudonymMap.open(tmp_path / "deep" / "map.csv", KEY)
    assert raised.value.kind == "pseudonym_map_in_store"
    assert not (tmp_path / "deep").exists()


def test_a_link_to_a_map_stays_one(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    pseudonyms = PseudonymMap.open(link, KEY)
    pseudonyms.case("A", "1", "1")
    pseudonyms.save()
    assert link.is_symlink()
    assert len(_rows(path)) == 2
    store = tmp_path / "store"
    store.mkdir()
    (store / "cvtbatch-store.json").write_text("{}")
    (tmp_path / "into").symlink_to(store)
    with pytest.raises(InputError, match="outside"):
        PseudonymMap.open(tmp_path / "into" / "map.csv", KEY)


def test_a_map_of_another_key_is_refused(path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    pseudonyms.case("A", "1", "1")
    pseudonyms.save()
    other = UidKey(b"another key of the tests")
    with pytest.raises(InputError, match=f"{KEY.key_id}.*{other.key_id}.*CVTBATCH_UID_KEY") as raised:
        PseudonymMap.open(path, other)
    assert raised.value.kind == "other_uid_key"


def test_rows_and_columns_that_a_person_wrote_stay_and_count(path: Path) -> None:
    path.parent.mkdir()
    header = "note,center,patient_id,study_id,patient,case_id,uid_key_id"
    own = f"ours,A,7,1.7,Study-007,Study-007-1,{KEY.key_id}"
    path.write_text(f"\ufeff{header}\n{own}\n", encoding="utf-8")
    path.chmod(0o600)
    pseudonyms = PseudonymMap.open(path, KEY)
    assert (pseudonyms.patient("A", "7"), pseudonyms.case("A", "7", "1.7")) == ("Study-007", "Study-007-1")
    pseudonyms.case("A", "7", "1.8")
    pseudonyms.save()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [header, own]
    assert lines[2].startswith(",A,7,1.8,Study-007,C-")
    assert len(lines) == 3


def test_a_pseudonym_for_two_is_refused_and_the_zeros_of_spreadsheets_are_named(path: Path) -> None:
    pseudonym = PseudonymMap.open(path, KEY).patient("A", "0012")
    _write(path, ("A", "12", "1", pseudonym, "C-1"))
    with pytest.raises(InputError, match="leading zeros") as raised:
        PseudonymMap.open(path, KEY).patient("A", "0012")
    assert raised.value.kind == "pseudonym_collision"
    _write(path, ("A", "1", "1", "P-1", "C-1"), ("A", "2", "1", "P-2", "C-1"))
    with pytest.raises(InputError, match="case_id C-1"):
        PseudonymMap.open(path, KEY)
    _write(path, ("A", "1", "1", "P-1", "C-1"), ("B", "1", "1", "P-1", "C-1"))
    PseudonymMap.open(path, KEY)


def test_rows_that_contradict_and_cells_that_no_manifest_takes_are_refused(path: Path) -> None:
    _write(path, ("A", "1", "1", "P-1", "C-1"), ("A", "1", "2", "P-2", "C-2"))
    with pytest.raises(InputError, match="P-1 and P-2") as raised:
        PseudonymMap.open(path, KEY)
    assert raised.value.kind == "pseudonym_conflict"
    _write(path, ("A", "1", "1", "=P", "C-1"), ("A", "2", "1", "P-2", ""))
    with pytest.raises(ProblemsError, match=r"(?s)2 problems.*row 1, column patient.*row 2, column case_id"):
        PseudonymMap.open(path, KEY)
    path.write_text("center,patient_id\n")
    with pytest.raises(InputError, match="no column study_id, patient, case_id, uid_key_id"):
        PseudonymMap.open(path, KEY)


def test_a_map_that_was_edited_meanwhile_is_not_overruled(path: Path) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    pseudonyms.case("A", "1", "1")
    _write(path, ("A", "1", "1", "Mine", "Mine-1"))
    before = path.read_bytes()
    with pytest.raises(InputError, match="edited") as raised:
        pseudonyms.save()
    assert raised.value.kind == "pseudonym_conflict"
    assert path.read_bytes() == before


def test_what_is_interrupted_leaves_the_map_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pseudonyms = PseudonymMap.open(path, KEY)
    pseudonyms.case("A", "1", "1")
    pseudonyms.save()
    before = path.read_bytes()
    pseudonyms.case("A", "1", "2")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(InputError, match="name another one") as raised:
            pseudonyms.save()
    assert raised.value.kind == "no_pseudonym_map"
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    # A process that was killed left half a file.
    path.with_name(f".{path.name}.part").write_text("cent")
    pseudonyms.save()
    assert len(_rows(path)) == 3
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def _add(path: Path, worker: int) -> None:
    for number in range(10):
        pseudonyms = PseudonymMap.open(path, KEY)
        pseudonyms.case("A", "shared", str(number))
        pseudonyms.case("A", str(worker), str(number))
        pseudonyms.save()


def test_processes_that_save_at_once_lose_no_row_and_write_none_twice(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(path, worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    studies = [tuple(row[:3]) for row in _rows(path)[1:]]
    assert len(studies) == len(set(studies)) == 50


def test_where_nothing_can_be_written_is_said_before_anything_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="name another one") as raised:
        PseudonymMap.open(Path("/proc/no-such-place/map.csv"), KEY)
    assert raised.value.kind == "no_pseudonym_map"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="read-only"):
        PseudonymMap.open(path, KEY)


def test_by_default_it_lies_with_the_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_map_path() == tmp_path / "cvtbatch" / "pseudonyms.csv"
