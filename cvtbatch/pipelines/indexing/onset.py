"""Of several studies of a patient, the first after the onset that the clinical table gives. Pure."""

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cvtbatch.pipelines.indexing.study_choice import StudyChoice
from cvtbatch.pipelines.indexing.study_key import StudyKey

_STUDY_TIME = re.compile(r"(\d{8})(\d{2}(?:\d{2}(?:\d{2})?)?)?")
Onset = Callable[[StudyKey], datetime.datetime | None]


@dataclass(slots=True)
class FirstScans:
    """What became of the studies.

    Attributes:
        kept: the first of each patient after its onset, and those of which that cannot be told.
        before, later: left out, as they were made before the onset, or after another one.
        untold: how many were kept since onset, patient or time of the study are not known.
    """

    kept: list[StudyChoice] = field(default_factory=list)
    before: list[StudyChoice] = field(default_factory=list)
    later: list[StudyChoice] = field(default_factory=list)
    untold: int = 0


def first_after_onset(choices: Iterable[StudyChoice], onset_of: Onset) -> FirstScans:
    """Return of every patient the first study after the onset; an onset without a time counts from the beginning of its day.

    What is kept keeps its order.
    """
    found = FirstScans()
    patients: dict[tuple[str, ...], list[tuple[datetime.datetime, StudyChoice]]] = {}
    choices = list(choices)
    for choice in choices:
        onset, time = onset_of(choice.key), to_datetime(choice.time)
        if onset is None or time is None or not choice.key.patient_id:
            found.kept.append(choice)
            found.untold += 1
        elif time < onset:
            found.before.append(choice)
        else:
            patients.setdefault(choice.key[:2], []).append((time, choice))
    for studies in patients.values():
        studies.sort(key=lambda study: (study[0], study[1].key))
        found.kept.append(studies[0][1])
        found.later += [choice for _, choice in studies[1:]]
    order = {choice.key: place for place, choice in enumerate(choices)}
    found.kept.sort(key=lambda choice: order[choice.key])
    return found


def to_datetime(digits: str) -> datetime.datetime | None:
    """Return when a study was made, by StudyDate and StudyTime one after the other; the end of the day where there is no time."""
    match = _STUDY_TIME.match(digits.replace(":", ""))
    if match is None:
        return None
    try:
        return datetime.datetime.strptime(f"{match[1]}{(match[2] or '235959').ljust(6, '0')}", "%Y%m%d%H%M%S")
    except ValueError:
        return None
