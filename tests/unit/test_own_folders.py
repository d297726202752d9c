"""Where what is the user's own lies, also for a user without a home."""

from pathlib import Path

import pytest

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.own_folders import own_folder, temporary_folder
from cvtbatch.pipelines.shared import uid_key


def test_a_variable_goes_before_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert own_folder("XDG_STATE_HOME", ".local", "state") == tmp_path / "home" / ".local" / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert own_folder("XDG_STATE_HOME", ".local", "state") == tmp_path / "state"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", uid_key.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(InputError, match="set HOME, or XDG_DATA_HOME") as raised:
        own_folder("XDG_DATA_HOME", ".local", "share")
    assert raised.value.kind == "no_home"
    # Of a key of his own that is in no file, the user may say it instead.
    with pytest.raises(InputError, match=uid_key.VARIABLE) as raised:
        uid_key.load_uid_key()
    assert raised.value.kind == "no_uid_key"


def test_a_temporary_folder_goes_at_the_end_and_is_said_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder("cvtbatch-test-") as folder:
        assert (folder.parent, folder.stat().st_mode & 0o777) == (tmp_path, 0o700)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", "/proc/no-such-place")
    with pytest.raises(ResourceError, match="TMPDIR") as raised, temporary_folder("cvtbatch-test-"):
        pass
    assert raised.value.kind == "no_scratch"
