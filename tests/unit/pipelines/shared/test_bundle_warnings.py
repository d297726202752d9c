"""What speaks against a bundle by what it says of itself: weights that were never trained, no settings to extract by."""

from dataclasses import replace

import pytest

from cvtbatch.dlrn import load_bundle
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from tests.support.paths import ROOT

TOLD = load_bundle(ROOT / "tests" / "compat" / "bundle-2").description


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("carries", [False, True])
def test_each_thing_is_said_where_it_is_so(trained: bool, carries: bool) -> None:
    weights = replace(TOLD.weights, not_for_inference=not trained)
    found = bundle_warnings(replace(TOLD, weights=weights, spec_settings={} if carries else None))
    expected = [*([] if trained else ["untrained_weights"]), *([] if carries else ["no_settings"])]
    assert [warning.kind for warning in found] == expected
    messages = "; ".join(warning.message for warning in found)
    assert ("the weights random:0, which were never trained" in messages) == (not trained)
    assert (TOLD.specs.embedding_spec_id in messages) == (not carries)
