"""What a parameter file would do, told before anything is computed, and a profile as a file to start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cvtbatch import contracts
from cvtbatch.counts import counted
from cvtbatch.errors import ProblemsError
from cvtbatch.radiomics.parameter_file import ParameterCheck, check_parameters, read_parameters
from cvtbatch.radiomics.profiles import PROFILES, STUDY_SETTINGS, Engine, load_profile
from cvtbatch.radiomics.settings import Value

# Longer values are cut where they are shown.
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class ProfileCheck:
    """A parameter file, looked at.

    Attributes:
        job_problems: why a job's `radiomics.profile` does not take it; empty where it does.
    """

    file: Path
    found: ParameterCheck
    job_problems: tuple[str, ...]

    @property
    def engine(self) -> Engine | None:
        """What would compute the set; None where something is refused."""
        if self.found.feature_set is None:
            return None
        return "pyradiomics" if self.found.feature_set.stock_reasons() else "fast"

    def defaults(self) -> dict[str, Value]:
        """Return what the file leaves to PyRadiomics' default where cvt-1834 has another value; empty where a key is refused."""
        if self.found.feature_set is None:
            return {}
        named = {one.key.rpartition(".")[2] for one in self.found.verdicts}
        taken, study = self.found.feature_set.settings(), PROFILES["cvt-1834"].settings()
        idle = {"binWidth"} if taken["binCount"] is not None else set()
        return {key: taken[key] for key in STUDY_SETTINGS if key not in named | idle and taken[key] != study[key]}

    def defaults_line(self) -> str:
        """Say them in one line; empty where there are none."""
        study = PROFILES["cvt-1834"].settings()
        told = ", ".join(
            f"{key} {show_value(value)} (cvt-1834: {show_value(study[key])})" for key, value in self.defaults().items()
        )
        return told and f"Not named, so PyRadiomics' default: {told}."

    def to_document(self) -> dict[str, object]:
        """Return the check as `schemas/commands/profile.json` has it."""
        feature_set = self.found.feature_set
        return {
            "command": "profile check",
            "file": str(self.file),
            "accepted": feature_set is not None,
            "engine": self.engine,
            "features": None if feature_set is None else len(feature_set.names()),
            "keys": [
                {"key": one.key, "value": show_value(one.value), "outcome": one.outcome, "reason": one.reason}
                for one in self.found.verdicts
            ],
            "defaults": self.defaults(),
            "job_problems": list(self.job_problems),
        }


def check_profile(file: Path) -> ProfileCheck:
    """Look at a parameter file.

    Raises:
        InputError: it cannot be read, or it is not YAML.
    """
    found = check_parameters(read_parameters(file))
    problems = found.problems()
    if not problems:
        try:
            load_profile(str(file))
        except ProblemsError as error:
            problems = error.private.splitlines()
    return ProfileCheck(file, found, tuple(problems))


def show_value(value: object) -> str:
    """Return a file's value in a few characters: of long lists and mappings, how many entries they have."""
    if isinstance(value, Mapping):
        return "" if not value else counted(len(value), "setting")
    shown = (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")
    )
    if isinstance(value, list) and len(shown) > _SHOWN_CHARACTERS:
        return f"{len(value)} entries"
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


def profile_parameters(profile: str) -> dict[str, dict[str, object]]:
    """Return what a parameter file of a profile holds.

    Raises:
        InputError: there is no such profile.
    """
    document = load_profile(profile).to_document()
    return {**document, "setting": {key: document["setting"][key] for key in STUDY_SETTINGS}}


def write_template(profile: str) -> str:
    """Return a profile as a parameter file, which PyRadiomics reads too; errors as for `profile_parameters`."""
    parameters = profile_parameters(profile)
    parts = [yaml.safe_dump({name: part}, sort_keys=False, width=110) for name, part in parameters.items()]
    count = len(contracts.feature_names())
    head = (
        f"# {profile}: {count:,} features, in PyRadiomics' parameter file. Settings that are not here have\n"
        "# PyRadiomics 3.0.1's defaults. `cvtbatch profile check FILE` says what becomes of each key.\n"
    )
    return head + "\n".join(parts)
