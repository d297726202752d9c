"""Validate: a bundle at a centre that it was not trained on, from what is scored to a report."""

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.engine import Cluster
from cvtbatch.extras import require
from cvtbatch.manifest import Reading, key_of, name_centers, require_centers, twins_of
from cvtbatch.pipelines.centers.bundle_facts import (
    MODEL_NAMES,
    bundle_facts,
    recalibrated,
    training_estimates,
    uncalibrated,
)
from cvtbatch.pipelines.centers.center_cohort import read_cohort, read_pictures, read_training_values
from cvtbatch.pipelines.centers.center_source import Source, open_source, refuse_seen_center
from cvtbatch.pipelines.centers.kept_training import training_values
from cvtbatch.pipelines.centers.reader_study import Readers, read_readers
from cvtbatch.pipelines.extraction.set_settings import grid_of, set_parameters
from cvtbatch.pipelines.shared.bundle_networks import networks_of
from cvtbatch.pipelines.shared.bundle_outcome import require_event
from cvtbatch.pipelines.shared.bundle_warnings import bundle_warnings
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE
from cvtbatch.pipelines.shared.reviewed import NOT_REVIEWED, REFUSALS
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.validation.class_validation import ClassValidation, evaluate_classes
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.inputs import Provenance
from cvtbatch.validation.report import write_report
from cvtbatch.validation.report.class_page import write_class_report
from cvtbatch.validation.report.column_words import SLICES
from cvtbatch.validation.report.store_answers import (
    FEATURE_CLASSES,
    FEATURE_SET,
    IMAGE_TYPES,
    RADIOMICS_SETTINGS,
)
from cvtbatch.validation.study import Study
from cvtbatch.validation.values import NotComputable

