"""What only the authors of a validation know (contract: schemas/study.json); None where they did not say."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dates:
    """When the first and the last scan were made, e.g. "2019-01"."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class ReferenceStandard:
    """How the cause was established, by whom, blind to the scores or not, and how long after the CT."""

    definition: str
    assessors: str | None = None
    blinded: bool | None = None
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Who outlined, with years of experience."""

    reader: str
    role: str
    years: int


@dataclass(frozen=True, slots=True)
class Segmentation:
    """How hematomas were outlined."""

    method: str
    automation: Literal["manual", "semi-automated", "automated"]
    single_reader: bool


@dataclass(frozen=True, slots=True)
class Ethics:
    """Who approved the study, how, and what patients consented to."""

    committee: str
    approval: str
    consent: str


@dataclass(frozen=True, slots=True)
class Shared:
    """Whether something is shared, and where, or why not."""

    available: bool
    where: str


@dataclass(frozen=True, slots=True)
class Availability:
    """What of a study is shared."""

    images: Shared | None = None
    features: Shared | None = None
    code: Shared | None = None
    model: Shared | None = None
    system: Shared | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """A study file."""

    dates: Dates | None = None
    nature: Literal["retrospective", "prospective"] | None = None
    setting: str | None = None
    treatments: str | None = None
    acquisition_standard: str | None = None
    guidelines: tuple[str, ...] | None = None
    reference_standard: ReferenceStandard | None = None
    readers: tuple[Reader, ...] | None = None
    segmentation: Segmentation | None = None
    predictors_assessed_by: str | None = None
    ethics: Ethics | None = None
    funding: str | None = None
    conflicts: str | None = None
    protocol: str | None = None
    registration: str | None = None
    involvement: str | None = None
    availability: Availability | None = None
