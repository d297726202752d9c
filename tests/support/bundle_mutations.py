"""Bundles that lie: a bundle's files changed at random, hashes made anew so that the change reaches what lies behind them.

Mutation N of a bundle is the same wherever it is made.
"""

import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load, save

from cvtbatch.dlrn.bundle import SCORED_WITH, sha256
from cvtbatch.dlrn.bundle_files import ARRAYS, DOCUMENT, FILES, GOLDEN
from cvtbatch.dlrn.model_arrays import DESCRIPTION
from cvtbatch.spec import canonical_json, digest

Files = dict[str, bytes]
ODD_NUMBERS = (
    0,
    -1,
    1,
    2,
    -(2**31),
    2**31 - 1,
    2**32,
    1 << 62,
    0.5,
    -0.0,
    1e308,
    1e-308,
    float("nan"),
    float("inf"),
    -float("inf"),
)
ODD_VALUES: tuple[object, ...] = (
    *(*ODD_NUMBERS, 10**400, None, True, "", "x" * 100_000, "\ud800", "embedding", "../x"),
    *([], {}, [[]], [1] * 10_000, {"a": {"b": 1}}),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed bundle: its files, or a whole tar of them; `kind` says what was changed."""

    kind: str
    files: Files
    tar: bytes | None = None

    def write(self, folder: Path) -> Path:
        if self.tar is not None:
            (folder / "bundle.tar").write_bytes(self.tar)
            return folder / "bundle.tar"
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return folder


def files_of(folder: Path) -> Files:
    return {name: (folder / name).read_bytes() for name in (DOCUMENT, *FILES)}


def with_hashes(files: Files, document: Any = None) -> Files:
    """Return the files with the hashes of what they now are."""
    document = json.loads(files[DOCUMENT]) if document is None else document
    if isinstance(document, dict) and isinstance(document.get("files"), dict):
        hashes = document["files"]
        hashes |= {name: sha256(files[name]) for name in FILES if name in files and name in hashes}
    return {**files, DOCUMENT: json.dumps(document).encode()}


def resealed(files: Files) -> Files:
    """Return the files as who knows all of it would leave them: the golden rows name the changed model."""
    golden = pq.read_table(io.BytesIO(files[GOLDEN]))
    document = json.loads(files[DOCUMENT])
    seal = digest(
        sha256(files[ARRAYS]), canonical_json({name: document[name] for name in DESCRIPTION if name in document})
    )
    return with_hashes({**files, GOLDEN: parquet(golden.replace_schema_metadata({SCORED_WITH: seal}))})


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def odd_bytes(data: bytes, dice: random.Random) -> bytes:
    """Cut, extend, empty or flip."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8))):
        match dice.randrange(5):
            case 0:
                del changed[dice.randrange(len(changed) + 1) :]
            case 1:
                changed += dice.randbytes(dice.randrange(1, 2000))
            case 2 if dice.randrange(10) == 0:
                changed.clear()
            case _ if changed:
                changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def change_number(files: Files, dice: random.Random) -> Files:
    arrays = {name: array.copy() for name, array in load(files[ARRAYS]).items()}
    for _ in range(dice.choice((1, 1, 1, 3, 20))):
        array = arrays[dice.choice(sorted(arrays))].reshape(-1)
        place = dice.randrange(len(array))
        near = (
            len(array),
            len(array) - 1,
            array[place] + 1,
            array[place] - 1,
            array[place] * 2,
            array[dice.randrange(len(array))],
        )
        value = dice.choice((*ODD_NUMBERS, *near))
        with np.errstate(all="ignore"):
            array[place] = (
                np.array(value, np.float64).astype(array.dtype)
                if np.isfinite(value)
                else (value if array.dtype.kind == "f" else -(2**31))
            )
    return with_hashes({**files, ARRAYS: save(arrays)})


def change_shape(files: Files, dice: random.Random) -> Files:
    arrays = dict(load(files[ARRAYS]))
    name = dice.choice(sorted(arrays))
    array = arrays[name]
    changes: Sequence[Callable[[], Any]] = (
        lambda: array.T,
        lambda: array[:-1],
        lambda: array[:0],
        lambda: np.concatenate([array, array]),
        lambda: array.reshape(-1),
        lambda: array[None],
        lambda: array.reshape(-1)[0],
        lambda: array[..., None],
        lambda: array.astype(dice.choice(["f4", "f2", "f8", "i4", "i8", "u1", "i2", "u4", "?"])),
        lambda: array[::-1],
        lambda: array.view(np.uint8),
    )
    with np.errstate(all="ignore"):
        arrays[name] = np.ascontiguousarray(dice.choice(changes)())
    return with_hashes({**files, ARRAYS: save(arrays)})


def change_names(files: Files, dice: random.Random) -> Files:
    arrays = dict(load(files[ARRAYS]))
    name, other = dice.sample(sorted(arrays), 2)
    match dice.randrange(4):
        case 0:
            del arrays[name]
        case 1:
            arrays[name], arrays[other] = arrays[other], arrays[name]
        case 2:
            arrays[dice.choice(("", "more", "../x", "out_of_fold.dlr.events", "recalibration"))] = arrays.pop(name)
        case _:
            arrays = {key: array for key, array in arrays.items() if not key.startswith(name.partition(".")[0])}
    return with_hashes({**files, ARRAYS: save(arrays)})


def change_header(files: Files, dice: random.Random) -> Files:
    data = files[ARRAYS]
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    match dice.randrange(6):
        case 0:
            length = dice.choice((0, 1, length - 1, length + 1, 1 << 20, 99 << 20, 1 << 40, 2**63, 2**64 - 1))
        case 1:
            header = odd_bytes(header, dice)
            length = len(header)
        case 2:
            header = b"[" * dice.choice((200, 100_000))
            length = len(header)
        case 3:
            document = json.loads(header)
            entry = document[dice.choice(sorted(document))]
            entry[dice.choice(sorted(entry))] = dice.choice(
                (
                    "F4",
                    "BF16",
                    "F8_E4M3",
                    "I64",
                    [],
                    [-1],
                    [2**62, 2**62],
                    [0, 2**63],
                    [1 << 40],
                    [0, 0],
                    [8, 0],
                    "x",
                    None,
                )
            )
            header = json.dumps(document).encode()
            length = len(header)
        case 4:
            body = odd_bytes(body, dice)
        case _:
            header = json.dumps(
                {"__metadata__": {"a": "b" * dice.choice((10, 2 << 20))}, **json.loads(header)}
            ).encode()
            length = len(header)
    return with_hashes({**files, ARRAYS: length.to_bytes(8, "little") + header + body})


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in entries for place in places_in(part, (*path, key)))]


