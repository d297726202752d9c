"""Writes what neuroCombat 0.2.12 makes of made-up columns: `python tests/golden/make_combat_golden.py`, where it is installed.

Drawn anew on no other occasion: tests compare with the file, and need neither neuroCombat nor this script.
"""

from pathlib import Path

import numpy as np
import pandas as pd

# neuroCombat 0.2.12 is older than NumPy 1.24, which has no such alias.
setattr(np, "int", int)  # noqa: B010

from neuroCombat import neuroCombat  # noqa: E402

FILE = Path(__file__).parent / "combat.npz"
CASES = {
    # Of three centres, of which the second is the reference; of two; of one with few rows.
    "three": ({"A": 31, "B": 24, "C": 12}, "B", 40),
    "two": ({"X": 20, "Y": 45}, "X", 25),
    "few": ({"P": 50, "Q": 3}, "P", 12),
}


def drawn(counts: dict[str, int], columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (n, p) of columns with scales and means of many magnitudes, and their centres, in no order."""
    rng = np.random.default_rng([7, seed])
    centers = rng.permutation(np.repeat(list(counts), list(counts.values())))
    values = rng.standard_normal((len(centers), columns))
    for center in counts:
        own = centers == center
        values[own] = values[own] * rng.lognormal(0.2, 0.4, columns) + rng.normal(0.5, 1, columns)
    return values * rng.lognormal(0, 4, columns) + rng.normal(0, 100, columns), centers


if __name__ == "__main__":
    arrays = {}
    for seed, (name, (counts, reference, columns)) in enumerate(CASES.items()):
        values, centers = drawn(counts, columns, seed)
        covars = pd.DataFrame({"center": centers})
        found = neuroCombat(dat=values.T.copy(), covars=covars, batch_col="center", ref_batch=reference)["data"].T
        arrays |= {f"{name}.values": values, f"{name}.centers": centers, f"{name}.expected": found}
        arrays[f"{name}.reference"] = np.array(reference)
    np.savez_compressed(FILE, **arrays)
    print(FILE)
