"""Recalibrate: a bundle and the scored cases of a centre to a bundle of its own."""

from dataclasses import dataclass
from pathlib import Path

from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.description import RecalibrationOrigin
from cvtbatch.dlrn.freezing import software_versions
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle, refuse_recalibrated
from cvtbatch.dlrn.settings import Model
from cvtbatch.documents import from_document
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.pipelines.centers.bundle_facts import MODEL_NAMES
from cvtbatch.pipelines.centers.center_cohort import read_cohort
from cvtbatch.pipelines.centers.center_source import Source, open_source, refuse_seen_center
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.pipelines.shared.bundle_outcome import require_event
from cvtbatch.spec import digest
from cvtbatch.validation.calibration import terms
from cvtbatch.validation.inputs import Case, scored_cases
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.recalibration import Method, Recalibration, recalibrations
from cvtbatch.validation.values import Estimate, Interval, NotComputable

PRIMARY = MODEL_NAMES[Model.DLRN]


@dataclass(frozen=True, slots=True)
class RecalibrationReport:
    """What was written, for people and as the JSON document of `cvtbatch recalibrate --json`.

    Attributes:
        outcome: what the bundle tells.
        recalibration: what bundle.json says of it.
    """

    out: str
    digest: str
    caution: str
    outcome: Outcome
    recalibration: JsonObject

    @property
    def origin(self) -> RecalibrationOrigin:
        """What the bundle is a recalibration of, and on whom."""
        return from_document(RecalibrationOrigin, self.recalibration)

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        return {
            "command": "recalibrate",
            "bundle": self.out,
            "bundle_digest": self.digest,
            "caution": self.caution,
            "recalibration": self.recalibration,
        }


def recalibrate_center(
    store_url: str, bundle_path: Path, center: str, snapshot: str | None, method: Method, out: Path
) -> RecalibrationReport:
    """Fit the terms on what a bundle has scored of a centre, and write the recalibrated bundle.

    The cases are those that `validate` judges: eligible, scored, with a known outcome.

    Args:
        snapshot: by default one that is recorded for this.
        out: a new folder, or a new file that ends in .tar.

    Raises:
        InputError: the bundle has seen the centre or its images, or is recalibrated itself; there is no bundle, snapshot, centre or
            score; the cases are too few, with the figure, or have no such terms; there is something at `out`.
        FormatError: the bundle is damaged.
        ResourceError: this installation is one without the extra `fit`.
    """
    require("recalibration needs", "sklearn", "imblearn", "statsmodels")
    if out.exists():
        raise InputError("bundle_exists", f"--out {out}: there is something already; choose a new name")
    bundle = load_bundle(bundle_path)
    require_event(bundle, "recalibrate", "the report of `cvtbatch validate` shows how its classes are calibrated")
    refuse_recalibrated(bundle)
    refuse_seen_center(bundle, center)
    source = open_source(store_url, bundle, center, snapshot, "recalibrate")
    scored, cases = scored_cases(read_cohort(source, Readers((), ())).cases, PRIMARY)
    found = recalibrations(terms(scored), scored)[method]
    if isinstance(found, NotComputable):
        raise InputError(
            "not_recalibrated", f"centre {center!r} cannot recalibrate {PRIMARY} ({method}): {found.reason}"
        )
    function = Function(found.intercept.value, 1.0 if found.slope is None else found.slope.value)
    origin = _origin(source, cases, found)
    written = recalibrate_bundle(bundle_path, out, function, origin)
    return RecalibrationReport(
        str(out), written, found.caution, bundle.description.outcome, load_bundle(out).document["recalibration"]
    )


def _origin(source: Source, cases: tuple[Case, ...], found: Recalibration) -> JsonObject:
    """Return what bundle.json says of the recalibration."""
    keys = {case.key for case in cases}
    volumes = [row for key, row in source.by_key("volumes", "case_key").items() if key in keys]
    told = (part for case in cases for part in (case.key, str(case.outcome), case.scores[PRIMARY].hex()))
    return {
        "method": found.method,
        "intercept": _numbers(found.intercept),
        "slope": None if found.slope is None else _numbers(found.slope),
        "thresholds": "mapped",
        "center": source.center,
        "snapshot": {"name": source.snapshot, "digest": source.snapshot_digest},
        "cohort_digest": digest(*told),
        "cases": len(cases),
        "patients": len({case.patient for case in cases}),
        "events": sum(case.outcome is True for case in cases),
        "image_digests": sorted({row["image_digest"] for row in volumes if row["image_digest"]}),
        "software": software_versions(),
    }


def _numbers(estimate: Estimate) -> dict[str, float]:
    if not isinstance(estimate.interval, Interval):
        raise InputError("not_recalibrated", f"a term has no interval: {estimate.interval.reason}")
    return {"value": estimate.value, "low": estimate.interval.low, "high": estimate.interval.high}
