"""Parts of an object are those of its bytes, read from a disk by ourselves."""

from pathlib import Path

import pytest

from cvtbatch.store.location import Location
from cvtbatch.store.objects import get_ranges, get_tail

DATA = bytes(range(100))


@pytest.fixture
def location(tmp_path: Path) -> Location:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "file").write_bytes(DATA)
    return Location(str(tmp_path))


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101])
def test_a_tail_is_the_end_of_an_object_or_all_of_it(location: Location, length: int) -> None:
    assert get_tail(location, "part/file", length) == (DATA[max(0, 100 - length) :], 100)


def test_ranges_are_parts_of_an_object_as_far_as_it_has_them(location: Location) -> None:
    ranges = [(0, 10), (10, 10), (50, 100), (90, 120), (5, 7), (200, 210)]
    assert get_ranges(location, "part/file", ranges) == [DATA[start:end] for start, end in ranges]
    assert get_ranges(location, "part/file", []) == []


def test_an_object_that_is_not_there_is_not_found(location: Location) -> None:
    for key in ("part/other", "other/file"):
        with pytest.raises(FileNotFoundError):
            get_tail(location, key, 10)
        with pytest.raises(FileNotFoundError):
            get_ranges(location, key, [(0, 1)])
