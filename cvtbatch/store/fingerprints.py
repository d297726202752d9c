"""Rows by what some of their columns say, as numbers: 16 bytes a row, where the texts take a hundred and more.

A fingerprint is a multilinear hash of the texts (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer
Journal 57, 2014) under keys that each process draws for itself. Rows that say the same have the same; two that do not have it with
a chance of 2^-128, whatever their texts: among a billion rows 1e-21. Fingerprints of two processes have nothing in common.
"""

import secrets
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Columns that are compared together.
Key = tuple[str, ...]
# One row each, of two numbers.
Fingerprints = npt.NDArray[np.uint64]
# Of each sum the upper half is kept.
SUMS = 4
WORD_BYTES = 4
HALF = np.uint64(32)
# The length of what is null.
NULL_LENGTH = 2**32 - 1
# Rows at a time: what is made of them on the way stays in the processor's caches.
ROWS_TOGETHER = 4096
_seed = secrets.randbits(128)


def fingerprints_of(rows: pa.Table | Iterable[pa.RecordBatch], columns: Sequence[str]) -> Fingerprints:
    """Return the fingerprints of rows: equal where all of some columns are, null for null."""
    batches = rows.select(list(columns)).to_batches(ROWS_TOGETHER) if isinstance(rows, pa.Table) else rows
    key = tuple(columns)
    found = [fingerprints_by(batch, [key])[key] for batch in batches if batch.num_rows]
    return np.concatenate([np.empty((0, 2), np.uint64), *found])


def fingerprints_by(rows: pa.RecordBatch, keys: Sequence[Key]) -> dict[Key, Fingerprints]:
    """Return the fingerprints of rows, at least one, for each of some keys; what these have in common is computed once."""
    words = {name: _words(rows[name]) for name in dict.fromkeys(name for key in keys for name in key)}
    placed = dict.fromkeys((number, name) for key in keys for number, name in enumerate(key, 1))
    products = {(number, name): words[name] @ _secrets(number, words[name].shape[1]) for number, name in placed}
    found = {}
    for key in keys:
        sums = _secrets(0, 1).repeat(rows.num_rows, axis=0)
        for of_column in enumerate(key, 1):
            sums += products[of_column]
        upper = sums >> HALF
        found[key] = upper[:, ::2] << HALF | upper[:, 1::2]
    return found


def are_among(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are among others."""
    there = np.zeros(len(keys), np.bool_)
    # Rows that one run appended lie in one order, whatever table they are of.
    least = min(len(keys), len(others))
    there[:least] = _equal(keys[:least], others[:least])
    left = np.flatnonzero(~there)
    if len(left) and len(others):
        there[left] = _among_sorted(keys[left], others)
    return there


def newest_of(keys: Fingerprints, sequences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of the newest row of every key, ascending; of rows of one sequence the first is."""
    alike = _alike(keys)
    if not len(alike):
        return np.arange(len(keys))
    codes = _codes(keys[alike])
    newest = np.empty(codes.max(initial=-1) + 1, np.int64)
    # Of places that are written to several times the last value stays.
    oldest_first = np.argsort(sequences[alike][::-1], kind="stable")
    places = len(alike) - 1 - oldest_first
    newest[codes[places]] = places
    older = np.delete(alike, newest)
    return np.delete(np.arange(len(keys)), older)


def repeated_in(keys: Fingerprints) -> npt.NDArray[np.int64]:
    """Return the places of rows that share their key with another one, ascending."""
    alike = _alike(keys)
    codes = _codes(keys[alike])
    return alike[np.bincount(codes)[codes] > 1]


def _equal(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which of two fingerprints at one place are the same."""
    same: npt.NDArray[np.bool_] = (keys[:, 0] == others[:, 0]) & (keys[:, 1] == others[:, 1])
    return same


def _among_sorted(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are among others, at least one, by where their first numbers would stand in these."""
    order, by_first = np.argsort(keys[:, 0]), np.argsort(others[:, 0])
    firsts = others[by_first, 0]
    # Sorted, they are looked for along the others, and not all over them.
    places = np.minimum(np.searchsorted(firsts, keys[order, 0]), len(others) - 1)
    found, there = firsts[places] == keys[order, 0], np.empty(len(keys), np.bool_)
    there[order] = found & (others[by_first[places], 1] == keys[order, 1])
    if len(unsure := order[found & ~there[order]]):
        codes = _codes(np.concatenate([others, keys[unsure]]))
        there[unsure] = np.isin(codes[len(others) :], codes[: len(others)])
    return there


def _alike(keys: Fingerprints) -> npt.NDArray[np.int64]:
    """Return the places of rows whose first number is another one's too, ascending: none where no key comes twice."""
    firsts = np.sort(keys[:, 0])
    twice = firsts[1:][firsts[1:] == firsts[:-1]]
    if not len(twice):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.asarray(pc.is_in(pa.array(keys[:, 0]), value_set=pa.array(twice))))


def _codes(keys: Fingerprints) -> npt.NDArray[np.int64]:
    """Return a number from 0 on for every key, the same for the same."""
    order = np.argsort(keys[:, 0])
    same = keys[order][1:] == keys[order][:-1]
    if np.any(same[:, 0] & ~same[:, 1]):
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        same = keys[order][1:] == keys[order][:-1]
    codes = np.empty(len(keys), np.int64)
    codes[order] = np.concatenate([[0], np.cumsum(~same.all(axis=1))])[: len(keys)]
    return codes


@cache
def _secrets(column: int, words: int) -> npt.NDArray[np.uint64]:
    """Return the keys of a column's first words, one row a word."""
    draw = np.random.default_rng([_seed, column])
    return draw.integers(0, 2**64, (words, SUMS), np.uint64)


def _words(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Return values, as texts, as their length and bytes, four to a number, zeros at the end: one row if all are the same text."""
    texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
    known = np.asarray(texts.is_valid())
    filled = texts if known.all() else pc.fill_null(texts, "")
    _, offset_buffer, buffer = filled.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(filled) + 1, 4 * filled.offset)
    data = np.frombuffer(buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets).astype(np.int64)
    longest = int(lengths.max())
    one_length = longest == lengths.min()
    if one_length and known.all() and np.array_equal(data[longest:], data[: len(data) - longest]):
        known, lengths, data = known[:1], lengths[:1], data[:longest]
    padded = np.zeros((len(lengths), WORD_BYTES * -(-longest // WORD_BYTES)), np.uint8)
    if one_length:
        padded[:, :longest] = data.reshape(len(lengths), longest)
    else:
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = data
    words = np.empty((len(lengths), 1 + padded.shape[1] // WORD_BYTES), np.uint64)
    words[:, 0] = np.where(known, lengths, NULL_LENGTH)
    words[:, 1:] = padded.view(np.uint32)
    return words
