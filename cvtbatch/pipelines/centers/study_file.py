"""The authors' file of a study (contract: schemas/study.json), read."""

import datetime
from pathlib import Path

import yaml

from cvtbatch import contracts
from cvtbatch.documents import from_document
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why
from cvtbatch.validation.study import Study


class _Loader(yaml.SafeLoader):
    """YAML without dates: 2024-06-30 is a text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_study(path: Path) -> Study:
    """Return what the authors say.

    Raises:
        InputError: the file is missing or no YAML.
        ProblemsError: with every key and value that the contract does not allow.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise InputError("no_study", f"there is no study file {path}") from None
    except OSError as error:
        raise InputError("no_study", f"study file {path} cannot be read: {why(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("bad_study", f"study file {path} is not YAML: {error}") from None
    if not isinstance(document, dict):
        raise InputError("bad_study", f"study file {path} holds no keys")
    problems = contracts.problems_of(document, "study.json")
    if not problems and "dates" in document:
        problems = _problems_of_dates(document["dates"]["first"], document["dates"]["last"])
    if problems:
        raise ProblemsError.of("bad_study", f"study file {path}", problems)
    return from_document(Study, document)


def _problems_of_dates(first: str, last: str) -> list[str]:
    """Return what is wrong with two days or months."""
    problems = []
    for key, text in (("first", first), ("last", last)):
        try:
            datetime.date.fromisoformat(text if len(text) > len("2024-06") else f"{text}-01")
        except ValueError as error:
            problems.append(f"dates.{key}: {text}: {error}")
    # A day may lie in the month that is the last.
    if first[: len(last)] > last[: len(first)]:
        problems.append(f"dates.first: {first} is later than dates.last, {last}")
    return problems
