"""What becomes of failures in a run: rows of the table `failures`, lines of the user's log, and texts for the terminal."""

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.row_batch import RowBatch
from cvtbatch.pipelines.shared.run_log import RunLog


class Subject(Protocol):
    """What a failure is about: a case, or an outline of it."""

    @property
    def case_key(self) -> str: ...
    @property
    def center(self) -> str: ...
    @property
    def case_id(self) -> str: ...
    @property
    def manifest_row(self) -> int: ...


class FailureEvents:
    """Records failures and their ends.

    Args:
        on_failure: called with the text of the first failure of each kind, which may hold paths, and at the end with how many more
            there were of each; those of each feature set are told by themselves.
        sets: names of feature sets, by specification.
    """

    def __init__(
        self,
        batch: RowBatch,
        log: RunLog,
        on_failure: Callable[[str], None],
        sets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._batch, self._log, self._on_failure, self._sets = batch, log, on_failure, sets
        self._kinds: Counter[tuple[str, str]] = Counter()

    def add(self, subject: Subject, failure: Failure) -> None:
        """Record a failure, and tell it if it is the first of its kind."""
        key = failure.key
        self._batch.hold("failures", [failure_row(subject, failure)])
        self._log.write(
            "error",
            "failed",
            case_key=subject.case_key,
            roi_key=key.roi_key,
            manifest_row=failure.manifest_row,
            stage=failure.stage,
            kind=failure.kind,
            message=failure.message,
            private=failure.private,
        )
        of_set = f"feature set {self._sets[key.spec_id]}: " if key.spec_id in self._sets else ""
        self._kinds[of_set, failure.kind] += 1
        if self._kinds[of_set, failure.kind] > 1:
            return
        where = f"row {failure.manifest_row}, {key.roi_key or subject.case_key}"
        private = f" [{failure.private}]" if failure.private else ""
        self._on_failure(f"failed: {where}: {of_set}{failure.stage}: {failure.kind}: {failure.message}{private}")

    def tell_rest(self) -> None:
        """Tell how many failures there were of each kind beyond the first."""
        for (of_set, kind), count in self._kinds.most_common():
            if count > 1:
                self._on_failure(f"+ {count - 1:,} more of {of_set}{kind}")

    def end(self, subject: Subject, key: FailureKey) -> None:
        """Record that what failed before has succeeded since, or is asked for no more."""
        self._batch.hold("failures", [ended_row(subject, key)])


def failure_row(subject: Subject, failure: Failure) -> Row:
    """Return the `failures` row of a failure, without book-keeping."""
    return {
        **_about(subject, failure.key),
        "stage": failure.stage,
        "kind": failure.kind,
        "message": failure.message,
        "traceback_digest": failure.traceback_digest,
        "source_fingerprint": failure.source_fingerprint,
        "resolved": False,
        "manifest_row": failure.manifest_row,
    }


def ended_row(subject: Subject, key: FailureKey) -> Row:
    """Return the `failures` row that ends a failure, without book-keeping."""
    return {
        **_about(subject, key),
        "stage": "read",
        "kind": "ended",
        "message": "done since, or its outline withdrawn",
        "traceback_digest": "",
        "source_fingerprint": "",
        "resolved": True,
        "manifest_row": subject.manifest_row,
    }


def _about(subject: Subject, key: FailureKey) -> Row:
    return {
        "case_key": subject.case_key,
        "center": subject.center,
        "case_id": subject.case_id,
        "roi_key": key.roi_key,
        "spec_id": key.spec_id,
        "scope": key.scope,
        "input_digest": key.input_digest,
    }
