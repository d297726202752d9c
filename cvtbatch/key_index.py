"""Numbers by key, for millions of keys: 24 bytes each, where a dict takes two hundred."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

# 128 bits: among a billion keys two are alike with a chance of 1e-21.
KEY_BYTES = 16
KEY = np.dtype(f"S{KEY_BYTES}")
# Keys that are added one by one are held aside until they are so many.
HELD_ASIDE = 2**14
Keys = npt.NDArray[np.bytes_]
Numbers = npt.NDArray[np.uint64]


def hashed(value: object) -> bytes:
    """Return the key of a value that has a faithful `repr`."""
    return blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def key_array(keys: Iterable[bytes]) -> Keys:
    """Return hashed keys as one array."""
    return np.frombuffer(b"".join(keys), KEY)


class KeyIndex:
    """The number that was given last to each key."""

    def __init__(self) -> None:
        self._keys, self._numbers = np.empty(0, KEY), np.empty(0, np.uint64)
        self._aside: dict[bytes, int] = {}

    def __len__(self) -> int:
        self._settle()
        return len(self._keys)

    def add(self, keys: Keys, numbers: Numbers) -> None:
        """Give keys their numbers; of several for one key the last counts."""
        self._settle()
        self._merge(keys, numbers)

    def update(self, numbers: Mapping[bytes, int]) -> None:
        """Give a few keys their numbers."""
        self._aside.update(numbers)
        if len(self._aside) > HELD_ASIDE:
            self._settle()

    def find(self, keys: Sequence[bytes]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Return the numbers of keys, and which of them have one."""
        found = np.zeros(len(keys), np.bool_)
        numbers = np.zeros(len(keys), np.uint64)
        if len(self._keys):
            wanted = key_array(keys)
            places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            found, numbers = self._keys[places] == wanted, self._numbers[places]
        for index, key in enumerate(keys) if self._aside else ():
            if key in self._aside:
                found[index], numbers[index] = True, self._aside[key]
        return numbers, found

    def _settle(self) -> None:
        if self._aside:
            aside, self._aside = self._aside, {}
            self._merge(key_array(aside), np.fromiter(aside.values(), np.uint64, len(aside)))

    def _merge(self, keys: Keys, numbers: Numbers) -> None:
        order = np.argsort(keys, kind="stable")
        keys, numbers = keys[order], numbers[order]
        last = np.append(keys[1:] != keys[:-1], [True])[: len(keys)]
        keys, numbers = keys[last], numbers[last]
        places = np.searchsorted(self._keys, keys)
        known = np.zeros(len(keys), np.bool_)
        within = places < len(self._keys)
        known[within] = self._keys[places[within]] == keys[within]
        self._numbers[places[known]] = numbers[known]
        self._keys = np.insert(self._keys, places[~known], keys[~known])
        self._numbers = np.insert(self._numbers, places[~known], numbers[~known])
