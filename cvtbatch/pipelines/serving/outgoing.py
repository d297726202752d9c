"""Which outlines' results may go to an archive, and their way there by `results`.

An outline that is not for inference never goes, nor one that a review refuses; one that a method found waits until a review accepts
it, unless the user sends such outlines too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvtbatch.errors import CvtbatchError
from cvtbatch.pipelines.results.delivery import Destination
from cvtbatch.pipelines.results.result_files import Products
from cvtbatch.pipelines.results.write_results import ResultsReport, write_results
from cvtbatch.pipelines.shared.readings import NOT_FOR_INFERENCE
from cvtbatch.pipelines.shared.reviewed import NOT_REVIEWED, refused_outlines
from cvtbatch.store import View

Row = Mapping[str, Any]
_COLUMNS = ("case_key", "roi_key", "input_digest", "outline_spec_id", "flags")
# Errors of an archive as a whole, and not of an object: what is left is tried again.
_OF_THE_ARCHIVE = frozenset({"pacs_unavailable", "pacs_denied", "pacs_untrusted", "bad_pacs_credentials"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Outlines of some cases.

    Attributes:
        ready: roi_keys of those whose results may be sent.
        others: roi_keys of those whose results may not.
        waiting: case_keys of those that a review would let go.
    """

    ready: tuple[str, ...]
    others: tuple[str, ...]
    waiting: frozenset[str]


def sort_out(view: View, case_keys: Iterable[str], *, send_unreviewed: bool) -> Outgoing:
    """Return which outlines of some cases may be sent."""
    wanted = set(case_keys)
    rows = [row for row in view.outlines(_COLUMNS).to_pylist() if row["case_key"] in wanted]
    refused = refused_outlines(view, rows, "roi_key")
    ready, others, waiting = list[str](), list[str](), set[str]()
    for row in rows:
        reason = refused.get(row["roi_key"])
        lacks_review = reason == NOT_REVIEWED and row["outline_spec_id"] is not None and not send_unreviewed
        fit = NOT_FOR_INFERENCE not in (row["flags"] or ())
        if fit and lacks_review:
            waiting.add(row["case_key"])
        may_go = fit and not lacks_review and reason in {None, NOT_REVIEWED}
        (ready if may_go else others).append(row["roi_key"])
    return Outgoing(tuple(sorted(ready)), tuple(sorted(others)), frozenset(waiting))


@dataclass(slots=True)
class Sent:
    """What became of results, by case_key.

    Attributes:
        objects: that the archive has.
        refused: kind for which results could not be made, or an object was not taken.
    """

    objects: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultsWork:
    """What is made of a batch's outlines, and where it goes.

    Attributes:
        bundle: whose scores the reports hold; None for none.
        products: with the folder of all results; None in it where no file is kept.
        destination: None where none is named.
    """

    store_url: str
    bundle: Path | None
    products: Products
    destination: Destination | None
    send_unreviewed: bool

    @property
    def sends(self) -> bool:
        """Whether anything goes over the line."""
        return self.destination is not None and self.destination.send

    def carry_out(self, outgoing: Outgoing, manifest: Path) -> Sent:
        """Write results, and send those that may go.

        Raises:
            UnavailableError, InputError: the archive is away, or does not let us in; the same call goes on.
            InputError: files cannot be written.
        """
        sent = Sent()
        self._write(outgoing.ready, manifest, self.destination, sent)
        if self.products.out is not None:
            self._write(outgoing.others, manifest, None, sent)
        return sent

    def _write(self, roi_keys: Sequence[str], manifest: Path, destination: Destination | None, sent: Sent) -> None:
        if not roi_keys:
            return
        errors = list[CvtbatchError]()
        report = write_results(
            *(self.store_url, manifest, self.bundle, self.products, destination, roi_keys, (), None),
            on_refused=lambda _, error: errors.append(error),
        )
        for error in errors:
            if error.kind in _OF_THE_ARCHIVE:
                raise error
        _count(report, sent)


def _count(report: ResultsReport, sent: Sent) -> None:
    for case in report.failed:
        sent.refused[case.case_key] = case.kind
    for one in report.objects:
        case_key = "/".join(one.file.split("/")[:2])
        sent.objects[case_key] += one.state in {"sent", "there"}
        if one.error is not None:
            sent.refused[case_key] = one.error.kind
