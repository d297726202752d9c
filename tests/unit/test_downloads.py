"""What comes from elsewhere: fetched once from a real server, checked, found in another folder, and never half there."""

import gzip
import hashlib
from pathlib import Path

import pytest

from cvtbatch import downloads
from cvtbatch.downloads import DATA_SETS, DataSet, fetch_data_set, fetch_file, find_data_set, read_file
from cvtbatch.errors import InputError
from tests.support.commands import cvtbatch
from tests.support.file_server import FileServer
from tests.support.ports import free_port

CONTENT = {"a.dcm": b"first" * 1000, "b.dcm": b"second" * 1000}


class Served(DataSet):
    """A data set that lies on the tests' own server."""

    server = ""

    def url(self, name: str) -> str:
        return f"{self.server}/{name}"


@pytest.fixture
def data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file_server: FileServer) -> DataSet:
    listed = "\n".join(f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in CONTENT.items())
    made = Served("heads", "heads", "nobody/nothing", "0" * 40, "in", "MIT", listed)
    monkeypatch.setattr(Served, "server", file_server.url)
    monkeypatch.setattr(downloads, "DATA_SETS", {"heads": made})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CVTBATCH_DATA", raising=False)
    file_server.files.update({f"/{name}": content for name, content in CONTENT.items()})
    return made


def test_files_are_fetched_once_and_checked_each_time(
    data_set: DataSet, tmp_path: Path, file_server: FileServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert find_data_set("heads") is None
    for _ in range(2):
        found = fetch_data_set("heads")
        assert {name: path.read_bytes() for name, path in found.items()} == CONTENT
    assert file_server.asked == ["/a.dcm", "/b.dcm"]
    folder = tmp_path / "cache" / "cvtbatch" / "heads"
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONTENT)
    assert find_data_set("heads") == found
    (folder / "a.dcm").write_bytes(b"other")
    for look in (find_data_set, fetch_data_set):
        with pytest.raises(InputError, match="delete it"):
            look("heads")
    assert capfd.readouterr() == ("", "")


def test_what_ends_in_the_middle_or_is_another_file_is_not_kept(
    data_set: DataSet, tmp_path: Path, file_server: FileServer
) -> None:
    file_server.truncated.add("/a.dcm")
    with pytest.raises(InputError) as truncated:
        fetch_data_set("heads")
    assert truncated.value.kind == "no_data"
    file_server.truncated.clear()
    file_server.files["/a.dcm"] = b"another"
    with pytest.raises(InputError, match="gave another file, of SHA-256") as other:
        fetch_data_set("heads")
    assert other.value.kind == "bad_data"
    del file_server.files["/a.dcm"]
    with pytest.raises(InputError, match=r"404.*fetch http.*a.dcm and put it at .*a.dcm"):
        fetch_data_set("heads")
    assert list((tmp_path / "cache" / "cvtbatch" / "heads").iterdir()) == []


def test_a_machine_without_network_is_told_what_to_put_where(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/x.dcm"
    with pytest.raises(InputError) as refused:
        fetch_file(url, tmp_path / "x.dcm", "00")
    assert "Connection refused" in refused.value.message
    assert refused.value.message.endswith(f"fetch {url} and put it at {tmp_path / 'x.dcm'}")


def test_another_folder_is_read_and_nothing_fetched(
    data_set: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_server: FileServer
) -> None:
    """Files may be compressed there; one that is missing is an error and no reason to fetch it."""
    monkeypatch.setenv("CVTBATCH_DATA", str(tmp_path))
    folder = tmp_path / "heads"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(CONTENT["a.dcm"])
    with pytest.raises(InputError, match=r"the folder that CVTBATCH_DATA names has no heads/b.dcm"):
        fetch_data_set("heads")
    (folder / "b.dcm.gz").write_bytes(gzip.compress(CONTENT["b.dcm"]))
    found = fetch_data_set("heads")
    assert {name: read_file(path) for name, path in found.items()} == CONTENT
    assert file_server.asked == []


def test_a_name_that_is_not_there_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match="no data set real-head; there are head-ct-ge,"):
        fetch_data_set("real-head")


def test_every_data_set_is_pinned() -> None:
    """Whole commits and whole hashes, no file twice, and a folder and a licence each."""
    places = [(data_set.folder, name) for data_set in DATA_SETS.values() for name in data_set.files()]
    assert len(places) == len(set(places)) > 40
    for data_set in DATA_SETS.values():
        assert len(bytes.fromhex(data_set.commit)) == 20
        assert {len(bytes.fromhex(sha256)) for sha256 in data_set.files().values()} == {32}
        assert data_set.licence in {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT"}


def test_the_command_lists_what_there_is_and_copies_a_set_beside_where_it_keeps_it(
    data_set: DataSet, tmp_path: Path
) -> None:
    listed = cvtbatch("download", check=True).stdout
    assert all(part in listed for part in ("heads", "2 files", "MIT", "nobody/nothing at 0000000000"))
    out = tmp_path / "out"
    assert cvtbatch("download", "heads", "--out", out, check=True).stdout == f"{out / 'heads'}\n"
    assert {path.name: path.read_bytes() for path in (out / "heads").iterdir()} == CONTENT
