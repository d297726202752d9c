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


def fingerprints(rows: pa.Table | Iterable[pa.RecordBatch], columns: Sequence[str]) -> Fingerprints:
    """Return the fingerprints of rows: equal where all of some columns are, null for null."""
    batches = rows.select(list(columns)).to_batches(ROWS_TOGETHER) if isinstance(rows, pa.Table) else rows
    found = [_of_batch([batch[name] for name in columns]) for batch in batches if batch.num_rows]
    return np.concatenate([np.empty((0, 2), np.uint64), *found])


def are_among(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are among others."""
    codes = _codes(np.concatenate([others, keys]))
    there = np.zeros(len(codes), np.bool_)
    there[codes[: len(others)]] = True
    return there[codes[len(others) :]]


def newest_of(keys: Fingerprints, sequences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of the newest row of every key, ascending; of rows of one sequence the first is."""
    codes = _codes(keys)
    newest = np.empty(codes.max(initial=-1) + 1, np.int64)
    # Of places that are written to several times the last value stays.
    oldest_first = np.argsort(sequences[::-1], kind="stable")
    places = len(keys) - 1 - oldest_first
    newest[codes[places]] = places
    return np.sort(newest)


def repeated_in(keys: Fingerprints) -> npt.NDArray[np.int64]:
    """Return the places of rows that share their key with another one, ascending."""
    codes = _codes(keys)
    return np.flatnonzero(np.bincount(codes)[codes] > 1)


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


def _of_batch(columns: Sequence[pa.Array]) -> Fingerprints:
    sums = _secrets(0, 1).repeat(len(columns[0]), axis=0)
    for number, column in enumerate(columns, 1):
        words = _words(column if pa.types.is_string(column.type) else column.cast(pa.string()))
        sums += words @ _secrets(number, words.shape[1])
    upper = sums >> HALF
    return upper[:, ::2] << HALF | upper[:, 1::2]


@cache
def _secrets(column: int, words: int) -> npt.NDArray[np.uint64]:
    """Return the keys of a column's first words, one row a word."""
    draw = np.random.default_rng([_seed, column])
    return draw.integers(0, 2**64, (words, SUMS), np.uint64)


def _words(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """Return texts as their length and their bytes, four to a number, one row a text, zeros at the end."""
    known = np.asarray(texts.is_valid())
    filled = texts if known.all() else pc.fill_null(texts, "")
    _, offset_buffer, data = filled.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(filled) + 1, 4 * filled.offset)
    lengths = np.diff(offsets).astype(np.int64)
    width = -(-int(lengths.max()) // WORD_BYTES)
    padded = np.zeros((len(filled), WORD_BYTES * width), np.uint8)
    if data is not None:
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    words = np.empty((len(filled), 1 + width), np.uint64)
    words[:, 0] = np.where(known, lengths, NULL_LENGTH)
    words[:, 1:] = padded.view(np.uint32)
    return words
