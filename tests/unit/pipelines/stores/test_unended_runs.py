"""What a run has committed is counted by fingerprints as sets of keys count it, however often a case comes."""

import numpy as np
import pytest

from cvtbatch.pipelines.stores import unended_runs
from cvtbatch.pipelines.stores.unended_runs import Committed


def test_cases_count_once_and_those_that_failed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unended_runs, "HELD_KEYS", 20)
    draw = np.random.default_rng(1)
    for count in (0, 3, 40):
        run, computed, failed = Committed(), set[int](), set[int]()
        for _ in range(count):
            for cases, told in ((run.computed, computed), (run.failed, failed)):
                keys = draw.integers(0, 90, int(draw.integers(0, 9)))
                cases.add(np.stack([keys % 7, keys], axis=1).astype(np.uint64))
                told.update(keys.tolist())
                assert sum(map(len, cases.fresh)) <= 20 + len(cases.known)
        document = run.to_document()
        assert (document["computed"], document["failed"]) == (len(computed - failed), len(failed))
