"""The index against a dict."""

import random

import numpy as np

from cvtbatch.key_index import HELD_ASIDE, KeyIndex, hashed, key_array


def test_the_number_that_was_given_last_is_found_however_it_was_given() -> None:
    rng = random.Random(3)
    index, expected = KeyIndex(), dict[bytes, int]()
    for turn in range(6):
        given = {hashed(rng.randrange(3 * HELD_ASIDE)): rng.randrange(2**64) for _ in range(HELD_ASIDE)}
        if turn % 2:
            index.update(given)
        else:
            index.add(key_array(given), np.array(list(given.values()), np.uint64))
        expected.update(given)
    numbers, found = index.find([*expected, hashed("absent")])
    assert found.tolist() == [True] * len(expected) + [False]
    assert numbers[:-1].tolist() == list(expected.values())


def test_of_several_numbers_given_at_once_the_last_counts() -> None:
    index = KeyIndex()
    index.add(key_array([b"a" * 16, b"b" * 16, b"a" * 16]), np.array([1, 2, 3], np.uint64))
    assert index.find([b"b" * 16, b"a" * 16])[0].tolist() == [2, 3]


def test_keys_that_end_with_zero_bytes_stay_apart() -> None:
    keys = [b"\1" * 15 + b"\0", b"\1" * 14 + b"\0\0", b"\0" * 16]
    index = KeyIndex()
    index.add(key_array(keys), np.arange(3, dtype=np.uint64))
    numbers, found = index.find(keys)
    assert (numbers.tolist(), found.all()) == ([0, 1, 2], True)


def test_an_empty_index_finds_nothing() -> None:
    assert KeyIndex().find([hashed("a")])[1].tolist() == [False]
