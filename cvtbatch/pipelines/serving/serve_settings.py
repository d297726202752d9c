"""What a watch does, and how; everything that can be refused before it begins is refused here."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.engine import ClusterConfig
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.source import Source
from cvtbatch.pipelines.centers.add_center import resolve_by_bundle
from cvtbatch.pipelines.extraction.settings import Options, Settings, resolve
from cvtbatch.pipelines.indexing.index import IndexOptions
from cvtbatch.pipelines.serving.outgoing import ResultsWork
from cvtbatch.pipelines.shared.bundle_networks import untrained_weights
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pull_pace import Pace
from cvtbatch.pipelines.shared.pull_selection import Selection
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE


@dataclass(frozen=True, slots=True)
class Watched:
    """Which studies of which archive are watched, and how gently.

    Attributes:
        selection: of their images.
        days: before today, beyond which studies are not looked at; None for what the selection says.
        pace: makes that of a batch.
        connections: series that are fetched at once.
    """

    source: Source
    selection: Selection
    days: int | None
    pace: Callable[[], Pace]
    connections: int

    def selected(self, today: datetime.date) -> Selection:
        """Return what is wanted on a day."""
        if self.days is None:
            return self.selection
        return replace(self.selection, dates=(f"{today - datetime.timedelta(self.days):%Y%m%d}", ""))


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What a watch does.

    Attributes:
        every_s: from poll to poll.
        most_series: that are fetched and not extracted yet, unless one study has more.
        index: with the centre of all studies.
        extraction, options: of the extraction; studies that failed or were left out are taken once more where it retries failures.
        reader: whose outlines are scored; None for whom the bundle was fitted on.
        results: None where none are made.
        metrics: where they go, as `published` takes it: those of the watch, in the place of its runs'.
    """

    watched: Watched
    store_url: str
    every_s: float
    most_series: int
    index: IndexOptions
    extraction: Settings
    options: Options
    cluster: ClusterConfig
    bundle: Path | None
    reader: str | None
    results: ResultsWork | None
    metrics: str | None


def resolve_extraction(job: Job, store_url: str, bundle_path: Path | None, folder: Path, *, given: bool) -> Settings:
    """Return the settings of an extraction that a watch may go by: those of its job, under the specifications of a bundle.

    Args:
        folder: lasts as long as the watch, for files that the settings name.
        given: the user has named the embedding's weights.

    Raises:
        InputError: "not_for_inference": the bundle, or the method that outlines; as `resolve_by_bundle` and `resolve`.
        FormatError: the bundle is damaged.
    """
    if bundle_path is None:
        settings = resolve(job, store_url)
    else:
        bundle = load_bundle(bundle_path)
        if bundle.description.weights.not_for_inference:
            raise InputError(
                NOT_FOR_INFERENCE,
                f"the bundle is not for inference: its image network has the weights {untrained_weights(bundle.description)}, "
                "which were never trained: leave --bundle out, or name one of trained weights",
            )
        settings = resolve_by_bundle(bundle, job, store_url, given, folder)
    if settings.outline is not None and settings.outline.not_for_inference:
        raise InputError(
            NOT_FOR_INFERENCE,
            f"outlines by {settings.outline.settings.method} are not for inference: name another method in outline.method",
        )
    return settings


def require_results(source: Source, results: ResultsWork | None) -> None:
    """Refuse what would stop the first batch.

    Raises:
        FormatError: the bundle is damaged.
        ResourceError: libraries are missing.
    """
    if isinstance(source.address, Dimse):
        require("DIMSE needs", "pynetdicom")
    if results is None:
        return
    require("DICOM results need", "highdicom")
    if results.bundle is not None:
        load_bundle(results.bundle)
    if results.sends and results.destination is not None and isinstance(results.destination.address, Dimse):
        require("sending by DIMSE needs", "pynetdicom")
