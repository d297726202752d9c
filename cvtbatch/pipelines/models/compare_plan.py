"""What is compared: the variants of a job with every setting resolved, and what each of them is in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cvtbatch import contracts
from cvtbatch.dlrn.combat import NewCenters
from cvtbatch.dlrn.settings import FitSettings, Model
from cvtbatch.dlrn.variants import BEST
from cvtbatch.documents import from_document, to_document
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.models.cohort_source import CohortSource, cohort_source
from cvtbatch.pipelines.models.fit_outlines import resolve_outlines
from cvtbatch.pipelines.shared.job import Job, VariantSection
from cvtbatch.pipelines.shared.pinned_store import PinnedStore

REFERENCE = "dlrn"
# What is told and what makes the folds, which all variants share.
OF_THE_FOLDS = ("outcome", "classes", "protocol", "seed", "nested")


@dataclass(frozen=True, slots=True)
class Refit:
    """A fit whose nested tasks are run: a cohort and settings. Variants that differ by the model alone share one."""

    source: CohortSource
    settings: FitSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared.

    Attributes:
        refits: by variant; those of regressions are the reference's.
        models: by variant that is a fit's.
        columns: by variant that is a regression.
    """

    refits: Mapping[str, Refit]
    models: Mapping[str, Model]
    columns: Mapping[str, tuple[str, ...]]


def plan_comparison(job: Job, pinned: PinnedStore, spec_ids: Sequence[str]) -> Plan:
    """Return what is compared, with every setting resolved.

    Raises:
        InputError: "no_variants", "no_nested_estimate", "bad_job"; a reader or table that is named is not there.
        ProblemsError: "bad_job": settings of a variant are not valid.
    """
    if not job.compare.variants:
        raise InputError("no_variants", "compare.variants is empty: name what the DLRN is compared with")
    if not job.fit.nested.repeats or job.fit.nested.bootstrap < 2:
        raise InputError(
            "no_nested_estimate",
            "fit.nested.repeats is 0, or fit.nested.bootstrap below 2: variants are compared by them",
        )

    def refit(settings: FitSettings) -> Refit:
        features = pinned.store.features_of(settings.features)
        resolved, icc_table = resolve_outlines(replace(job, fit=settings), pinned.view, spec_ids, features)
        return Refit(cohort_source(resolved, pinned, spec_ids, icc_table), resolved.fit)

    reference = refit(job.fit)
    refits, models, columns = {REFERENCE: reference}, {REFERENCE: Model.DLRN}, {}
    for name, variant in job.compare.variants.items():
        if name in (REFERENCE, BEST):
            raise InputError(
                "bad_job", f"compare.variants: {name!r} is the name of a row of its own; choose another one"
            )
        if variant.columns:
            if variant.model or variant.fit:
                raise InputError("bad_job", f"compare.variants.{name}: columns stand alone, without model and fit")
            refits[name], columns[name] = reference, variant.columns
        else:
            refits[name] = refit(_settings(name, variant, job.fit)) if variant.fit else reference
            models[name] = Model(variant.model or Model.DLRN)
    if any(each.settings.harmonise.new_centers is NewCenters.OWN_CASES for each in refits.values()):
        raise InputError(
            "bad_job",
            "compare-models scores rows of centres that a fit has not seen as they are, where fit.harmonise.new_centers=own_cases "
            "moves them: leave it out",
        )
    return Plan(refits, models, columns)


def _settings(name: str, variant: VariantSection, base: FitSettings) -> FitSettings:
    """Return the settings of a variant's fit.

    Raises:
        InputError: "bad_job": it would have folds of its own, or its settings do not go together.
        ProblemsError: "bad_job".
    """
    if own := [key for key in OF_THE_FOLDS if key in variant.fit]:
        raise InputError(
            "bad_job",
            f"compare.variants.{name}: fit.{own[0]} makes the folds or their labels, which all variants share: set it in section "
            "fit",
        )
    settings = _merged(to_document(base), variant.fit)
    if problems := contracts.problems_of({"version": 1, "kind": "compare-models", "fit": settings}, "job.json"):
        raise ProblemsError.of("bad_job", f"compare.variants.{name}", problems)
    try:
        return from_document(FitSettings, settings)
    except InputError as error:
        raise InputError(error.kind, f"compare.variants.{name}: {error.message}", error.private) from None


def _merged(base: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Return settings with those of a variant in their place, section by section."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def describe_variant(name: str, job: Job, plan: Plan) -> str:
    """Say in words what a variant is."""
    if name == REFERENCE:
        return "the DLRN as section fit has it"
    if name == BEST:
        return f"in each outer fold the variant with the largest {'M' if job.fit.classes else 'AUC'} inside its training rows"
    if name in plan.columns:
        kind = "multinomial" if job.fit.classes else "logistic"
        return f"{kind} regression on {', '.join(plan.columns[name])}"
    own = job.compare.variants[name].fit
    settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in _flat(own))
    model = f"model {plan.models[name]}"
    return f"{model}, {settings}" if settings else f"{model} of the reference's fit"


def _flat(settings: Mapping[str, object], above: str = "fit") -> list[tuple[str, object]]:
    """Return settings by their dotted names."""
    found: list[tuple[str, object]] = []
    for key, value in settings.items():
        name = f"{above}.{key}"
        found += _flat(value, name) if isinstance(value, Mapping) else [(name, value)]
    return found