R = TypeVar("R", bound="_Report")
HERE = Cluster(None, "inline", threads=None)
POOLED = {
    Pooling.AREA_MEAN: "slices, their mean weighted by area",
    Pooling.MEAN_MAX: "slices, of each number the mean and the maximum",
    Pooling.ATTENTION: "slices, their mean weighted by what training's outcomes were told apart by (attention)",
}
SEED = 0
"""Of the bootstrap: equal inputs give equal reports."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What a run did at a centre, and where the page is."""

    store: str
    center: str
    snapshot: str
    bundle_digest: str
    fitted: Reading
    reading: Reading
    page: Path
    validation: Validation | ClassValidation
    seconds: float

    def left_out(self) -> dict[str, int]:
        """Return how many eligible cases a review leaves out, by reason."""
        counts = dict(count for step in self.validation.flow for count in step.excluded)
        words = {reason: reason.replace("_", " ") for reason in (NOT_REVIEWED, *REFUSALS.values())}
        return {reason: counts[told] for reason, told in words.items() if told in counts}

    def common(self) -> dict[str, object]:
        """Return the part of the JSON document that does not depend on what the bundle tells."""
        return {
            "command": "validate",
            "store": self.store,
            "center": self.center,
            "snapshot": self.snapshot,
            "bundle_digest": self.bundle_digest,
            "fitted_reader": self.fitted.reader,
            "reader": self.reading.reader,
            "reading": self.reading.number,
            "report": str(self.page),
            "cases": len(self.validation.cases),
            "left_out": self.left_out(),
            "with_outcome": self.validation.known,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class ValidationReport(_Report):
    """What a run did, for people and as the JSON document of `cvtbatch validate --json`."""

    validation: Validation

    def not_computed(self) -> dict[str, str]:
        """Return why a model has no AUC, by its name; empty where all have."""
        results = [(model.name, model.auc) for model in self.validation.models]
        return {name: auc.reason for name, auc in results if isinstance(auc, NotComputable)}

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        found = self.validation
        auc = found.primary_result.auc
        return {
            **self.common(),
            "events": found.events,
            "auc": None if isinstance(auc, NotComputable) else auc.value,
            "shift": found.shift.verdict,
            "power": found.power.verdict,
        }


@dataclass(frozen=True, slots=True)
class ClassReport(_Report):
    """The same of a bundle of several classes."""

    validation: ClassValidation

    def not_computed(self) -> dict[str, str]:
        """Return why a model has no M, by its name; empty where all have."""
        results = [(model.name, model.macro) for model in self.validation.models]
        return {name: macro.reason for name, macro in results if isinstance(macro, NotComputable)}

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        macro = self.validation.primary_result.macro
        auc = None if isinstance(macro, NotComputable) else macro.value
        verdicts = {"shift": None, "power": None}
        return {**self.common(), "events": None, "classes": dict(self.validation.counts), "auc": auc, **verdicts}


def validate_centers(
    store_url: str,
    bundle_path: Path,
    centers: Sequence[str],
    snapshot: str | None,
    out: Path,
    on_page: Callable[[int, int], None] = lambda *_: None,
    cluster: Cluster = HERE,
    study: Study | None = None,
    reader: str | None = None,
    reviewed: bool = False,
) -> list[ValidationReport | ClassReport]:
    """Validate a bundle at one centre, or at each of several, of which each has a report in a folder of its own below `out`.

    Arguments and errors are those of `validate_center`; a centre that is refused is so before the first report is written.
    """
    require("validation needs", "sklearn", "statsmodels", "matplotlib")
    bundle = load_bundle(bundle_path)
    if study is not None:
        require_event(bundle, "validate --study", "leave --study out, which fills its checklists")
    for center in centers:
        refuse_seen_center(bundle, center)
    pinned = open_pinned(store_url, snapshot, "validate")
    require_centers(centers, pinned.view.centers())
    folders = {center: out / _folder_name(center) if len(set(centers)) > 1 else out for center in centers}
    return [
        validate_center(store_url, bundle_path, center, pinned.name, folder, on_page, cluster, study, reader, reviewed)
        for center, folder in folders.items()
    ]


def _folder_name(center: str) -> str:
    """Return a centre as the name of a folder, whatever it is called."""
    return key_of(center) if center.strip(".") else center.replace(".", "%2E")


def validate_center(
    store_url: str,
    bundle_path: Path,
    center: str,
    snapshot: str | None,
    out: Path,
    on_page: Callable[[int, int], None] = lambda *_: None,
    cluster: Cluster = HERE,
    study: Study | None = None,
    reader: str | None = None,
    reviewed: bool = False,
) -> ValidationReport | ClassReport:
    """Validate a bundle on what it has scored of a centre, and write the report into a folder.

    Args:
        snapshot: by default one that is recorded for this.
        on_page: told how many pages of cases are written, of how many.
        cluster: takes the bootstrap; the report is the same, wherever that runs.
        study: what its authors say of it, for the checklists.
        reader: whose outlines; a method means its newest reader. By default whom the bundle was fitted on.
        reviewed: only outlines that a review accepts.

    Raises:
        InputError: the bundle was trained on this centre or its images; there is no bundle, snapshot, centre, reader or score.
        FormatError: the bundle is damaged.
        ResourceError: this installation is one without the extra `fit`.
    """
    require("validation needs", "sklearn", "statsmodels", "matplotlib")
    started = time.monotonic()
    bundle = load_bundle(bundle_path)
    refuse_seen_center(bundle, center)
    source = open_source(store_url, bundle, center, snapshot, "validate", reader)
    spread = partial(map_on, cluster)
    several = bool(bundle.model.classes)
    cohort = read_cohort(source, Readers((), ()) if several else read_readers(source, spread), reviewed)
    unfit = sum(NOT_FOR_INFERENCE in case.flags for case in cohort.cases)
    provenance = _provenance(source, unfit, study, reviewed)

    def report_of(kind: type[R], found: Validation | ClassValidation, page: Path) -> R:
        seconds = round(time.monotonic() - started, 3)
        url, digest = source.store.location.url, bundle.digest
        return kind(url, center, source.snapshot, digest, source.fitted, source.reading, page, found, seconds)

    if several:
        training = {shown: training_estimates(bundle.description, name) for name, shown in MODEL_NAMES.items()}
        column = bundle.description.outcome.column
        of_classes = evaluate_classes(cohort, column, bundle.model.classes, training, provenance, SEED)
        return report_of(ClassReport, of_classes, write_class_report(of_classes, out))
    training_ = training_values(bundle, read_training_values(source))
    found = evaluate(cohort, bundle_facts(bundle), training_, provenance, SEED, spread)
    return report_of(ValidationReport, found, write_report(found, read_pictures(source), out, on_page))


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


def _provenance(source: Source, unfit_outlines: int, study: Study | None, reviewed: bool) -> Provenance:
    """Return where the report's numbers come from: bundle, snapshots, specifications, software, and what speaks against them."""
    told = source.bundle.description
    specs = {**source.view.specs(), **source.bundle.known_specs()}
    spec, pooling = specs.get(told.specs.radiomics_spec_id), source.bundle.model.pooling
    return Provenance(
        center=source.center,
        training_centers=source.training_centers,
        training_cases=told.cohort.cases,
        intended_use=told.intended_use,
        fitted_reader=str(source.fitted),
        applied_reader=str(source.reading),
        unfit_outlines=unfit_outlines,
        weights=told.weights.name,
        not_for_inference=told.weights.not_for_inference,
        bundle_digest=source.bundle.digest,
        snapshot=source.snapshot,
        snapshot_digest=source.snapshot_digest,
        settings={
            "protocol of the fit": told.protocol,
            "volume specification": told.specs.volume_spec_id,
            "radiomics specification": told.specs.radiomics_spec_id,
            "embedding specification": told.specs.embedding_spec_id,
            **{f"specification of {region.name}": region.region_spec_id for region in told.regions},
            **({} if spec is None else _radiomics_settings(spec)),
            **({SLICES: POOLED[pooling]} if pooling in POOLED else {}),
            "image network": "; ".join(map(str, networks_of(told))),
            "training snapshot": f"{told.snapshot.name}, {told.snapshot.digest}",
            "bootstrap seed": str(SEED),
            **({"outlines": "those that a review accepts"} if reviewed else {}),
        },
        software=dict(told.software),
        created=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        cautions=tuple(
            [f"{entry.mark} ({', '.join(MODEL_NAMES[model] for model in entry.models)})" for entry in told.marks]
            + [remark.message for remark in told.remarks]
            + uncalibrated(source.bundle)
            + [
                f"the features of this centre are on the scale of training by {own.cases} of its own cases (set "
                f"{own.set_digest[:12]}), as they were when the bundle first scored it; the report has the scores without, too"
                for own in source.own_cases
                if own.center == source.center
            ]
            + other_spellings(source)
            + [warning.message for warning in bundle_warnings(told) if warning.kind != "untrained_weights"]
        ),
        recalibrated=recalibrated(told),
        study=study,
    )


def _radiomics_settings(spec: Spec) -> dict[str, str]:
    """Return what a report shows of the features' settings, and of a feature set what it is."""
    content = spec.content()
    settings = ", ".join(f"{name} {canonical_json(value)}" for name, value in content.get("settings", {}).items())
    if not spec.feature_set:
        return {RADIOMICS_SETTINGS: settings}
    parameters = set_parameters(spec)
    return {
        FEATURE_SET: f"{spec.feature_set}, {len(content['features']['names']):,} features"
        + ", computed of the sources' own grid" * (grid_of(spec) == "source"),
        IMAGE_TYPES: _listed(parameters["imageType"]),
        FEATURE_CLASSES: ", ".join(parameters["featureClass"]),
        RADIOMICS_SETTINGS: settings,
    }


def _listed(image_types: Mapping[str, Mapping[str, object]]) -> str:
    """Return image types, each with the settings of its own."""
    own = (
        (name, f" ({', '.join(f'{key} {canonical_json(value)}' for key, value in found.items())})" * bool(found))
        for name, found in image_types.items()
    )
    return ", ".join(f"{name}{told}" for name, told in own)
