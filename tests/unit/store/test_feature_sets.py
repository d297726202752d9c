"""Which tables a store has beside those of the contracts: what its specifications say."""

from pathlib import Path

import pytest

from cvtbatch import contracts
from cvtbatch.errors import FormatError, InputError
from cvtbatch.spec import Spec, canonical_json, feature_set_spec
from cvtbatch.store import FeatureStore, set_contract
from cvtbatch.store.feature_sets import require_table
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, row

SETTINGS = {"binWidth": 5.0, "normalize": False}


def spec_of(*features: str, name: str = "mine", **settings: object) -> Spec:
    return feature_set_spec(VOLUME_SPEC, name, {"imageType": {"Original": {}}}, {**SETTINGS, **settings}, features)


def append(store: FeatureStore, spec: Spec) -> None:
    values = {"spec_id": spec.spec_id, "kind": spec.kind, "parent_id": spec.parent_id, "settings": spec.settings}
    store.table("specs").append([row("specs", **values)])


def test_the_table_of_a_set_has_the_keys_of_radiomics_and_its_own_columns() -> None:
    contract, study = set_contract(spec_of("b_b_b", "a_a_a")), contracts.table("radiomics")
    assert contract is not None
    assert contract.name == "features_mine"
    count = study.key_field_count()
    assert [field.name for field in contract.fields] == [
        *(field.name for field in study.fields[:count]),
        "b_b_b",
        "a_a_a",
    ]
    assert (contract.key_field_count(), contract.key, contract.bookkeeping) == (count, study.key, study.bookkeeping)
    assert contract.arrow().field("a_a_a") == study.arrow().field(study.features[0]).with_name("a_a_a")
    assert set_contract(RADIOMICS_SPEC) is None


def test_a_store_learns_of_sets_while_it_is_open(tmp_path: Path) -> None:
    """Whoever appends the specification, and the one that was first holds."""
    store = FeatureStore.open_for_writing(str(tmp_path / "store"))
    reader = FeatureStore(str(tmp_path / "store"))
    assert reader.table_names() == contracts.table_names()
    append(store, spec_of("a_a_a"))
    append(store, spec_of("a_a_a", "b_b_b"))
    append(store, spec_of("a_a_a", binWidth=10.0))
    assert list(reader.feature_sets()) == ["mine"]
    assert reader.feature_set("mine").contract.features == ("a_a_a",)
    assert reader.table_of(spec_of("a_a_a")).contract.name == "features_mine"
    assert reader.features("mine").num_rows == 0
    with pytest.raises(InputError, match="no feature set 'other'; it has mine"):
        reader.feature_set("other")


def test_what_is_no_set_is_damage() -> None:
    for content in ({"set": "../mine", "features": {"names": []}}, {"set": "mine"}):
        with pytest.raises(FormatError, match="does not say what its feature set is"):
            set_contract(Spec("radiomics", "", canonical_json(content)))


def test_specifications_are_of_one_table() -> None:
    specs = {spec.spec_id: spec for spec in (RADIOMICS_SPEC, VOLUME_SPEC, spec_of("a_a_a"))}
    study, volume, mine = specs
    require_table(specs, [study, volume], "radiomics")
    require_table(specs, [mine, volume], "features_mine")
    with pytest.raises(InputError, match="is of the study: its features are not in features_mine"):
        require_table(specs, [study], "features_mine")
