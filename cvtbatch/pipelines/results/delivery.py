"""What of an outline's files goes to an archive, and what became of it there."""

from dataclasses import dataclass
from typing import Literal

from cvtbatch.dicom_results.source_headers import quiet
from cvtbatch.errors import CvtbatchError
from cvtbatch.pacs.addresses import Dicomweb, Dimse
from cvtbatch.pacs.sending import Sender
from cvtbatch.pipelines.results.result_files import ResultFiles


@dataclass(frozen=True, slots=True)
class Destination:
    """Where objects go.

    Attributes:
        ae_title: ours, for DIMSE.
        send: without it they are listed, and nothing goes over the line.
    """

    address: Dicomweb | Dimse
    ae_title: str
    send: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """An object, by its file below the folder of all results.

    Attributes:
        state: "planned" where it was not to be sent; "there" where the archive had it.
        error: why it failed.
    """

    file: str
    state: Literal["planned", "sent", "there", "failed"]
    error: CvtbatchError | None = None

    def to_document(self) -> dict[str, str | None]:
        """Return its part of the JSON document."""
        kind, message = (None, None) if self.error is None else (self.error.kind, self.error.message)
        return {"file": self.file, "state": self.state, "kind": kind, "message": message}


def deliver(files: ResultFiles, sender: Sender | None) -> list[Delivered]:
    """Send the DICOM objects of an outline, the segmentation before the report that refers to it; without a sender list them."""
    names = [f"{files.folder.as_posix()}/{name}" for name in files.objects]
    if sender is None:
        return [Delivered(name, "planned") for name in names]
    with quiet():
        outcomes = sender.send(list(files.objects.values()))
    return [Delivered(name, one.state, one.error) for name, one in zip(names, outcomes, strict=True)]
