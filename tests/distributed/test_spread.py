"""What spreads over workers is the same on none, one and two."""

import logging
import sys

import numpy as np
import pytest

from cvtbatch.engine import Cluster, LocalWorkers, open_cluster
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.validation.decision_curve import DecisionCurve, decision_curve
from cvtbatch.validation.values import Maybe, Scored


def bootstrap(cluster: Cluster) -> Maybe[DecisionCurve]:
    rng = np.random.default_rng(3)
    outcome = rng.uniform(size=90) < 0.3
    scored = Scored(outcome, np.clip(0.3 * outcome + rng.uniform(size=90) * 0.7, 0, 1))
    return decision_curve(scored, 11, lambda function, items: map_on(cluster, function, items), replicates=750)


@pytest.fixture(scope="module")
def found() -> list[Maybe[DecisionCurve]]:
    """The bootstrap on no, one and two workers, whose clusters are closed again."""
    logging.getLogger("distributed").setLevel(logging.INFO)
    found = []
    for workers in (0, 1, 2):
        with open_cluster(LocalWorkers(workers)) as cluster:
            assert cluster.inline == (workers == 0)
            found.append(bootstrap(cluster))
    return found


def test_a_bootstrap_is_equal_on_0_1_and_2_workers(found: list[Maybe[DecisionCurve]]) -> None:
    assert isinstance(found[0], DecisionCurve)
    assert found[0] == found[1] == found[2]
    assert found[0].low != found[0].high


def test_a_worker_starts_without_what_no_case_takes() -> None:
    with open_cluster(LocalWorkers(1)) as cluster:
        assert cluster.client is not None
        loaded = cluster.client.submit(lambda: [name for name, module in sys.modules.items() if module])
        assert not {"bokeh", "gdcm", "pandas"}.intersection(loaded.result())


@pytest.mark.usefixtures("found")
def test_dask_stays_silent_when_its_workers_are_gone() -> None:
    """Its own setting lasts as long as its cluster, and a message of a connection may come later."""
    assert not logging.getLogger("distributed.batched").isEnabledFor(logging.ERROR)
