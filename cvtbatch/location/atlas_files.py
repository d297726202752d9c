"""The files of an atlas, by their names and contents."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cvtbatch.errors import InputError


@dataclass(frozen=True, slots=True)
class AtlasFiles:
    """Two files, and what they held when the run was planned.

    Attributes:
        template, labels: paths, as the workers see them.
        template_sha256, labels_sha256: of their bytes.
    """

    template: str
    labels: str
    template_sha256: str
    labels_sha256: str

    def settings(self) -> Mapping[str, object]:
        """Return what the specification says of them: names and contents, not where they lie."""
        return {
            "template": {"name": Path(self.template).name, "sha256": self.template_sha256},
            "labels": {"name": Path(self.labels).name, "sha256": self.labels_sha256},
        }


def name_files(template: str, labels: str) -> AtlasFiles:
    """Return the files of an atlas with what they hold now.

    Raises:
        InputError: "bad_atlas": one cannot be read.
    """
    return AtlasFiles(template, labels, file_sha256(template), file_sha256(labels))


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file of an atlas, as hex; errors as for `name_files`."""
    try:
        return sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError("bad_atlas", f"a file of the atlas cannot be read: {error.strerror}", path) from None
