"""Files and folders that appear whole or not at all."""

from pathlib import Path

import pytest

from cvtbatch.whole_files import written_whole


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with written_whole(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
        assert aside.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def write() -> None:
        with written_whole(path) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_holds_nothing_of_an_earlier_one_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    (tmp_path / ".bundle.part").mkdir()
    (tmp_path / ".bundle.part" / "left").touch()
    with written_whole(path, folder=True) as aside:
        aside.mkdir()
        (aside / "model").touch()
    assert [file.name for file in path.iterdir()] == ["model"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_removes_no_folder_and_follows_no_link(tmp_path: Path) -> None:
    theirs = tmp_path / ".out.csv.part"
    theirs.mkdir()
    (theirs / "notes").touch()
    with pytest.raises(OSError, match="directory"), written_whole(tmp_path / "out.csv"):
        pass
    assert (theirs / "notes").exists()
    (tmp_path / ".bundle.part").symlink_to(theirs)
    with written_whole(tmp_path / "bundle", folder=True) as aside:
        aside.mkdir()
    assert (theirs / "notes").exists()
