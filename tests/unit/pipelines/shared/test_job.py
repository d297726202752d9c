from pathlib import Path

import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.documents import to_document
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.shared.job import Kind, read_job
from cvtbatch.spec import canonical_json


def test_default_job_and_overrides() -> None:
    assert read_job("extract").radiomics.profile == "cvt-1834"
    job = read_job("extract", overrides=["radiomics.profile=onekey-1834", "volume.spacing_mm=[1, 1, 5]"])
    assert (job.radiomics.profile, job.volume.spacing_mm) == ("onekey-1834", (1, 1, 5))


@pytest.mark.parametrize("kind", ["extract", "finetune", "fit"])
def test_a_job_is_its_document_whole_and_number_by_number(kind: Kind) -> None:
    """What is recorded of a job is its JSON: no key is lost, and 40 does not become 40.0."""
    document = yaml.safe_load(contracts.default_job(kind).read_text(encoding="utf-8"))
    whole = contracts.with_defaults(document, "job.json")
    assert canonical_json(to_document(read_job(kind))) == canonical_json(whole)


def test_keys_that_a_file_leaves_out_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("version: 1\nkind: extract\n")
    assert read_job("extract", tmp_path / "job.yaml") == read_job("extract")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version: 1\nkind: extract\nradiomcs: {}\n", "unknown key radiomcs; the nearest valid one is radiomics"),
        ("version: 1\nkind: extract\nvolume: {spacing_mm: [1, 1]}\n", "volume.spacing_mm"),
        ("version: 1\nkind: fit\n", "kind: fit, but the command is extract"),
        ("version: 2\nkind: extract\n", "version"),
    ],
)
def test_what_the_contract_does_not_allow_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "job.yaml").write_text(content)
    with pytest.raises(ProblemsError) as raised:
        read_job("extract", tmp_path / "job.yaml")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "override",
    [
        "radiomics.profile",
        "=1",
        "version.x=1",
        "radiomics.profile=[",
        "radiomics.prof=x",
        "volume.spacing_mm=[0.5, .nan, 5]",
        "run.commit_seconds=.inf",
    ],
)
def test_bad_overrides_are_refused(override: str) -> None:
    with pytest.raises(InputError):
        read_job("extract", overrides=[override])


def test_a_grid_that_would_take_days_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        read_job("fit", overrides=["fit.forest.max_depth=[1,2,3,4,5,6,7,8,9]"])
    assert raised.value.kind == "grid_too_large"


@pytest.mark.parametrize("content", ["a: [", "- 1", ""])
def test_what_is_no_job_file_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.yaml").write_text(content)
    with pytest.raises(InputError) as raised:
        read_job("extract", tmp_path / "job.yaml")
    assert raised.value.kind == "bad_job"
    with pytest.raises(InputError) as raised:
        read_job("extract", tmp_path / "absent.yaml")
    assert raised.value.kind == "no_job"
