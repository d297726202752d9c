"""Verdicts into table reviews: each on exactly what was looked at, or reported."""

import datetime
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.pipelines.reviews.verdict_file import FileVerdict, read_verdicts
from cvtbatch.pipelines.shared.reviewed import read_reviews
from cvtbatch.plain_text import hidden_character
from cvtbatch.reviewing.verdicts import Verdict
from cvtbatch.run_id import make_run_id
from cvtbatch.store import IS_OUTLINE, FeatureStore, Location, View

Row = Mapping[str, Any]
CHANGED = "changed"
OUTLINED = "outlined"
OLDER = "older"
REASONS = {
    CHANGED: "is not what was looked at any more: look again",
    OUTLINED: "has an outline now: look at that",
    OLDER: "has a later verdict in the store, which stays",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that was not applied, and why: a word of `REASONS`."""

    row: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.key} {REASONS[self.reason]}"


@dataclass(slots=True)
class ApplyReport:
    """What became of a file of verdicts, for people and as the JSON document of `cvtbatch review apply --json`.

    Attributes:
        rows: verdicts of the file: each is applied, was applied before, or is left out.
        verdicts: those applied, now or before, by word.
        accepted: outlines that are accepted so, by reader.
    """

    store: str
    run_id: str
    rows: int
    applied: int = 0
    already_applied: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        left_out = [{"row": one.row, "key": one.key, "reason": one.reason} for one in self.left_out]
        return {"command": "review apply", **values, "left_out": left_out}


@dataclass(frozen=True, slots=True)
class _Known:
    """What a store has that can be looked at.

    Attributes:
        cases: rows of `cases`, by case_key.
        rois: case_key and reader of each outline that is or was there, by roi_key.
        looks: what can be looked at now: digests of the inputs of each outline, and of the volumes of each case, by key.
        outlined: case_keys that have an outline.
    """

    cases: Mapping[str, Row]
    rois: Mapping[str, Row]
    looks: Mapping[str, set[str]]
    outlined: frozenset[str]


def apply_review(store_url: str, path: Path, reviewer: str = "") -> ApplyReport:
    """Write the verdicts of a file into the store; those that are there already are not written again.

    A verdict on what has changed since is left out and reported, as is one that is older than what the store has of the same.

    Raises:
        InputError: there is no such file or store, or the reviewer's name holds a character that does not show.
        ProblemsError: a row is wrong by itself, or of a case or outline that the store does not have; nothing is written then.
    """
    if hidden := hidden_character(reviewer):
        raise InputError("bad_review", f"--reviewer holds {hidden}, which does not show")
    verdicts = read_verdicts(path)
    store = FeatureStore.open_for_writing(Location.of(store_url).url, existing=True)
    view = store.view()
    reviews = read_reviews(view)
    known = _read_known(view)
    if problems := [f"row {one.row}: {problem}" for one in verdicts if (problem := _problem(one, known))]:
        raise ProblemsError.of("bad_review", f"review {path}", problems)
    now = datetime.datetime.now(datetime.UTC)
    report = ApplyReport(store.location.url, make_run_id(now), len(verdicts))
    fresh = []
    for one in verdicts:
        there = reviews.get((one.case_key, one.roi_key, one.input_digest))
        reason = _reason(one, known)
        if not reason and there and there.reviewed_at > one.reviewed_at:
            reason = OLDER
        if reason:
            report.left_out.append(LeftOut(one.row, one.roi_key or one.case_key, reason))
        else:
            fresh.append(one)
    report.applied = store.table("reviews").append([_row(one, known, reviewer, report.run_id, now) for one in fresh])
    report.already_applied = len(fresh) - report.applied
    report.verdicts = dict(sorted(Counter(str(one.verdict) for one in fresh).items()))
    accepted = [known.rois[one.roi_key]["reader"] for one in fresh if one.roi_key and one.verdict is Verdict.ACCEPT]
    report.accepted = dict(sorted(Counter(accepted).items()))
    return report


def _read_known(view: View) -> _Known:
    looks: defaultdict[str, set[str]] = defaultdict(set)
    rois = view.outlines(["roi_key", "case_key", "input_digest"]).to_pylist()
    for row in rois:
        looks[row["roi_key"]].add(row["input_digest"])
    for row in view.rows("volumes", ["case_key", "image_digest"]).to_pylist():
        looks[row["case_key"]].add(row["image_digest"])
    cases = {row["case_key"]: row for row in view.rows("cases", ["case_key", "center", "case_id"]).to_pylist()}
    ever = view.read("rois", ["roi_key", "case_key", "reader"], IS_OUTLINE).to_pylist()
    return _Known(cases, {row["roi_key"]: row for row in ever}, looks, frozenset(row["case_key"] for row in rois))


def _problem(one: FileVerdict, known: _Known) -> str:
    """Say what is wrong with a row in this store; empty if nothing is."""
    if one.case_key not in known.cases:
        return f"case_key: the store has no case {one.case_key!r}"
    if one.roi_key and known.rois.get(one.roi_key, {}).get("case_key") != one.case_key:
        return f"roi_key: case {one.case_key} has no outline {one.roi_key!r}"
    return ""


def _reason(one: FileVerdict, known: _Known) -> str:
    """Say why a row is not of what the store has now; empty if it is."""
    if not one.roi_key and one.case_key in known.outlined:
        return OUTLINED
    return "" if one.input_digest in known.looks.get(one.roi_key or one.case_key, ()) else CHANGED


def _row(one: FileVerdict, known: _Known, reviewer: str, run_id: str, now: datetime.datetime) -> Row:
    case = known.cases[one.case_key]
    return {
        "case_key": one.case_key,
        "center": case["center"],
        "case_id": case["case_id"],
        "roi_key": one.roi_key,
        "input_digest": one.input_digest,
        "reader": known.rois[one.roi_key]["reader"] if one.roi_key else "",
        "verdict": str(one.verdict),
        "reviewer": reviewer,
        "comment": one.comment,
        "reviewed_at": one.reviewed_at,
        "run_id": run_id,
        "recorded_at": now,
    }
