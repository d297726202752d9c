"""Rows by what some of their columns say, as numbers: 16 bytes a row, where the texts take a hundred and more.

A fingerprint is a multilinear hash of the texts (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer
Journal 57, 2014) under keys that each process draws for itself. Rows that say the same have the same; two that do not have it with
a chance of 2^-128, whatever their texts: among a billion rows 1e-21. Fingerprints of two processes have nothing in common.
"""

import functools
import operator
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
# Rows at a time: what is made of them on the way stays in the processor's caches, and threads seldom wait for the interpreter.
ROWS_TOGETHER = 8192
# Of so many fingerprints one is looked for where others may lie in the same order, but elsewhere.
SAMPLED = 1024
_seed = secrets.randbits(128)


def fingerprints_of(rows: pa.Table | Iterable[pa.RecordBatch], columns: Sequence[str]) -> Fingerprints:
    """Return the fingerprints of rows: equal where all of some columns are, null for null."""
    batches = rows.select(list(columns)).to_batches(ROWS_TOGETHER) if isinstance(rows, pa.Table) else rows
    key = tuple(columns)
    found = [fingerprints_by(batch, [key])[key] for batch in batches if batch.num_rows]
    return np.concatenate([np.empty((0, 2), np.uint64), *found])


def fingerprints_by(rows: pa.RecordBatch, keys: Sequence[Key]) -> dict[Key, Fingerprints]:
    """Return the fingerprints of rows, at least one, for each of some keys; what these have in common is computed once."""
    texts = {name: _Texts.of(rows[name]) for name in dict.fromkeys(name for key in keys for name in key)}
    placed = dict.fromkeys((number, name) for key in keys for number, name in enumerate(key, 1))
    products = {(number, name): texts[name].products(number) for number, name in placed}
    found = {}
    for key in keys:
        parts = [_secrets(0, 1), *(part for of_column in enumerate(key, 1) for part in products[of_column])]
        # What is the same for all rows is added up first.
        sums = functools.reduce(operator.add, sorted(parts, key=len))
        upper = (sums >> HALF).astype(np.uint32).view(np.uint64)
        found[key] = upper if len(upper) == rows.num_rows else upper.repeat(rows.num_rows, axis=0)
    return found


