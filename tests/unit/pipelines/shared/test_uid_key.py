"""The key of UID hashes: made once, kept from others, never shown; equal keys give equal hashes."""

import hashlib
import hmac
import pickle
from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pipelines.shared.uid_key import VARIABLE, UidKey, load_uid_key

UID = "1.2.840.113619.2.55.3.1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "cvtbatch"


def test_a_key_is_made_once_for_its_user_alone(home: Path) -> None:
    first = load_uid_key()
    assert load_uid_key() == first
    assert [path.name for path in home.iterdir()] == ["uid-key"]
    assert (home / "uid-key").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert len(bytes.fromhex(first.secret.decode())) == 32


def test_two_sites_with_one_key_hash_alike_and_others_do_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_uid_key()
    shared = (home / "uid-key").read_text(encoding="utf-8")
    monkeypatch.setenv(VARIABLE, shared.strip())
    assert load_uid_key() == own
    monkeypatch.setenv(VARIABLE, "another key, also long enough")
    other = load_uid_key()
    assert other.hash(UID) != own.hash(UID)
    assert other.key_id != own.key_id
    assert own.hash(UID) == hmac.new(shared.strip().encode(), UID.encode(), hashlib.sha256).hexdigest()


def test_the_key_is_not_in_its_text_and_survives_the_way_to_a_worker() -> None:
    key = UidKey(b"a secret that nobody may read")
    assert "secret that" not in f"{key!r} {key} {[key]}"
    assert pickle.loads(pickle.dumps(key)) == key


def test_a_file_that_others_can_read_is_refused(home: Path) -> None:
    load_uid_key()
    (home / "uid-key").chmod(0o640)
    with pytest.raises(InputError, match="chmod 600") as raised:
        load_uid_key()
    assert raised.value.kind == "uid_key_exposed"


@pytest.mark.parametrize("text", ["", "short", " " * 40])
def test_a_weak_key_is_refused_and_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InputError, match=VARIABLE) as raised:
        load_uid_key()
    assert raised.value.kind == "weak_uid_key"
    assert "short" not in str(raised.value)


def test_without_a_place_for_it_the_user_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/no-such-place")
    with pytest.raises(InputError, match=VARIABLE) as raised:
        load_uid_key()
    assert raised.value.kind == "no_uid_key"
