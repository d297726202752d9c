"""What speaks against a bundle by what it says of itself: untrained weights, their licence, no settings to extract by."""

from dataclasses import replace

import pytest

from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.column_sources import NamedBackbone
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from tests.support.paths import ROOT

TOLD = load_bundle(ROOT / "tests" / "compat" / "bundle-2").description


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("carries", [False, True])
def test_each_thing_is_said_where_it_is_so(trained: bool, carries: bool) -> None:
    weights = replace(TOLD.weights, name="random:0" if not trained else "kinetics", not_for_inference=not trained)
    found = bundle_warnings(replace(TOLD, weights=weights, spec_settings={} if carries else None))
    expected = [*([] if trained else ["untrained_weights"]), *([] if carries else ["no_settings"])]
    assert [warning.kind for warning in found] == expected
    messages = "; ".join(warning.message for warning in found)
    assert ("the weights random:0, which were never trained" in messages) == (not trained)
    assert (TOLD.specs.embedding_spec_id in messages) == (not carries)


@pytest.mark.parametrize(
    ("weights", "backbone", "told"),
    [
        (
            "imagenet",
            None,
            "not for commercial use, or so by terms that may apply: weights imagenet of the image network",
        ),
        ("file", None, "the licence of the weights file of the image network torchvision:resnet101 is not known"),
        ("file", ("lab:net3d", "emb-0", 8, "0" * 64, "cc-by-nc-4.0", "file"), "network lab:net3d: cc-by-nc-4.0"),
        (
            "file",
            ("lab:net3d", "emb-0", 8, "0" * 64, "", "file"),
            "weights file of the image network lab:net3d is not known",
        ),
        ("file", ("lab:net3d", "emb-0", 8, "0" * 64, "apache-2.0", "file"), None),
        ("kinetics", None, None),
        ("random:0", None, None),
    ],
)
def test_a_licence_is_said_that_forbids_a_use_or_is_not_known(
    weights: str, backbone: tuple[str, str, int, str, str, str] | None, told: str | None
) -> None:
    own = replace(TOLD.weights, name=weights, not_for_inference=weights.startswith("random:"))
    backbones = () if backbone is None else (NamedBackbone(*backbone),)
    found = bundle_warnings(replace(TOLD, weights=own, backbones=backbones, spec_settings={}))
    of_licence = [warning.message for warning in found if warning.kind == "licence"]
    assert [told in message for message in of_licence] == ([] if told is None else [True])


def test_of_fused_networks_the_one_that_was_never_trained_is_named() -> None:
    own = replace(TOLD.weights, name="kinetics + random:0", not_for_inference=True)
    backbones = tuple(NamedBackbone(f"lab:{name}", name, 8, "", "mit", name) for name in ("kinetics", "random:0"))
    [warning] = bundle_warnings(replace(TOLD, weights=own, backbones=backbones, spec_settings={}))
    assert "has the weights random:0, which were never trained" in warning.message
