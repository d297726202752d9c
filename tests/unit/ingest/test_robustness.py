"""Whatever a file holds, it is read or refused with a kind: soon, in little memory, without a crash.

Run with -s to see the tables of outcomes.
"""

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import gdcm
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from cvtbatch.pipelines.archive.check_files import CaseCheck, check_case
from tests.support.series import case, change, multiframe, recode, write

SECONDS, MEGABYTES = 20, 1024


def outcome(image: Path) -> str:
    """Check a source as `cvtbatch check` does; return "read" or the kind of its refusal, within the limits."""
    before, start = _peak_mb(), time.perf_counter()
    findings = check_case(CaseCheck(case(image), (0.5, 0.5, 5.0)))
    assert time.perf_counter() - start < SECONDS, f"{image.name} took too long"
    assert _peak_mb() - before < MEGABYTES, f"{image.name} took too much memory"
    (kind,) = [problem.kind for problem in findings.problems] or ["read"]
    assert kind != "internal_error", f"{image}: {findings.problems}"
    assert all(problem.message for problem in findings.problems)
    return kind


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(title: str, outcomes: Counter[str]) -> None:
    print(f"\n{title}")
    for kind, count in outcomes.most_common():
        print(f"{count:6} {kind}")


def installed() -> list[Path]:
    """Return pydicom's test files that came with it, and the folders of series among them; nothing is downloaded."""
    root = Path(pydicom.__file__).parent / "data"
    files = sorted({Path(name) for name in get_testdata_files() if Path(name).is_relative_to(root)})
    return [*files, *sorted({path.parent for path in files if len(list(path.parent.iterdir())) < 60}), root]


def test_pydicoms_own_files() -> None:
    sources = installed()
    assert len(sources) > 150
    outcomes = {source: outcome(source) for source in sources}
    show("pydicom's installed files", Counter(outcomes.values()))
    kinds = {source.name: kind for source, kind in outcomes.items()}
    assert kinds["CT_small.dcm"] == "single_slice"
    assert kinds["MR_small.dcm"] == "no_ct_series"
    assert kinds["README.txt"] == "unknown_format"
    assert len(set(kinds.values())) > 4


Mutation = Callable[[bytes, random.Random], bytes]


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, more often in the header, which is short."""
    changed = bytearray(data)
    end = len(data) if rng.random() < 0.4 else min(len(data), 1600)
    for _ in range(rng.choice((1, 1, 3, 12))):
        changed[rng.randrange(128, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _elements(data: bytes) -> list[tuple[int, int, int]]:
    """Return (start, place of its length, end) of every element of an explicit little-endian file with short or long lengths."""
    elements, place = [], 132
    while place + 8 <= len(data):
        long = data[place + 4 : place + 6] in {b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"UR"}
        where, size = (place + 8, 4) if long else (place + 6, 2)
        length = int.from_bytes(data[where : where + size], "little")
        end = len(data) if length == 0xFFFFFFFF else where + size + length
        elements.append((place, where, end))
        place = end
    return elements


def without_a_tag(data: bytes, rng: random.Random) -> bytes:
    start, _, end = rng.choice(_elements(data))
    return data[:start] + data[end:]


def with_lengths_swapped(data: bytes, rng: random.Random) -> bytes:
    (_, one, _), (_, other, _) = rng.sample(_elements(data), 2)
    changed = bytearray(data)
    changed[one : one + 2], changed[other : other + 2] = data[other : other + 2], data[one : one + 2]
    return bytes(changed)


MUTATIONS: tuple[Mutation, ...] = (truncated, flipped, without_a_tag, with_lengths_swapped)


def mutants(folder: Path, count: int, seed: int) -> Iterator[None]:
    """Spoil one file of a folder at a time, by each mutation in turn, and mend it again."""
    files = sorted(folder.iterdir())
    good = {path: path.read_bytes() for path in files}
    rng = random.Random(seed)
    for number in range(count):
        path = rng.choice(files)
        path.write_bytes(MUTATIONS[number % len(MUTATIONS)](good[path], rng))
        yield
        path.write_bytes(good[path])


def test_mutations_of_a_good_series(tmp_path: Path) -> None:
    write(tmp_path / "s", gaps=(5.0,) * 5)
    outcomes = Counter(outcome(tmp_path / "s") for _ in mutants(tmp_path / "s", 500, seed=1))
    show("500 mutations of a series", outcomes)
    assert outcomes.total() == 500
    assert len(outcomes) > 5
    assert outcome(tmp_path / "s") == "read"


ENCODERS = {
    "RLE": lambda folder: change(folder, lambda dataset: dataset.compress(RLELossless)),
    "JPEG-LS": lambda folder: change(folder, lambda dataset: dataset.compress(JPEGLSLossless)),
    "JPEG 2000": lambda folder: change(folder, lambda dataset: dataset.compress(JPEG2000Lossless)),
    "JPEG lossless": lambda folder: recode(folder, gdcm.TransferSyntax.JPEGLosslessProcess14_1),
}


@pytest.mark.parametrize(
    ("encoder", "count"), [("RLE", 120), ("JPEG-LS", 120), ("JPEG 2000", 120), ("JPEG lossless", 40)]
)
def test_mutations_of_compressed_series(tmp_path: Path, encoder: str, count: int) -> None:
    """A decoder that crashed would take this process along; gdcm, which does, has one of its own."""
    write(tmp_path / "s", gaps=(5.0,), size=(64, 64))
    ENCODERS[encoder](tmp_path / "s")
    outcomes = Counter(outcome(tmp_path / "s") for _ in mutants(tmp_path / "s", count, seed=2))
    show(f"{count} mutations of a series in {encoder}", outcomes)
    assert outcomes["unreadable_pixels"] > 0
    assert outcome(tmp_path / "s") == "read"


def test_mutations_of_a_multiframe_object(tmp_path: Path) -> None:
    write(tmp_path / "s", gaps=(5.0,) * 3)
    (tmp_path / "m").mkdir()
    multiframe(tmp_path / "s", tmp_path / "m" / "one.dcm")
    outcomes = Counter(outcome(tmp_path / "m") for _ in mutants(tmp_path / "m", 100, seed=3))
    show("100 mutations of a multi-frame object", outcomes)
    assert outcome(tmp_path / "m") == "read"


def test_claims_of_65535_cubed_take_no_memory(tmp_path: Path) -> None:
    write(tmp_path / "s", gaps=(5.0,) * 3)
    multiframe(tmp_path / "s", tmp_path / "one.dcm")
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    dataset.Rows = dataset.Columns = dataset.NumberOfFrames = 65535
    dataset.save_as(tmp_path / "one.dcm")
    before = _peak_mb()
    assert outcome(tmp_path / "one.dcm") == "too_large"
    assert _peak_mb() - before < 16