def are_among(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are among others."""
    there = np.zeros(len(keys), np.bool_)
    # Rows that one run appended lie in one order, whatever table they are of.
    least = min(len(keys), len(others))
    there[:least] = _equal(keys[:least], others[:least])
    for find in (_among_shifted, _among_hashed):
        left = ~there
        if left.any() and len(others):
            there[left] = find(chosen(keys, left), others)
    return there


def chosen(keys: Fingerprints, flags: npt.NDArray[np.bool_]) -> Fingerprints:
    """Return the fingerprints that are flagged; not a copy where all are."""
    return keys if flags.all() else keys[flags]


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


def shared_in(keys: Fingerprints, owners: Fingerprints) -> npt.NDArray[np.int64]:
    """Return the places of rows whose key is that of another owner's row too, ascending."""
    alike = _alike(keys)
    codes = _codes(keys[alike])
    one_of = np.empty(codes.max(initial=-1) + 1, np.int64)
    one_of[codes] = alike
    is_others = ~_equal(owners[alike], owners[one_of[codes]])
    return alike[np.bincount(codes, is_others)[codes] > 0]


def _equal(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which of two fingerprints at one place are the same."""
    same: npt.NDArray[np.bool_] = (keys[:, 0] == others[:, 0]) & (keys[:, 1] == others[:, 1])
    return same


def _among_shifted(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say of which fingerprints it is sure that they are among others, at least one: of those that lie beside each other in both.

    So where files of two tables lie in two orders, or some rows have nothing in the other table: some of the others are looked for,
    and as far as they are shifted, their neighbours are.
    """
    sampled = pc.index_in(pa.array(keys[:, 0]), value_set=pa.array(others[::SAMPLED, 0])).fill_null(-1)
    hits = np.flatnonzero(np.asarray(sampled) >= 0)
    shifts = SAMPLED * np.asarray(sampled)[hits].astype(np.int64) - hits
    there = np.zeros(len(keys), np.bool_)
    # Many are the same key, which lies beside another one each time.
    if len(hits) > 2 * len(others[::SAMPLED]):
        return there
    runs = np.split(hits, np.flatnonzero(np.diff(shifts)) + 1) if len(hits) else []
    # Between two runs rows may be of either.
    begins, ends = [0, *(run[-1] + 1 for run in runs[:-1])], [*(run[0] for run in runs[1:]), len(keys)]
    for run, begin, end in zip(runs, begins, ends, strict=False):
        shift = shifts[np.searchsorted(hits, run[0])]
        own = slice(max(begin, -shift), min(end, len(others) - shift))
        there[own] |= _equal(keys[own], others[own.start + shift : own.stop + shift])
    return there


def _among_hashed(keys: Fingerprints, others: Fingerprints) -> npt.NDArray[np.bool_]:
    """Say which fingerprints are among others, at least one, by where their first numbers stand in these."""
    places = np.asarray(pc.index_in(pa.array(keys[:, 0]), value_set=pa.array(others[:, 0])).fill_null(-1))
    there: npt.NDArray[np.bool_] = (places >= 0) & (others[places, 1] == keys[:, 1])
    # Of several with one first number only the first was looked at.
    if len(unsure := np.flatnonzero((places >= 0) & ~there)):
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


@dataclass(frozen=True, slots=True)
class _Texts:
    """Texts of a column, as numbers.

    Attributes:
        lengths: in bytes, NULL_LENGTH of what is null; one row if all are the same.
        words: the bytes, four to a number, zeros at the end; one row if all texts are the same.
    """

    lengths: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, values: pa.Array) -> "_Texts":
        """Take values as texts; at least one."""
        texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
        known = not texts.null_count
        filled = texts if known else pc.fill_null(texts, "")
        _, offset_buffer, buffer = filled.buffers()
        offsets = np.frombuffer(offset_buffer, np.int32, len(filled) + 1, 4 * filled.offset)
        data = np.frombuffer(buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
        lengths = offsets[1:] - offsets[:-1]
        longest = int(lengths.max())
        one_length = bool(longest == lengths.min())
        if one_length and _repeats(data, longest):
            lengths, data = lengths[:1], data[:longest]
        words = _words(data, lengths, longest, one_length)
        if known:
            return cls(lengths[: 1 if one_length else None].astype(np.uint64), words)
        return cls(np.where(texts.is_valid(), lengths.astype(np.uint64), np.uint64(NULL_LENGTH)), words)

    def products(self, column: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return what lengths and bytes add to the sums, under the keys of a column's place."""
        keys = _secrets(column, 1 + self.words.shape[1])
        return self.lengths[:, None] * keys[0], self.words @ keys[1:]


def _repeats(data: npt.NDArray[np.uint8], length: int) -> bool:
    """Say whether texts of one length are all the same."""
    if not np.array_equal(data[:length], data[len(data) - length :]):
        return False
    return np.array_equal(data[length:], data[: len(data) - length])


def _words(
    data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int32], longest: int, one_length: bool
) -> npt.NDArray[np.uint32]:
    """Return the bytes of texts, which lie one after the other, as numbers."""
    padded_length = WORD_BYTES * -(-longest // WORD_BYTES)
    if one_length and longest == padded_length:
        return data.reshape(len(lengths), longest).view(np.uint32)
    padded = np.zeros((len(lengths), padded_length), np.uint8)
    if one_length:
        padded[:, :longest] = data.reshape(len(lengths), longest)
    else:
        padded[np.arange(padded_length) < lengths[:, None]] = data
    return padded.view(np.uint32)
