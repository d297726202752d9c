"""Agreement: which features, scores and decisions survive another outline, a second reader's or one perturbed by rule."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.file_errors import why
from cvtbatch.manifest import Reading, require_centers
from cvtbatch.pipelines.centers.agreement_tables import (
    Document,
    cases_csv,
    classes_csv,
    comparison_document,
    perturbation_document,
)
from cvtbatch.pipelines.centers.comparison import Comparison, compare_readings
from cvtbatch.pipelines.centers.perturbation_study import PerturbationStudy, study_perturbations
from cvtbatch.pipelines.models.own_cases import read_own_cases, with_own_cases
from cvtbatch.pipelines.shared.bundle_outcome import require_event
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.store import View
from cvtbatch.validation.icc_table import icc_table_to_csv
from cvtbatch.validation.readers import by_class
from cvtbatch.whole_files import written_whole


@dataclass(frozen=True, slots=True)
class Question:
    """Whose outlines are compared with what.

    Attributes:
        readers: two, by name or method; or one, whose outlines are perturbed alone.
        perturbations: of each outline of the first reader; 0 for none.
        centers: of these alone; of all where none is named.
        bundle: scores both readers' outlines, under its own specifications.
        snapshot: by default one that is recorded for this.
        spec_ids: specifications to which the features are restricted, without a bundle.
    """

    readers: tuple[str, ...]
    perturbations: int = 0
    centers: tuple[str, ...] = ()
    bundle: Path | None = None
    snapshot: str | None = None
    spec_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AgreementReport:
    """What came out, for people and as the JSON document of `cvtbatch agreement --json`.

    Attributes:
        spec_ids: of the features, and of the embeddings where a bundle scores.
        centers: that are compared; none for all.
        in_use: radiomics features that the bundle's models use; none without a bundle.
        comparison: of two readers.
        perturbations: of the first reader's outlines.
    """

    snapshot: str
    snapshot_digest: str
    spec_ids: tuple[str, ...]
    centers: tuple[str, ...]
    bundle_digest: str | None
    in_use: tuple[str, ...]
    comparison: Comparison | None
    perturbations: PerturbationStudy | None

    def to_document(self) -> Document:
        """Return the JSON document."""
        compared, perturbed = self.comparison, self.perturbations
        return {
            "command": "agreement",
            "snapshot": self.snapshot,
            "snapshot_digest": self.snapshot_digest,
            "specs": list(self.spec_ids),
            "centers": list(self.centers),
            "bundle_digest": self.bundle_digest,
            "comparison": None if compared is None else comparison_document(compared, self.in_use),
            "perturbations": None if perturbed is None else perturbation_document(perturbed, self.in_use),
        }


def study_agreement(
    store_url: str,
    question: Question,
    out: Path,
    cluster: Cluster,
    on_progress: Callable[[int, int, int], None] = lambda *_: None,
) -> AgreementReport:
    """Answer a question about outlines of a store, and write what came out into a folder.

    Args:
        on_progress: called with the outlines that are perturbed, all of them, and how many of them failed.

    Raises:
        InputError: there are not two readers, or one and perturbations; there is no such reader, snapshot or specification; there
            are features of several specifications; too few cases or perturbations; the folder cannot be written.
        FormatError: the bundle is damaged.
        ResourceError: a bundle is named, and this installation is one without the extra `fit`.
    """
    if len(question.readers) != 2 and not (len(question.readers) == 1 and question.perturbations):
        raise InputError(
            "not_two_readers",
            f"{len(question.readers)} readers are named: agreement is between two, or of one with its outlines perturbed "
            "(--perturbations)",
        )
    if question.bundle is not None:
        require("what outlines do to scores needs", "sklearn")
    bundle = None if question.bundle is None else load_bundle(question.bundle)
    if bundle is not None:
        require_event(bundle, "agreement --bundle", "leave --bundle out, and features are compared")
    pinned = open_pinned(store_url, question.snapshot, "agreement")
    if bundle is not None:
        bundle = with_own_cases(bundle, read_own_cases(pinned.store, bundle, bundle.description.primary))
    specs = bundle.specs.ids() if bundle else list(question.spec_ids)
    if question.centers:
        require_centers(question.centers, pinned.view.centers())
    there = read_readings(pinned.view, specs, question.centers)
    readings = [there.find(name) for name in question.readers]
    if len(set(readings)) < len(readings):
        raise InputError("not_two_readers", f"{' and '.join(map(repr, question.readers))} are both {readings[0]}")
    if bundle is None:
        specs = [_one_specification(pinned.view, specs, readings)]
    compared = perturbed = None
    if len(readings) == 2:
        pair = (readings[0], readings[1])
        compared = compare_readings(pinned, specs, question.centers, pair, there, bundle, cluster)
    if question.perturbations:
        perturbed = study_perturbations(
            store_url,
            question.perturbations,
            readings[0],
            question.centers,
            pinned.name,
            specs[:1],
            cluster,
            on_progress,
        )
    found = AgreementReport(
        snapshot=pinned.name,
        snapshot_digest=pinned.content_digest,
        spec_ids=tuple(specs),
        centers=question.centers,
        bundle_digest=None if bundle is None else bundle.digest,
        in_use=() if bundle is None else tuple(bundle.model.radiomics),
        comparison=compared,
        perturbations=perturbed,
    )
    _write(found, out)
    return found


def _one_specification(view: View, spec_ids: Sequence[str], readings: Sequence[Reading]) -> str:
    """Return the one specification of the readings' features.

    Raises:
        InputError: "several_specs"; "too_few_pairs": there are no features.
    """
    either = pc.field("reader").isin([reading.reader for reading in readings])
    rows = view.radiomics(["radiomics_spec_id"], either, list(spec_ids))
    if not rows.num_rows:
        raise InputError("too_few_pairs", f"no outline of {' or '.join(map(str, readings))} has features")
    found: str = rows["radiomics_spec_id"][0].as_py()
    return found


def _write(found: AgreementReport, folder: Path) -> None:
    """Write the tables and the document, each whole or not at all.

    Raises:
        InputError: "cannot_write".
    """
    files = {"agreement.json": json.dumps(found.to_document(), indent=1, allow_nan=False) + "\n"}
    if (compared := found.comparison) is not None:
        files |= {
            "features.csv": icc_table_to_csv(compared.study.features),
            "classes.csv": classes_csv(compared.study.classes),
            "cases.csv": cases_csv(compared),
        }
    if (perturbed := found.perturbations) is not None:
        files |= {
            "perturbed_features.csv": icc_table_to_csv(perturbed.features),
            "perturbed_classes.csv": classes_csv(by_class(perturbed.features)),
        }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with written_whole(folder / name) as aside:
                aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("cannot_write", f"the tables cannot be written: {why(error)}", str(folder)) from None
