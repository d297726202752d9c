"""Weights of a model hub, hf:REPO@REVISION:FILE: a safetensors file at one commit, and what its model card says of its licence.

A branch or a tag can move, and a pickle is code: both are refused. The files lie as https://huggingface.co serves them,
REPO/resolve/REVISION/FILE; HF_ENDPOINT names another place that does so, as it does for Hugging Face's own library.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from cvtbatch.downloads import fetch_hub_file
from cvtbatch.errors import InputError

PREFIX = "hf:"
_PART = r"(?!\.)[\w.-]+"
_NAME = re.compile(rf"hf:({_PART}/{_PART})@([0-9a-f]{{40}}):({_PART}(?:/{_PART})*\.safetensors)", re.ASCII)
_FRONT = re.compile(r"---\n(.*?)\n---", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a hub.

    Attributes:
        repository: OWNER/NAME.
        revision: a commit, 40 hexadecimal digits.
        file: its path in the repository.
    """

    repository: str
    revision: str
    file: str

    @classmethod
    def parse(cls, name: str) -> "HubFile":
        """Return the file that a name means.

        Raises:
            InputError: "bad_weights": it is not of the form, or of a kind that is refused.
        """
        if found := _NAME.fullmatch(name):
            return cls(*found.groups())
        raise InputError(
            "bad_weights",
            f"embedding.weights {name}: hf:OWNER/NAME@REVISION:FILE takes as REVISION the 40 digits of a commit, since branches "
            "and tags move, and as FILE one that ends in .safetensors, since other files can hold code",
        )

    def fetch(self) -> Path:
        """Return where the file lies; what is not here is fetched.

        Raises:
            InputError: "no_weights": it cannot be had here; says which file to fetch, and where to put it.
        """
        try:
            return fetch_hub_file(self.repository, self.revision, self.file)
        except InputError as error:
            raise InputError(
                "no_weights",
                f"embedding.weights is {PREFIX}{self.repository}@{self.revision}:{self.file}, and {error.message}",
                error.private,
            ) from None

    def licence(self) -> str:
        """Return the licence that the model card says; empty where there is no card, or it says none."""
        try:
            card = fetch_hub_file(self.repository, self.revision, "README.md").read_text(encoding="utf-8")
            front = yaml.safe_load(found[1]) if (found := _FRONT.match(card)) else None
        except (InputError, OSError, UnicodeDecodeError, yaml.YAMLError):
            return ""
        told = [front.get(key) for key in ("license", "license_name")] if isinstance(front, dict) else []
        return ", ".join(word for word in told if isinstance(word, str))
