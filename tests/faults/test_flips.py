"""Bits that flip in the tables of a store, and entries of its logs that go."""

from pathlib import Path

from tests.faults.flips import flip_all

FLIPS, SEED = 40, 16


def test_a_flipped_bit_gives_equal_values_or_an_error_that_calls_it_damage(tmp_path: Path) -> None:
    counts, harm = flip_all(FLIPS, SEED, None, tmp_path)
    print(counts)
    assert harm == []
    assert counts["data", "table_damaged"] > FLIPS / 5
    assert counts["log", "table_log_damaged"] > 0
