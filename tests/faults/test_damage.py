"""Files of a store that are cut, empty, gone or changed: every reader says that the store is damaged, and none that we are."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.errors import CvtbatchError, FormatError
from cvtbatch.pipelines.extraction import embedding_worker
from cvtbatch.pipelines.extraction.embedding_plan import WeightsRef
from cvtbatch.pipelines.stores.status import read_status
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.commands import cvtbatch
from tests.support.paths import ROOT

FLIPS = 6


def read_everything(store: Path) -> None:
    """Read what `status`, `export` and `score` do."""
    read_status(str(store), flow=True)
    found = FeatureStore(str(store))
    for name in contracts.table_names():
        found.current(name).to_pylist()
    for name in ("volumes", "rois"):
        for row in found.table(name).current(["path", "checksum"]).to_pylist():
            found.read_array(StoredArray(row["path"], row["checksum"]))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of all tables: that of an earlier version, whose files carry no digest of theirs."""
    store = tmp_path_factory.mktemp("sound") / "store"
    shutil.copytree(ROOT / "tests" / "compat" / "store-1" / "store", store)
    FeatureStore.open_for_writing(str(store))
    read_everything(store)
    return store


KINDS: dict[str, Callable[[str], bool]] = {
    "cvtbatch-store.json": lambda key: key == "cvtbatch-store.json",
    "log": lambda key: "/_delta_log/" in key,
    "text table": lambda key: key.startswith(("tables/specs/", "tables/runs/")) and key.endswith(".parquet"),
    "number table": lambda key: key.startswith("tables/radiomics/") and key.endswith(".parquet"),
    "group": lambda key: ".zarr/" in key,
}


def damages(data: bytes, dice: random.Random) -> Iterator[bytes | None]:
    yield from (None, b"", data[: len(data) // 2], bytes(len(data)), dice.randbytes(len(data)))
    for flip in range(FLIPS):
        changed = bytearray(data)
        # The high bit makes of a letter what is no text.
        changed[dice.randrange(len(data))] ^= 0x80 if flip % 2 else 1 << dice.randrange(8)
        yield bytes(changed)


DAMAGE = {
    *("store_damaged", "not_a_store", "volume_damaged", "volume_missing"),
    *("table_damaged", "table_log_damaged", "commits_lost"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_called_damage(sound: Path, tmp_path: Path, kind: str) -> None:
    dice = random.Random(kind)
    store = tmp_path / "store"
    shutil.copytree(sound, store)
    keys = sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file())
    # Every kind of file once: the log's last entry but one, and the last of the others.
    path = store / [key for key in keys if KINDS[kind](key)][-2 if kind == "log" else -1]
    data = path.read_bytes()
    outcomes: Counter[str] = Counter()
    said: set[str] = set()
    for damaged in damages(data, dice):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        try:
            read_everything(store)
        except CvtbatchError as error:
            outcomes[error.kind] += 1
            said.add(error.message)
        path.write_bytes(data)
    # What is no file of its kind is always found; a flipped bit of a log or a page may be another value.
    assert outcomes.total() >= 3, outcomes
    assert set(outcomes) <= DAMAGE, outcomes
    assert kind == "cvtbatch-store.json" or not any(str(tmp_path) in message for message in said)
    read_everything(store)


def test_the_command_says_what_to_do(sound: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(sound, store)
    next((store / "tables" / "runs").glob("*.parquet")).write_bytes(b"PAR1")
    run = cvtbatch("status", "--store", store)
    assert run.returncode == 1
    assert "reading table runs: a file of the store is gone, or its bytes are not what was written" in run.stderr
    assert "a defect of cvtbatch" not in run.stderr


def test_weights_that_are_not_what_was_written(tmp_path: Path) -> None:
    url, sha256 = str(tmp_path / "store"), "a" * 64
    ref = WeightsRef("tuned.safetensors", sha256, DEFAULT, url)
    store = FeatureStore.open_for_writing(url)
    with pytest.raises(FormatError) as caught:
        embedding_worker._fetch(ref)
    assert caught.value.kind == "weights_missing"
    store.write_weights(sha256, b"\xff" * 100)
    with pytest.raises(FormatError, match="remove their file below weights/ and run again") as caught:
        embedding_worker._fetch(ref)
    assert caught.value.kind == "weights_damaged"
