"""bundle.json as text from elsewhere: strictly JSON, of a depth and with numbers that whoever reads it on can hold."""

import json
import math
from collections.abc import Mapping

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.bundle_files import DOCUMENT
from cvtbatch.dlrn.clinical_terms import Kind
from cvtbatch.dlrn.combat import NewCenters
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.prediction_sets import METHOD
from cvtbatch.dlrn.settings import Harmonising
from cvtbatch.errors import FormatError
from cvtbatch.regions.rules import NAME
from cvtbatch.spec import FUSE

# Ours nests to a depth of eight.
MOST_DEPTH = 64
LARGEST_INTEGER = 2**63
POOLED = [str(kind) for kind in Pooling if kind is not Pooling.LARGEST]


def parse_document(data: bytes) -> object:
    """Return what bundle.json says.

    Raises:
        FormatError: "bundle_damaged": it is no JSON in UTF-8, nests too deep, or holds a number or text that is none.
    """
    try:
        document: object = json.loads(
            data.decode(), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded
        )
        _check_depth(document)
    except (ValueError, RecursionError) as error:
        raise FormatError("bundle_damaged", f"{DOCUMENT} of the bundle is no JSON", str(error)) from None
    return document


def refuse_later(document: JsonObject) -> None:
    """Refuse a bundle that uses what the contract foresees and this version does not score with: scores would be wrong.

    Such a key has a default in the contract, and is this version's at that default, or absent; of feature sets, one is this
    version's whose features stand in place of the study's, of backbones those that are fused, of poolings those of what is
    pooled, of harmonisations ComBat, of prediction sets CV+'s of each class, clinical terms and regions are, of kinds
    that it knows, and outcomes of two classes, or of more without thresholds.

    Raises:
        FormatError: "bundle_too_new", with the keys.
    """
    defaults = contracts.defaults_of("bundle.json")
    later = [name for name, default in defaults.items() if document.get(name, default) != default]
    if _of_one_set(document):
        later.remove("feature_sets")
    if document.get("pooling") in [{"kind": kind, "components": "of_pooled"} for kind in POOLED]:
        later.remove("pooling")
    if "harmonisation" in later and _as_known(document["harmonisation"]):
        later.remove("harmonisation")
    if "prediction_sets" in later and _of_folds(document["prediction_sets"]):
        later.remove("prediction_sets")
    if _of_these_backbones(document):
        later.remove("backbones")
    if "clinical_terms" in later and _of_known_kinds(document["clinical_terms"]):
        later.remove("clinical_terms")
    if "outcome" in later and _of_known_classes(document["outcome"]):
        later.remove("outcome")
    if "regions" in later and _of_known_regions(document["regions"]):
        later.remove("regions")
    if later:
        raise FormatError(
            "bundle_too_new",
            f"the bundle was made for a later version: {', '.join(later)}; this one cannot score with that: use a newer cvtbatch",
        )


def _of_one_set(document: JsonObject) -> bool:
    """Say whether all radiomics columns come from one feature set, which is what the radiomics specification specifies."""
    match document:
        case {
            "feature_sets": [{"spec_id": spec_id, "columns": columns}],
            "specs": {"radiomics_spec_id": own},
            "columns": {"radiomics": used},
        }:
            return bool(spec_id == own and columns == used)
    return False


def _as_known(harmonisation: object) -> bool:
    return (
        isinstance(harmonisation, dict)
        and harmonisation.get("method") == Harmonising.COMBAT
        and harmonisation.get("new_centers") in list(NewCenters)
    )


def _of_folds(sets: object) -> bool:
    """Say whether sets are CV+'s of each class, and its folds have terms and harmonisations of kinds that are known."""
    if not isinstance(sets, dict) or (sets.get("method"), sets.get("by_class")) != (METHOD, True):
        return False
    folds = sets.get("folds")
    return isinstance(folds, list) and all(
        isinstance(fold, dict)
        and _of_known_kinds(fold.get("clinical_terms", []))
        and ("harmonisation" not in fold or _as_known(fold["harmonisation"]))
        for fold in folds
    )


def _of_known_classes(outcome: object) -> bool:
    """Say whether there are two classes, or more of which cases and terms are told and nothing else."""
    match outcome:
        case {"column": str(), "classes": [_, _], **more}:
            return not more
        case {"column": str(), "classes": [_, _, _, *_], "by_class": dict(by_class), **more}:
            return not more and all(
                isinstance(own, dict) and own.keys() <= {"cases", "terms"} for own in by_class.values()
            )
    return False


def _of_these_backbones(document: JsonObject) -> bool:
    """Say whether embeddings are of networks that the embedding specification specifies, one or several fused, in their order.

    Whether that network is here is asked where something is embedded: what scores tables needs none.
    """
    match document:
        case {
            "backbones": [*backbones],
            "specs": {"embedding_spec_id": own},
            "embedding_length": pooled,
        } if all(isinstance(one, dict) and isinstance(one.get("length"), int) for one in backbones):
            length = sum(one["length"] for one in backbones)
            spec_ids = FUSE.join(str(one.get("embedding_spec_id")) for one in backbones)
            return bool(backbones and spec_ids == own and pooled in (length, 2 * length))
    return False


def _of_known_kinds(terms: object) -> bool:
    return isinstance(terms, list) and all(isinstance(term, dict) and term.get("kind") in list(Kind) for term in terms)


def _of_known_regions(regions: object) -> bool:
    return isinstance(regions, list) and all(
        isinstance(region, dict) and NAME.fullmatch(str(region.get("name"))) for region in regions
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _bounded(text: str) -> int:
    number = int(text)
    if abs(number) >= LARGEST_INTEGER:
        raise ValueError("an integer is too large")
    return number


def _check_depth(document: object) -> None:
    """Walk level by level; texts must be such as can be written again.

    Raises:
        ValueError: it nests deeper than MOST_DEPTH, or holds half a surrogate pair.
    """
    level = [document]
    for _ in range(MOST_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, Mapping):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise ValueError(f"it nests deeper than {MOST_DEPTH}")