# What scores come from is looked at more often than what a report quotes.
TOLD = (
    "thresholds",
    "nomogram",
    "columns",
    "embedding_length",
    "missing_feature",
    "files",
    "format_version",
    "recalibration",
)


def change_document(files: Files, dice: random.Random) -> Files:
    document = json.loads(files[DOCUMENT])
    for _ in range(dice.choice((1, 1, 2, 5))):
        places = [place for place in places_in(document) if place]
        told = [place for place in places if place[0] in TOLD]
        path = dice.choice(told if told and dice.randrange(2) else places)
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        match dice.randrange(5):
            case 0:
                del parent[path[-1]]
            case 1 if isinstance(parent, list):
                parent.append(parent[-1])
            case 1:
                parent["more"] = dice.choice(ODD_VALUES)
            case 2 if isinstance(parent[path[-1]], int | float):
                parent[path[-1]] *= dice.choice((-1, 2, 1 + 1e-6))
            case _:
                parent[path[-1]] = dice.choice(ODD_VALUES)
    return with_hashes(files, document)


def change_text(files: Files, dice: random.Random) -> Files:
    text = files[DOCUMENT].decode()
    deep = dice.choice((100, 900, 100_000, 2_000_000))
    choices: Sequence[Callable[[], bytes]] = (
        lambda: odd_bytes(files[DOCUMENT], dice),
        lambda: text.encode("utf-16"),
        lambda: b"[" * deep,
        lambda: text.replace('"job": {', '"job": {"x": ' + "[" * deep + "]" * deep + ",", 1).encode(),
        lambda: text.replace('"job": {', '"job": {"x": ' + '{"a":' * deep + "1" + "}" * deep + ",", 1).encode(),
        lambda: text.replace('"image_digests": []', '"image_digests": [' + "1," * deep + "1]", 1).encode(),
        lambda: text.replace("0.0", dice.choice(("NaN", "-Infinity", "1e999", "1" * 5000)), 1).encode(),
        lambda: b"",
        lambda: b"null",
        lambda: text.encode() + b" " * (17 << 20),
    )
    return {**files, DOCUMENT: dice.choice(choices)()}


