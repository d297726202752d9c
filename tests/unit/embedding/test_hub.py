"""Weights of a model hub: what is asked for, what is refused, and what is said of their licence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cvtbatch.embedding.architectures import Architecture, find_architecture
from cvtbatch.embedding.hub import HubFile
from cvtbatch.embedding.weights import is_named, is_non_commercial, licence_in, load_weights, random_weights, to_bytes
from cvtbatch.errors import InputError
from tests.support.file_server import FileServer, serve_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"hf:lab/net@{COMMIT}:weights/model.safetensors"
BELOW = f"/lab/net/resolve/{COMMIT}"
CARD = b"---\nlicense: cc-by-nc-4.0\ntags: [ct]\n---\n# A network\n"


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return find_architecture("torchvision:mobilenet_v3_small")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, architecture: Architecture) -> Iterator[FileServer]:
    """A server with the hub's layout."""
    monkeypatch.delenv("CVTBATCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serve_files() as server:
        monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
        data = to_bytes(random_weights(0, architecture)).replace(b'"true"', b'"flse"')
        server.files = {f"{BELOW}/weights/model.safetensors": data, f"{BELOW}/README.md": CARD}
        yield server


def test_a_file_at_a_commit_is_fetched_once_with_the_licence_of_its_card(
    hub: FileServer, architecture: Architecture, tmp_path: Path
) -> None:
    for _ in range(2):
        found = load_weights(NAME, architecture)
        assert (found.source, found.licence, found.not_for_inference) == (NAME, "cc-by-nc-4.0", False)
        assert found.sha256 == random_weights(0, architecture).sha256
    assert hub.asked == [f"{BELOW}/weights/model.safetensors", f"{BELOW}/README.md"]
    # The store's copy of them says it too, and its name is no file's.
    assert (licence_in(to_bytes(found)), is_named(NAME)) == ("cc-by-nc-4.0", True)
    assert load_weights(str(next(tmp_path.rglob("model.safetensors"))), architecture).sha256 == found.sha256


def test_a_card_that_says_no_licence_says_none(hub: FileServer, tmp_path: Path) -> None:
    file = HubFile.parse(NAME)
    hub.files.clear()
    assert file.licence() == ""
    for card in (b"no front matter", b"---\n[\n---\n", b"---\n- a\n---\n", b"---\nlicense: [mit]\n---\n", b"\xff\xfe"):
        hub.files[f"{BELOW}/README.md"] = card
        assert file.licence() == ""
        next(tmp_path.rglob("README.md")).unlink()
    hub.files[f"{BELOW}/README.md"] = b"---\r\nlicense: other\r\nlicense_name: lab-nc\r\n---\r\n"
    assert file.licence() == "other, lab-nc"


@pytest.mark.parametrize(
    "name",
    [
        "hf:lab/net@main:model.safetensors",
        f"hf:lab/net@{COMMIT[:12]}:model.safetensors",
        f"hf:lab/net@{COMMIT}:pytorch_model.bin",
        f"hf:lab/net@{COMMIT}:../../model.safetensors",
        f"hf:lab/net@{COMMIT}:a/../../model.safetensors",
        f"hf:../net@{COMMIT}:model.safetensors",
        f"hf:net@{COMMIT}:model.safetensors",
    ],
)
def test_what_can_move_or_hold_code_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="the 40 digits of a commit") as raised:
        HubFile.parse(name)
    assert raised.value.kind == "bad_weights"


def test_without_the_hub_one_is_told_which_file_to_put_where(
    hub: FileServer, architecture: Architecture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.files.clear()
    with pytest.raises(InputError) as raised:
        load_weights(NAME, architecture)
    assert raised.value.kind == "no_weights"
    assert f"fetch {hub.url}{BELOW}/weights/model.safetensors and put it at {tmp_path}" in raised.value.message
    monkeypatch.setenv("CVTBATCH_DATA", str(tmp_path / "data"))
    with pytest.raises(
        InputError, match=f"has no hub/lab/net/{COMMIT}/weights/model.safetensors: fetch http"
    ) as raised:
        load_weights(NAME, architecture)
    assert raised.value.kind == "no_weights"


def test_half_a_file_is_no_weights(hub: FileServer, architecture: Architecture) -> None:
    path = f"{BELOW}/weights/model.safetensors"
    hub.files[path] = hub.files[path][:1000]
    with pytest.raises(InputError, match="no safetensors file") as raised:
        load_weights(NAME, architecture)
    assert raised.value.kind == "bad_weights"


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("cc-by-nc-4.0", True),
        ("for non-commercial research", True),
        ("Creative Commons Attribution Non Commercial 4.0 International", True),
        ("CC_BY_NC_4.0", True),
        ("for research use only", True),
        ("apache-2.0", False),
        ("", False),
        ("ncsa", False),
    ],
)
def test_licences_that_allow_no_commercial_use_are_known_by_their_words(licence: str, told: bool) -> None:
    assert is_non_commercial(licence) is told
