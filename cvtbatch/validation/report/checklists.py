"""Reporting checklists: what the store, the validation and the authors answer is filled in, the rest stands as open. Pure."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.report.answer import OPEN, Answer
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.store_answers import store_answers
from cvtbatch.validation.report.study_answers import study_answers
from cvtbatch.validation.report.tables import Cell, ReportTable
from cvtbatch.validation.study import Study

FILES = {"CLEAR": "clear", "TRIPOD+AI": "tripod", "METRICS": "metrics"}
_TOPICS: Mapping[str, Mapping[str, str]] = {
    "CLEAR": {
        "7": "guidelines", "8": "ethics", "9": "power", "10": "nature", "11": "eligibility", "13": "source", "15": "split",
        "16": "protocol", "17": "predictors", "18": "reference", "19": "segmentation", "20": "who_segmented",
        "21": "preprocessing", "22": "resampling", "23": "discretisation", "24": "image_types", "25": "extraction",
        "26": "classes", "27": "features", "28": "defaults", "29": "missing", "31": "readers", "34": "model",
        "36": "confounders", "38": "split", "39": "metrics", "40": "uncertainty", "41": "comparison", "42": "non_radiomic",
        "43": "explained", "44": "baseline", "45": "flow", "46": "selected", "47": "performance", "48": "non_radiomic",
        "53": "shared_images", "54": "shared_features", "55": "settings", "56": "shared_code", "57": "shared_model",
        "58": "shared_system",
    },
    "TRIPOD+AI": {
        "3b": "intended", "5a": "source", "5b": "dates", "6a": "setting", "6b": "eligibility", "6c": "treatments",
        "7": "settings", "8a": "outcome", "8b": "reference_assessors", "8c": "reference_blinded", "9b": "predictors",
        "9c": "predictors_assessed_by", "10": "power", "11": "missing", "12a": "split", "12c": "model", "12e": "metrics",
        "12f": "updating", "12g": "digests", "14": "subgroups", "15": "output", "16": "shift", "17": "ethics",
        "18a": "funding", "18b": "conflicts", "18c": "study_protocol", "18d": "registration", "18e": "shared_data",
        "18f": "shared_code", "19": "involvement", "20a": "flow", "20b": "baseline", "20c": "against", "21": "numbers",
        "22": "full_model", "23a": "performance", "24": "updated", "27a": "missing",
    },
    "METRICS": {
        "1": "guidelines", "2": "eligibility", "3": "reference", "4": "multicenter", "5": "acquisition_standard",
        "6": "protocol", "7": "reference_interval", "8": "segmentation", "10": "single_reader",
        "11": "preprocessing", "12": "extraction", "13": "defaults", "15": "selected", "18": "split", "19": "confounders",
        "20": "metrics", "21": "uncertainty", "22": "calibration", "23": "one_modality", "24": "non_radiomic", "25": "simple_model",
        "26": "internal", "27": "numbers", "28": "shared_data", "29": "shared_code", "30": "shared_model",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One item; with its weight, where the list has weights."""

    number: str
    text: str
    answer: Answer
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A score of a weighted list, in per cent of the weight that applies: open items taken as not met, and as met."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Checklist:
    """A checklist as far as it can be answered here.

    Attributes:
        file: its CSV, beside the page.
    """

    name: str
    title: str
    source: str
    file: str
    items: tuple[Item, ...]

    @property
    def summary(self) -> str:
        """How many items have which answer."""
        counts = Counter(item.answer.verdict for item in self.items)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        if self.score is None:
            return told
        span = f"{decimal(self.score.low, 1)} to {decimal(self.score.high, 1)}"
        return f"{told}; score {decimal(self.score.low, 1)} %" if not self.open else f"{told}; score between {span} %"

    @property
    def open(self) -> tuple[str, ...]:
        """The numbers of the items that wait for the authors."""
        return tuple(item.number for item in self.items if item.answer.verdict == "open")

    @property
    def score(self) -> Score | None:
        """The score of a weighted list: the weight of what is met in that of what applies (Kocak 2024)."""
        met, not_met, waiting = (
            sum(item.weight for item in self.items if item.weight is not None and item.answer.verdict == verdict)
            for verdict in ("yes", "no", "open")
        )
        applicable = met + not_met + waiting
        return Score(100 * met / applicable, 100 * (met + waiting) / applicable) if applicable else None

    def to_table(self) -> ReportTable:
        """Return the list as a table for its file."""
        rows: list[tuple[Cell, ...]] = [
            (item.number, item.text, item.answer.verdict, item.answer.text, item.answer.pointer, item.weight)
            for item in self.items
        ]
        header = ("item", "what", "answer", "in words", "rests on (report.json)", "weight")
        if self.score is None:
            return ReportTable(self.file, self.title, header[:-1], tuple(row[:-1] for row in rows))
        for text, value in (("open items not met", self.score.low), ("open items met", self.score.high)):
            rows.append(("score", f"per cent of the weight that applies; {text}", "", "", "", value))
        return ReportTable(self.file, self.title, header, tuple(rows))


def fill_checklists(validation: Validation) -> tuple[Checklist, ...]:
    """Return CLEAR, TRIPOD+AI and METRICS with what can be answered; nothing is answered that is not there."""
    study = validation.provenance.study
    answers = {**store_answers(validation), **study_answers(study)}
    lists: Mapping[str, Any] = json.loads(
        resources.files(__package__).joinpath("checklists.json").read_text(encoding="utf-8")
    )
    conditional = _of_conditions(study, evaluated=bool(validation.readers))
    return tuple(
        Checklist(
            name,
            entry["title"],
            entry["source"],
            f"{FILES[name]}.csv",
            tuple(
                Item(
                    number,
                    text,
                    conditional.get((name, number)) or answers.get(_TOPICS[name].get(number, ""), OPEN),
                    entry.get("weights", {}).get(number),
                )
                for number, text in entry["items"].items()
            ),
        )
        for name, entry in lists.items()
    )


def _of_conditions(study: Study | None, evaluated: bool) -> dict[tuple[str, str], Answer]:
    """Return the answers to METRICS' items whose condition does not always hold.

    Its conditions: segmentation, hand-crafted features and tabular data are there; end-to-end deep learning is not, since the
    network's values go through a table; fully automated segmentation is what the authors say. Whether the outlines that are
    compared are a program's and an expert's is theirs to say too.

    Args:
        evaluated: outlines of several readers are compared.
    """
    why = "The network's values enter the model through a table: no end-to-end deep learning."
    found = {("METRICS", "17"): Answer("not applicable", why, "/models")}
    segmentation = study.segmentation if study else None
    if segmentation is not None and segmentation.automation != "automated":
        text, pointer = f"Segmentation is {segmentation.automation}.", "/provenance/study/segmentation/automation"
        found["METRICS", "9"] = Answer("not applicable", text, pointer)
    elif segmentation is not None and not evaluated:
        found["METRICS", "9"] = Answer("no", "No outline is compared with another reader's.", "/readers")
    return found