def change_golden(files: Files, dice: random.Random) -> Files:
    table = pq.read_table(io.BytesIO(files[GOLDEN]))
    name = dice.choice(table.column_names)
    place = table.column_names.index(name)
    column = table[name]
    rows = column.to_pylist()
    row = dice.randrange(len(rows))

    def with_column(values: Any) -> pa.Table:
        return table.set_column(place, name, values)

    numbers = [float("nan"), 1e300, None, 0.0, -1.0, float("inf")]
    own = [
        [dice.choice(numbers[:1] + numbers[3:])] * 32 if column.type == pa.list_(pa.float32()) else dice.choice(numbers)
    ]
    kind = pa.float64() if pa.types.is_integer(column.type) else column.type
    choices: Sequence[Callable[[], pa.Table]] = (
        lambda: table.drop_columns([name]),
        lambda: with_column(pa.nulls(len(rows), column.type)),
        lambda: with_column(pa.nulls(len(rows))),
        lambda: with_column(pa.array([str(value) for value in rows])),
        lambda: with_column(pa.array(["x"] * len(rows))),
        lambda: with_column(pa.array([[1.0] * dice.choice((0, 1, 33))] * len(rows), pa.list_(pa.float32()))),
        lambda: with_column(pa.array([*rows[:row], *own, *rows[row + 1 :]], kind)),
        lambda: with_column(pa.array([True] * len(rows))),
        lambda: table.slice(0, 0),
        lambda: table.slice(0, 1),
        lambda: table.append_column(name, column),
        lambda: table.append_column("expected_more", column),
        lambda: table.append_column("radiomics_spec_id", pa.array(["rad-other"] * len(rows))),
        lambda: table.select([column for column in table.column_names if not column.startswith("expected_")]),
        lambda: pa.concat_tables([table] * dice.choice((2, 200))),
        lambda: table.take(dice.sample(range(len(rows)), len(rows))),
    )  # fmt: skip
    return with_hashes({**files, GOLDEN: parquet(dice.choice(choices)())})


def change_golden_bytes(files: Files, dice: random.Random) -> Files:
    return with_hashes({**files, GOLDEN: odd_bytes(files[GOLDEN], dice)})


def change_files(files: Files, dice: random.Random) -> Files:
    name = dice.choice(sorted(files))
    if dice.randrange(2):
        return {other: data for other, data in files.items() if other != name}
    return {**files, name: odd_bytes(files[name], dice)}


def change_all(files: Files, dice: random.Random) -> Files:
    """Change numbers of a model and leave nothing that tells of it."""
    changed = dice.choice((change_number, change_shape, change_names))(files, dice)
    return resealed(changed)


def tar_of(files: Files, dice: random.Random) -> bytes:
    buffer = io.BytesIO()
    odd = dice.randrange(8)
    with tarfile.open(fileobj=buffer, mode="w", format=dice.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(
                {0: f"../{name}", 1: f"/tmp/{name}", 2: f"a/../../{name}", 3: f"some/{name}"}.get(odd, name)
            )
            entry.size = len(data)
            if odd == 4 and name == ARRAYS:
                entry.type, entry.linkname, entry.size = (
                    dice.choice((tarfile.SYMTYPE, tarfile.LNKTYPE)),
                    "/etc/passwd",
                    0,
                )
            tar.addfile(entry, io.BytesIO(data))
            if odd == 5:
                tar.addfile(entry, io.BytesIO(data))
        for number in range(5000 if odd == 6 else 0):
            tar.addfile(tarfile.TarInfo(f"more/{number}"))
    data = bytearray(buffer.getvalue())
    if odd == 7:
        # Sizes, types and names of members, their checksums made anew.
        start = 512 * dice.randrange(4)
        field = dice.choice((124, 124, 156, 0, 257))
        data[start + field : start + field + 12] = dice.choice(
            (b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777\0", dice.randbytes(12), b"\xff" * 10 + b"\xfe\x00")
        )
        header = data[start : start + 512]
        header[148:156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return bytes(data) if dice.randrange(3) else odd_bytes(bytes(data), dice)


KINDS: dict[str, Callable[[Files, random.Random], Files]] = {
    "number": change_number,
    "shape": change_shape,
    "names": change_names,
    "header": change_header,
    "document": change_document,
    "text": change_text,
    "golden": change_golden,
    "golden bytes": change_golden_bytes,
    "files": change_files,
    "another model": change_all,
}
WEIGHTS = (6, 2, 1, 2, 5, 1, 2, 2, 1, 3, 1)


def mutant(number: int, bundles: Mapping[str, Files]) -> tuple[str, Mutant]:
    """Make mutation `number`: of which bundle, and what."""
    dice = random.Random(number)
    title = dice.choice(sorted(bundles))
    files = bundles[title]
    kind = dice.choices((*KINDS, "tar"), WEIGHTS)[0]
    if kind == "tar":
        return title, Mutant(kind, files, tar_of(files, dice))
    return title, Mutant(kind, KINDS[kind](files, dice))
