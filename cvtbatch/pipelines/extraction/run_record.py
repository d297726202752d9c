"""The rows that a run writes of itself: its specifications in `specs`, its start and its end in `runs`."""

import json
from dataclasses import asdict, replace

from cvtbatch.documents import to_document
from cvtbatch.embedding.weights import is_named
from cvtbatch.library_versions import library_versions
from cvtbatch.manifest import Manifest
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.report import ExtractReport
from cvtbatch.pipelines.extraction.row_batch import bookkeeping, spec_row
from cvtbatch.pipelines.extraction.settings import Settings
from cvtbatch.pipelines.shared.job import EmbeddingSection, Job
from cvtbatch.radiomics import PROFILES
from cvtbatch.spec import canonical_json
from cvtbatch.store import FeatureStore


class RunRecord:
    """Appends what a run says of itself.

    Args:
        workers: what the run works on; names no host.
    """

    def __init__(self, store: FeatureStore, settings: Settings, manifest: Manifest, workers: str, run_id: str) -> None:
        self._store, self._settings, self._manifest = store, settings, manifest
        self._workers, self._run_id = workers, run_id

    def append_specs(self) -> None:
        """Append the specifications that the run's rows name; those of feature sets come with their first rows."""
        rows = [spec_row(spec, self._run_id) for spec in self._settings.specs if not spec.feature_set]
        self._store.table("specs").append(rows)

    def append_start(self, report: ExtractReport) -> None:
        """Append that the run has started."""
        self._store.table("runs").append([self._row(report, "started", "")])

    def append_end(self, report: ExtractReport, state: str, reason: str) -> None:
        """Append how the run ended, and what it cost."""
        self._store.table("runs").append([{**self._row(report, state, reason), **cost_columns(report)}])

    def _row(self, report: ExtractReport, state: str, reason: str) -> Row:
        return {
            "command": "extract",
            "state": state,
            "reason": reason,
            "job": shareable_job(self._settings.job),
            "manifest_digest": self._manifest.sha256,
            "volume_spec_id": report.volume_spec_id,
            "radiomics_spec_id": report.radiomics_spec_id,
            "libraries": json.dumps(library_versions()),
            "workers": self._workers,
            "cases": len(self._manifest),
            "computed": report.computed,
            "already_done": report.already_done,
            "failed": report.failed,
            "awaiting_mask": report.awaiting_mask,
            "no_hemorrhage": report.no_hemorrhage,
            "seconds": report.seconds,
            "audit": canonical_json(asdict(report.audit)),
            "outline_spec_id": report.outline_spec_id or None,
            "embedding_spec_id": report.embedding_spec_id,
            "feature_sets": canonical_json(report.feature_sets),
            "descriptions": canonical_json(report.descriptions),
            "regions": canonical_json(self._settings.regions),
            "embeddings": canonical_json(report.embeddings_document()),
            **bookkeeping(self._run_id),
        }


def shareable_job(job: Job) -> str:
    """Return the job without file names, as JSON."""
    profile = job.radiomics.profile
    named = profile if profile in PROFILES else "parameter file"
    sets, source_sets = (
        dict.fromkeys(files, "parameter file") for files in (job.radiomics.sets, job.radiomics.source_sets)
    )
    radiomics = replace(job.radiomics, profile=named, sets=sets, source_sets=source_sets)
    first, *others = (_without_file(section) for section in job.embeddings)
    embedding = (first, *others) if isinstance(job.embedding, tuple) else first
    # The line of a command may name folders; its specification has the line's digest.
    line = None if job.outline.command.line is None else "command"
    outline = replace(job.outline, command=replace(job.outline.command, line=line))
    return canonical_json(to_document(replace(job, outline=outline, radiomics=radiomics, embedding=embedding)))


def _without_file(section: EmbeddingSection) -> EmbeddingSection:
    """Return a section whose weights are no file's name."""
    named = section.weights == "none" or is_named(section.weights)
    return section if named else replace(section, weights="file")


def cost_columns(report: ExtractReport) -> dict[str, object]:
    """Return what the run cost, and the rows that it appended."""
    columns = asdict(report.cost)
    stages = {entry.pop("stage"): entry for entry in columns["stages"]}
    return {**columns, "stages": canonical_json(stages), "rows": canonical_json(dict(report.rows))}
