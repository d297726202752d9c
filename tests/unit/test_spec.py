import json

import pytest

from cvtbatch import contracts, spec
from cvtbatch.radiomics import PROFILES, study_settings

VOLUME = spec.volume_spec((0.5, 0.5, 5.0))
NAMES = contracts.feature_names()


def test_ids_of_the_two_profiles_stay() -> None:
    """A store written today is found tomorrow: these change only when a revision is raised or a setting gains a meaning."""
    ids = {
        name: spec.radiomics_spec(VOLUME, study_settings(profile), NAMES).spec_id for name, profile in PROFILES.items()
    }
    assert (VOLUME.spec_id, ids) == (
        "vol-52b96a265f49",
        {"cvt-1834": "rad-ece7692f652f", "onekey-1834": "rad-aa5704e8d55c"},
    )


def test_specifications_of_descriptions_are_of_their_table_and_chain() -> None:
    signs = spec.description_spec(VOLUME, "signs", {"revision": spec.SIGNS_REVISION})
    assert (signs.kind, signs.parent_id, signs.spec_id[:4]) == ("signs", VOLUME.spec_id, "sig-")
    assert spec.description_spec(VOLUME, "signs", {"revision": spec.SIGNS_REVISION + 1}).spec_id != signs.spec_id
    assert spec.description_spec(spec.volume_spec((1, 1, 5)), "signs", signs.content()).spec_id != signs.spec_id


def test_ids_chain() -> None:
    other = spec.volume_spec((0.5, 0.5, 2.5))
    profile = study_settings(PROFILES["cvt-1834"])
    assert other.spec_id != VOLUME.spec_id
    assert spec.radiomics_spec(other, profile, NAMES).spec_id != spec.radiomics_spec(VOLUME, profile, NAMES).spec_id
    assert spec.radiomics_spec(VOLUME, profile, NAMES).parent_id == VOLUME.spec_id


@pytest.mark.parametrize("revision", ["INGEST_REVISION", "RADIOMICS_REVISION", "EMBEDDING_REVISION"])
def test_a_raised_revision_gives_other_ids_above_it_alone(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> dict[str, str]:
        volume = spec.volume_spec((0.5, 0.5, 5.0))
        radiomics = spec.radiomics_spec(volume, study_settings(PROFILES["cvt-1834"]), NAMES)
        embedding = spec.embedding_spec(volume, {"weights": "w"})
        return {"INGEST": volume.spec_id, "RADIOMICS": radiomics.spec_id, "EMBEDDING": embedding.spec_id}

    before = ids()
    monkeypatch.setattr(spec, revision, getattr(spec, revision) + 1)
    changed = {name for name, spec_id in ids().items() if spec_id != before[name]}
    stage = revision.removesuffix("_REVISION")
    assert changed == (set(before) if stage == "INGEST" else {stage})


def test_equal_settings_have_one_canonical_form() -> None:
    assert spec.canonical_json({"b": 1.0, "a": [True, None]}) == '{"a":[true,null],"b":1.0}'
    assert spec.volume_spec((0.5, 0.5, 5)) == VOLUME
    assert json.loads(VOLUME.settings)["spacing_mm"] == [0.5, 0.5, 5.0]
    with pytest.raises(ValueError, match="not JSON compliant"):
        spec.canonical_json(float("nan"))


def test_parts_of_a_digest_do_not_run_into_one_another() -> None:
    assert spec.digest("ab", "c") != spec.digest("a", "bc")


def test_differences_are_told_setting_by_setting() -> None:
    """Down the chain, and for a setting that only one of the two has."""
    other = spec.volume_spec((0.5, 0.5, 2.5))
    first = spec.radiomics_spec(VOLUME, {"binWidth": 5, "filters": {"LoG": [1, 2]}}, NAMES)
    second = spec.radiomics_spec(other, {"binWidth": 25, "filters": {"LoG": [1, 2]}, "normalize": True}, NAMES)
    specs = {found.spec_id: found for found in (VOLUME, other, first, second)}
    told = [str(difference) for difference in spec.differences(specs, first.spec_id, second.spec_id)]
    assert told == [
        "radiomics.settings.binWidth: 5 | 25",
        "radiomics.settings.normalize: absent | true",
        "volume.spacing_mm: [0.5,0.5,5.0] | [0.5,0.5,2.5]",
    ]
    assert spec.differences(specs, first.spec_id, first.spec_id) == []
