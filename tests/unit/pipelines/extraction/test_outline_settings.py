"""What of a job moves a found outline is in its specification, and nothing else is."""

import pytest

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.outlining.weights import load_weights
from cvtbatch.pipelines.extraction.settings import Settings, own_gpus, resolve
from cvtbatch.pipelines.shared.job import read_job
from tests.support.outside_data import outside

COMMAND = ("outline.method=command", "outline.command.line=segment {image} {out}", "outline.command.version=a 1")


def settings(*overrides: str, only: str | None = None) -> Settings:
    return resolve(read_job("extract", overrides=["embedding.weights=none", *overrides]), "store", only)


def spec_id(*overrides: str) -> str:
    return settings(*overrides).outline_spec_id


@pytest.mark.parametrize(
    "changes",
    [
        ("outline.least_ml=2",),
        ("outline.parts=2",),
        ("volume.spacing_mm=[1,1,5]",),
        ("outline.command.labels=[1]",),
        ("outline.command.line=segment -v {image} {out}",),
        ("outline.command.version=a 2",),
    ],
)
def test_what_moves_an_outline_is_another_specification(changes: tuple[str, ...]) -> None:
    assert spec_id(*COMMAND) != spec_id(*COMMAND, *changes)


@pytest.mark.parametrize(
    "change",
    ["outline.cases=all", "outline.device=cpu", "outline.command.time_limit_s=5", "outline.command.together=3"],
)
def test_what_moves_none_is_not(change: str) -> None:
    assert spec_id(*COMMAND) == spec_id(*COMMAND, change)


def test_a_line_with_folders_takes_several_images() -> None:
    one, many = settings(*COMMAND), settings(*COMMAND, "outline.command.line=segment {images} {outs}")
    assert one.outline is not None
    assert many.outline is not None
    assert (one.outline.together, many.outline.together) == (1, 16)
    assert settings("outline.method=threshold").outline_weights is None


def test_the_network_s_weights_are_in_its_specification() -> None:
    outside("blast_ct/model_1.pt")
    three, one = settings("outline.method=blast-ct"), settings("outline.method=blast-ct", "outline.models=1")
    assert three.outline is not None
    assert three.outline.weights_sha256 == load_weights().sha256
    assert three.outline_spec_id != one.outline_spec_id
    assert three.outline_weights is not None
    assert not three.outline.not_for_inference


def test_nothing_is_outlined_unless_it_is_asked_for() -> None:
    assert settings().outline is None
    assert settings("outline.method=threshold", only="radiomics").outline is None
    with pytest.raises(InputError, match="name the method"):
        settings(only="outlines")
    assert own_gpus(settings("outline.method=threshold")) == ()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (("outline.command.line=segment {image}",), InputError),
        (("outline.command.version=null",), InputError),
        (("outline.parts=0",), ProblemsError),
        (("outline.method=guess",), ProblemsError),
    ],
)
def test_what_cannot_be_is_refused_before_work_starts(changes: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        settings(*COMMAND, *changes)
