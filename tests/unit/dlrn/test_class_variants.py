"""Variants of several classes, compared on nested folds: noise is told to be noise, and a signal to be one."""

import pytest

from cvtbatch.validation.values import Interval
from tests.benchmarks.benchmark_class_comparison import compare

SEED = 2


@pytest.mark.parametrize("effect", [0.0, 2.0])
def test_of_noise_every_variants_m_holds_chance_and_of_what_tells_it_lies_above(effect: float) -> None:
    models = compare(effect, SEED)
    assert [model.name for model in models] == ["dlrn", "rad", "dl", "dlr", "columns", "best, chosen inside the folds"]
    for model in models:
        ends = model.auc.interval
        assert isinstance(ends, Interval)
        assert model.auc.value > 0.75 if effect else ends.low <= 0.5 <= ends.high, model.name
