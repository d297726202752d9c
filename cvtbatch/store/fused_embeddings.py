"""Embeddings of several networks as one: of every slice that all have embedded, their numbers one behind the other.

A network that sees the whole outline as one box gives each slice the same numbers, beside networks that see single slices.

Fused embeddings are named by their specifications with a plus between them, in the order in which their numbers stand. They are
computed of what is stored, and stored nowhere.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import InputError
from cvtbatch.spec import FUSE, FUSE_NAMES, Spec
from cvtbatch.store.row_keys import as_text
from cvtbatch.store.taken_rows import MOST_NUMBERS, take_rows

OUTLINE = ("roi_key", "input_digest")
SLICE = (*OUTLINE, "slice_index")

# Reads columns of the embeddings of one specification, the one of them among some.
Read = Callable[[Sequence[str], Sequence[str]], pa.Table]


def read_embeddings(
    read: Read, columns: Sequence[str], spec_ids: Sequence[str], find: Callable[[Sequence[str]], Mapping[str, Spec]]
) -> pa.Table:
    """Return the rows of one specification among some, or where a fused one is among them a row for each slice that all have.

    `embedding` then has the numbers of the first network and behind them those of the next; `weights` names all; it is not for
    inference where one of them is not. Other columns that differ (device, run) are of the first network that sees slices.

    Args:
        columns: of the table.
        spec_ids: that the rows are restricted to.
        find: the specifications by id, once it is sure that some are among them.

    Raises:
        InputError: "bad_fusion": what is to be fused is not several networks' embeddings of the same volumes, each once, or there
            is more beside it.
    """
    if not any(FUSE in spec_id for spec_id in spec_ids):
        return read(columns, spec_ids)
    specs = find(spec_ids)
    fused = _require_fusion(spec_ids, specs)
    others = [spec_id for spec_id in spec_ids if spec_id != fused]
    parts = fused.split(FUSE)
    rows = [read(list(dict.fromkeys([*columns, *SLICE])), [*others, part]) for part in parts]
    keys = [OUTLINE if _sees_box(specs[part]) else SLICE for part in parts]
    lead = keys.index(SLICE) if SLICE in keys else 0
    shared = rows[lead]
    for own, key in zip(rows, keys, strict=True):
        shared = shared.filter(pc.is_in(as_text(shared, key), value_set=as_text(own, key)))
    aligned = [
        take_rows(own, pc.index_in(as_text(shared, key), value_set=as_text(own, key)))
        for own, key in zip(rows, keys, strict=True)
    ]
    label = json.loads(rows[lead].schema.metadata[b"cvtbatch"]) | {"embedding_spec_id": fused}
    whole = _side_by_side(shared.select(list(columns)), aligned, fused)
    return whole.replace_schema_metadata({"cvtbatch": json.dumps(label)})


def _sees_box(embedding: Spec) -> bool:
    """Say whether a network sees all slices of an outline at once, so that it has one row of each."""
    return "size_zyx" in embedding.content().get("resize", {})


def _require_fusion(spec_ids: Sequence[str], specs: Mapping[str, Spec]) -> str:
    """Return the fused specification among some, once it is sure that it can be had.

    Raises:
        InputError: "bad_fusion".
    """
    fused = [spec_id for spec_id in dict.fromkeys(spec_ids) if FUSE in spec_id]
    alone = [spec_id for spec_id in spec_ids if spec_id in specs and specs[spec_id].kind == "embedding"]
    if len(fused) > 1 or alone:
        raise InputError(
            "bad_fusion",
            f"{' and '.join([*fused, *alone])} are asked for at once: name one, fused or not, of embeddings",
        )
    parts = fused[0].split(FUSE)
    if len(set(parts)) < len(parts):
        raise InputError("bad_fusion", f"{fused[0]} has the same embeddings twice")
    if others := [part for part in parts if specs[part].kind != "embedding"]:
        raise InputError(
            "bad_fusion", f"{fused[0]} fuses embeddings, and {others[0]} is a specification of {specs[others[0]].kind}"
        )
    if len({specs[part].parent_id for part in parts}) > 1:
        raise InputError("bad_fusion", f"the embeddings of {fused[0]} are of volumes of different specifications")
    return fused[0]


def _side_by_side(found: pa.Table, rows: Sequence[pa.Table], fused: str) -> pa.Table:
    """Return rows with what the networks, a table each of the same slices in the same order, say of them together."""
    for place, name in enumerate(found.column_names):
        own = [of_network[name] for of_network in rows]
        match name:
            case "embedding_spec_id":
                joined = pa.repeat(fused, len(found))
            case "embedding":
                joined = behind_one_another(own)
            case "weights":
                joined = pc.binary_join_element_wise(*own, FUSE_NAMES)
            case "not_for_inference":
                joined = functools.reduce(pc.or_, own)
            case _:
                continue
        found = found.set_column(place, found.schema.field(name), joined)
    return found


def behind_one_another(embeddings: Sequence[pa.ChunkedArray], most: int = MOST_NUMBERS) -> pa.ChunkedArray:
    """Return lists of the networks' numbers, one list a row.

    Args:
        embeddings: of each network, equally many; a network's have one length.
        most: numbers that one array of the result has; Arrow counts them in 32 bits, and beyond these on from the least.
    """
    count, kind = len(embeddings[0]), pa.list_(pa.float32())
    if not count:
        return embeddings[0]
    at_once = max(most // sum(len(column[0]) for column in embeddings), 1)
    parts = []
    for start in range(0, count, at_once):
        part = [_matrix(column.slice(start, at_once)) for column in embeddings]
        whole = np.concatenate(part, axis=1)
        parts.append(pa.FixedSizeListArray.from_arrays(pa.array(whole.ravel()), whole.shape[1]).cast(kind))
    return pa.chunked_array(parts, kind)


def _matrix(embeddings: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in embeddings.chunks]
    return np.concatenate(values).reshape(len(embeddings), -1)
