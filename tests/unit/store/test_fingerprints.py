"""Fingerprints are equal where all texts are, whatever slices and batches hold them; what is built on them is what dicts say."""

import numpy as np
import pyarrow as pa
import pytest

from cvtbatch.store import fingerprints as module
from cvtbatch.store.fingerprints import are_among, fingerprints_of, newest_of, shared_in

TEXTS = ["", None, "a", "a\0", "\0", "ab", "abcd", "abcde", "é", "日本", "x" * 5000, "a", None, "", "abcd\0\0\0\0"]


def test_fingerprints_are_equal_where_all_columns_are_and_nowhere_else() -> None:
    pairs = [(first, second) for first in TEXTS for second in TEXTS]
    rows = pa.table({"a": [first for first, _ in pairs], "b": [second for _, second in pairs]})
    found = [tuple(row) for row in fingerprints_of(rows, ["a", "b"]).tolist()]
    by_pair = dict(zip(pairs, found, strict=True))
    assert found == [by_pair[pair] for pair in pairs]
    assert len(set(by_pair.values())) == len(by_pair)


def test_fingerprints_do_not_depend_on_how_rows_are_cut() -> None:
    rows = pa.table({"number": list(range(15)), "text": TEXTS})
    whole = fingerprints_of(rows, ["text", "number"])
    cut = pa.concat_tables([rows.slice(0, 3), rows.slice(3, 0), rows.slice(3, 7), rows.slice(10)])
    assert np.array_equal(fingerprints_of(cut, ["text", "number"]), whole)
    assert np.array_equal(fingerprints_of(rows.slice(5), ["text", "number"]), whole[5:])
    assert fingerprints_of(rows.slice(0, 0), ["text"]).shape == (0, 2)


@pytest.mark.parametrize(
    "texts", [TEXTS, ["12345678", "abcdefgh"] * 3, ["é", "ab", "ba"], ["same"] * 3, [None, "1234"]]
)
def test_fingerprints_are_multilinear_hashes(texts: list[str | None]) -> None:
    """Lemire and Kaser's, computed in Python's integers: of each sum the upper half, of texts that begin anywhere in memory."""
    rows = pa.table({"a": ["?", *texts], "b": ["?", *texts[::-1]]}).slice(1)
    secrets = [module._secrets(column, 2000).tolist() for column in range(3)]
    expected = []
    for pair in zip(texts, texts[::-1], strict=True):
        sums = list(secrets[0][0])
        for text, keys in zip(pair, secrets[1:], strict=True):
            data = (text or "").encode()
            words = [
                int.from_bytes(data[place : place + 4].ljust(4, b"\0"), "little") for place in range(0, len(data), 4)
            ]
            for word, of_word in zip([2**32 - 1 if text is None else len(data), *words], keys, strict=False):
                sums = [(one + word * key) % 2**64 for one, key in zip(sums, of_word, strict=True)]
        upper = [one >> 32 for one in sums]
        expected.append([upper[0] | upper[1] << 32, upper[2] | upper[3] << 32])
    assert fingerprints_of(rows, ["a", "b"]).tolist() == expected


@pytest.mark.parametrize("texts", [["same"] * 5, ["abcdef", "abcdeg"] * 3, [""] * 3, [None] * 3, ["", None, ""]])
def test_texts_of_one_length_and_equal_ones_have_the_fingerprints_of_each_alone(texts: list[str | None]) -> None:
    rows = pa.table({"text": pa.array(texts, pa.string()), "other": [f"{n}" for n in range(len(texts))]})
    for columns in (["text"], ["text", "other"]):
        alone = [fingerprints_of(rows.slice(place, 1), columns) for place in range(len(texts))]
        assert np.array_equal(fingerprints_of(rows, columns), np.concatenate(alone))


@pytest.mark.parametrize("alike", [False, True])
def test_sets_and_newest_rows_are_those_of_dicts(alike: bool) -> None:
    """Keys that are alike in their first number are told apart by the second."""
    draw = np.random.default_rng(1)
    keys = draw.integers(0, 40, (300, 2)).astype(np.uint64)
    others = draw.integers(0, 40, (700, 2)).astype(np.uint64)
    if alike:
        keys[:, 0], others[:, 0] = 7, 7
    told, of_others = list(map(tuple, keys.tolist())), set(map(tuple, others.tolist()))
    assert are_among(keys, others).tolist() == [key in of_others for key in told]
    assert are_among(others, np.concatenate([others[:400], keys])).tolist() == [
        key in {*map(tuple, others[:400].tolist()), *told} for key in map(tuple, others.tolist())
    ]
    assert are_among(keys, np.roll(keys, 7, axis=0)).all()
    assert not are_among(keys, others[:0]).any()
    assert are_among(keys[:0], others).shape == (0,)
    owners = draw.integers(0, 4, 300)
    of = [{owner for key, owner in zip(told, owners, strict=True) if key == own} for own in told]
    shared = shared_in(keys, np.stack([owners, owners], axis=1).astype(np.uint64))
    assert len(shared)
    assert shared.tolist() == [place for place, several in enumerate(of) if len(several) > 1]
    assert shared_in(keys[:0], keys[:0]).tolist() == []
    sequences = draw.integers(0, 9, 300)
    newest: dict[tuple[int, ...], int] = {}
    for place, key in enumerate(told):
        if key not in newest or sequences[place] > sequences[newest[key]]:
            newest[key] = place
    assert newest_of(keys, sequences).tolist() == sorted(newest.values())
    assert newest_of(keys[:0], sequences[:0]).tolist() == []


@pytest.mark.parametrize("sampled", [1, 4, 64])
def test_keys_in_files_of_another_order_and_with_gaps_are_found(monkeypatch: pytest.MonkeyPatch, sampled: int) -> None:
    monkeypatch.setattr(module, "SAMPLED", sampled)
    draw = np.random.default_rng(2)
    for _ in range(200):
        count = int(draw.integers(1, 120))
        keys = draw.integers(0, 3 * count, (count, 2)).astype(np.uint64)
        cuts = np.sort(draw.integers(0, count, draw.integers(0, 6)))
        files = np.split(keys[draw.random(count) > draw.choice([0, 0.03, 0.5])], cuts)
        others = np.concatenate([files[place] for place in draw.permutation(len(files))])
        among = set(map(tuple, others.tolist()))
        assert are_among(keys, others).tolist() == [key in among for key in map(tuple, keys.tolist())]
        among = set(map(tuple, keys.tolist()))
        assert are_among(others, keys).tolist() == [key in among for key in map(tuple, others.tolist())]


def test_files_in_another_order_are_found_by_a_few_of_their_rows() -> None:
    keys = np.random.default_rng(3).integers(0, 2**64, (20 * module.SAMPLED, 2), np.uint64)
    others = np.concatenate(np.split(keys, 7 * module.SAMPLED * np.arange(1, 3))[::-1])
    assert module._among_shifted(keys, others).all()


def test_a_process_keeps_its_keys() -> None:
    """Longer texts do not change what short ones give."""
    before = fingerprints_of(pa.table({"a": ["short"]}), ["a"])
    fingerprints_of(pa.table({"a": ["long" * 100]}), ["a"])
    module._secrets.cache_clear()
    assert np.array_equal(fingerprints_of(pa.table({"a": ["short", "long" * 100]}), ["a"])[:1], before)
