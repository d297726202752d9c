"""Job files: defaults, a file of the user's, and `--set`, checked against `schemas/job.json`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cvtbatch import contracts
from cvtbatch.errors import InputError, ProblemsError

Job = dict[str, Any]


def read_job(kind: str, path: Path | None = None, overrides: Sequence[str] = ()) -> Job:
    """Return a valid job with every default filled in.

    Args:
        path: job file; by default the one that comes with cvtbatch.
        overrides: "section.key=value", the value in YAML.

    Raises:
        InputError: the file is missing, is no YAML, or is of another kind; an override is not of that form.
        ProblemsError: with every key and value that the contract does not allow.
    """
    source = path or contracts.default_job(kind)
    try:
        document = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("no_job", f"job file {source} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("bad_job", f"job file {source} is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise InputError("bad_job", f"job file {source} holds no keys")
    for override in overrides:
        _apply(document, override)
    problems = _not_finite(document) or contracts.problems_of(document, "job.json")
    if not problems and document["kind"] != kind:
        problems = [f"kind: {document['kind']}, but the command is {kind}"]
    if problems:
        raise ProblemsError.of("bad_job", f"job file {source}" + (" with --set" if overrides else ""), problems)
    return contracts.with_defaults(document, "job.json")


def _not_finite(value: object, name: str = "") -> list[str]:
    """Return the keys whose numbers are NaN or infinite: JSON has no word for them, and no range refuses NaN."""
    if isinstance(value, dict):
        return [problem for key, item in value.items() for problem in _not_finite(item, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [problem for item in value for problem in _not_finite(item, name)]
    return [f"{name}: {value} is no finite number"] if isinstance(value, float) and not math.isfinite(value) else []


def _apply(document: Job, override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name:
        raise InputError(
            "bad_override", f"--set {override!r} is not of the form KEY=VALUE, e.g. radiomics.profile=onekey-1834"
        )
    *sections, key = name.split(".")
    target = document
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise InputError("bad_override", f"--set {override!r}: {section} is no section")
    try:
        target[key] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError("bad_override", f"--set {override!r}: the value is not YAML") from None
