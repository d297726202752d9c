"""Validate: a bundle at a centre that it was not trained on, from what is scored to a report."""

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.engine import Cluster
from cvtbatch.manifest import name_centers, twins_of
from cvtbatch.pipelines.centers.center_cohort import read_cohort, read_pictures, read_training
from cvtbatch.pipelines.centers.center_source import NAMES, Source, open_source, refuse_seen_center
from cvtbatch.pipelines.centers.reader_study import read_readers
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.spec import canonical_json
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.inputs import (
    NO_OUT_OF_FOLD,
    BundleFacts,
    Importance,
    ModelFacts,
    Provenance,
    Recalibrated,
    TrainingEstimate,
)
from cvtbatch.validation.nomogram import Nomogram, Term
from cvtbatch.validation.report import write_report
from cvtbatch.validation.report.checklists import RADIOMICS_SETTINGS
from cvtbatch.validation.values import Estimate, Interval, Maybe, NotComputable, Scored

HERE = Cluster(None, "inline", threads=None)
SEED = 0
"""Of the bootstrap: equal inputs give equal reports."""
TERM_NAMES = {"dlr": "DLR signature", "epilepsy": "epilepsy"}
LEVELS = {"epilepsy": ((0.0, "no"), (1.0, "yes"))}


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What a run did, for people and as the JSON document of `cvtbatch validate --json`."""

    store: str
    center: str
    snapshot: str
    bundle_digest: str
    page: Path
    validation: Validation
    seconds: float

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        found = self.validation
        auc = found.primary_result.auc
        return {
            "command": "validate",
            "store": self.store,
            "center": self.center,
            "snapshot": self.snapshot,
            "bundle_digest": self.bundle_digest,
            "report": str(self.page),
            "cases": len(found.cases),
            "with_outcome": found.known,
            "events": found.events,
            "auc": None if isinstance(auc, NotComputable) else auc.value,
            "shift": found.shift.verdict,
            "power": found.power.verdict,
            "seconds": self.seconds,
        }


def validate_center(
    store_url: str,
    bundle_path: Path,
    center: str,
    snapshot: str | None,
    out: Path,
    on_page: Callable[[int, int], None] = lambda *_: None,
    cluster: Cluster = HERE,
) -> ValidationReport:
    """Validate a bundle on what it has scored of a centre, and write the report into a folder.

    Args:
        snapshot: by default one that is recorded for this.
        on_page: told how many pages of cases are written, of how many.
        cluster: takes the bootstrap; the report is the same, wherever that runs.

    Raises:
        InputError: the bundle was trained on this centre or its images; there is no bundle, snapshot, centre or score.
        FormatError: the bundle is damaged.
    """
    started = time.monotonic()
    bundle = load_bundle(bundle_path)
    refuse_seen_center(bundle, center)
    source = open_source(store_url, bundle, center, snapshot, "validate")
    found = evaluate(
        read_cohort(source, read_readers(source)),
        bundle_facts(bundle),
        read_training(source),
        _provenance(source),
        SEED,
        partial(map_on, cluster),
    )
    page = write_report(found, read_pictures(source), out, on_page)
    seconds = round(time.monotonic() - started, 3)
    return ValidationReport(source.store.location.url, center, source.snapshot, bundle.digest, page, found, seconds)


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """Return what a report shows of a bundle."""
    document = bundle.document
    selected = document["signatures"][str(Model.DLR)]["selected"]
    return BundleFacts(
        models=tuple(
            ModelFacts(
                shown,
                {name: document["thresholds"][str(model)][name] for name in THRESHOLDS},
                _training_estimates(document, str(model)),
                _out_of_fold(bundle, model),
            )
            for model, shown in NAMES.items()
        ),
        nomogram=_nomogram(document),
        importances=tuple(Importance(row["feature"], row["importance"], row["coefficient"]) for row in selected),
    )


def _out_of_fold(bundle: Bundle, model: Model) -> Maybe[Scored]:
    if model not in bundle.out_of_fold:
        return NO_OUT_OF_FOLD
    scores = bundle.out_of_fold[model]
    outcome = np.repeat([True, False], [len(scores.events), len(scores.others)])
    return Scored(outcome, np.concatenate([scores.events, scores.others]))


def _recalibrated(document: dict[str, Any]) -> Recalibrated | None:
    found = document.get("recalibration")
    if found is None:
        return None
    terms = {
        name: Estimate(found[name]["value"], Interval(found[name]["low"], found[name]["high"]))
        for name in ("intercept", "slope")
        if found[name] is not None
    }
    return Recalibrated(
        **{name: found[name] for name in ("parent_digest", "center", "cases", "events", "method")},
        snapshot=found["snapshot"]["name"],
        snapshot_digest=found["snapshot"]["digest"],
        intercept=terms["intercept"],
        slope=terms.get("slope"),
    )


def _training_estimates(document: dict[str, Any], model: str) -> tuple[TrainingEstimate, ...]:
    """Return what training estimated, each way with what speaks against it and the marks that the bundle gives."""
    metrics = document["metrics"]
    marks = [row["mark"] for row in document["marks"] if model in row["models"]]
    of_nomogram = ["the nomogram was fitted on these scores"] if model == str(Model.DLRN) else []
    ways: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
        ("nested cross-validation", metrics.get("nested", {}).get("models", {}), []),
        ("out of fold", metrics.get("out_of_fold", {}), of_nomogram),
        ("in sample", metrics.get("in_sample", {}), ["in sample, optimistic"]),
        ("study protocol", metrics.get("study_protocol", {}).get("in_sample", {}), ["in sample, optimistic"]),
    )
    return tuple(
        TrainingEstimate(name, _estimate(found[model]), "; ".join([*cautions, *marks]))
        for name, found, cautions in ways
        if model in found
    )


def _estimate(row: dict[str, Any]) -> Estimate:
    if row["auc_low"] is None or row["auc_high"] is None:
        return Estimate(row["auc"], NotComputable("the bundle has no interval for it"))
    if row["auc_low"] == row["auc_high"]:
        return Estimate(
            row["auc"], NotComputable("every resample has the same AUC: an interval would show no uncertainty")
        )
    return Estimate(row["auc"], Interval(row["auc_low"], row["auc_high"]))


def _nomogram(document: dict[str, Any]) -> Maybe[Nomogram]:
    odds = {row["name"]: row for row in document["dlrn"]["terms"]}
    own = document["nomogram"]
    terms = []
    for axis in own["axes"]:
        row = odds.get(axis["name"], {})
        ratio = None
        # A slope moves coefficients, and the fit's odds ratios are no longer the model's.
        moved = (document.get("recalibration") or {}).get("slope") is not None
        if not moved and row.get("odds_ratio") is not None and row.get("odds_ratio_low") is not None:
            ratio = Estimate(row["odds_ratio"], Interval(row["odds_ratio_low"], row["odds_ratio_high"]))
        terms.append(
            Term(
                TERM_NAMES.get(axis["name"], axis["name"]),
                axis["points_per_unit"] * own["per_point"],
                axis["low"],
                axis["high"],
                LEVELS.get(axis["name"], ()),
                ratio,
            )
        )
    if not any(term.coefficient for term in terms):
        return NotComputable("no term of the model has a coefficient other than 0")
    at_zero = sum(term.coefficient * term.origin for term in terms)
    return Nomogram(own["intercept"] - at_zero, tuple(terms))


def other_spellings(source: Source) -> list[str]:
    """Return a caution where the snapshot has cases of the centre under another spelling too."""
    twins = twins_of(source.center, source.view.rows("cases", ["center"])["center"].unique().to_pylist())
    if not twins:
        return []
    spelled = name_centers([source.center])
    return [
        f"cases of {name_centers(twins)} are not in this report, from which {spelled} differs by capitals, blanks or Unicode form "
        "alone"
    ]


def _provenance(source: Source) -> Provenance:
    document = source.bundle.document
    ids = document["specs"]
    specs = {**source.view.specs(), **source.bundle.known_specs()}
    radiomics = {}
    if ids["radiomics_spec_id"] in specs:
        settings = specs[ids["radiomics_spec_id"]].content().get("settings", {})
        radiomics[RADIOMICS_SETTINGS] = ", ".join(f"{name} {canonical_json(value)}" for name, value in settings.items())
    return Provenance(
        center=source.center,
        training_centers=source.training_centers,
        training_cases=document["cohort"]["cases"],
        intended_use=document["intended_use"],
        weights=document["weights"]["name"],
        not_for_inference=document["weights"]["not_for_inference"],
        bundle_digest=source.bundle.digest,
        snapshot=source.snapshot,
        snapshot_digest=source.snapshot_digest,
        settings={
            "protocol of the fit": document["protocol"],
            "volume specification": ids["volume_spec_id"],
            "radiomics specification": ids["radiomics_spec_id"],
            "embedding specification": ids["embedding_spec_id"],
            **radiomics,
            "weights' SHA-256": document["weights"]["sha256"] or "not known",
            "training snapshot": f"{document['snapshot']['name']}, {document['snapshot']['digest']}",
            "bootstrap seed": str(SEED),
        },
        software={name: str(version) for name, version in document["software"].items()},
        created=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        cautions=tuple(
            [f"{row['mark']} ({', '.join(NAMES[Model(name)] for name in row['models'])})" for row in document["marks"]]
            + [row["message"] for row in document["remarks"]]
            + other_spellings(source)
        ),
        recalibrated=_recalibrated(document),
    )
