"""Objects to an archive, by STOW-RS (PS3.18 10.5) or C-STORE (PS3.4 annex B), one after the other; what became of each is told.

An object that the archive has already is no fault: one is named by what it holds, so that to send it twice is to send the same.
Once an archive is away or does not let us in, nothing more is tried, and the rest is told as not sent.
"""

import io
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cvtbatch.errors import CvtbatchError, InputError
from cvtbatch.pacs.addresses import Dicomweb, Dimse
from cvtbatch.pacs.dimse import AE_TITLE, associate, check_status
from cvtbatch.pacs.retries import Retries, away

if TYPE_CHECKING:
    import requests
    from pynetdicom.association import Association

State = Literal["sent", "there", "failed"]
REFUSED = "pacs_refused"
# Duplicate SOP Instance (PS3.7 C.5.11).
DUPLICATE = 0x0111
_HINTS = {
    403: ": our credentials do not suffice for it",
    **dict.fromkeys((404, 405), ": is the path of its address right?"),
    413: ": it is too large for it",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an object.

    Attributes:
        state: "there" where the archive says that it had it.
        error: why it failed.
    """

    state: State
    error: CvtbatchError | None = None


# Hands objects over, and keeps the outcome of each by its place; raises what is no fault of theirs.
Deliver = Callable[[Sequence[bytes], dict[int, Outcome]], None]


class Sender:
    """Sends objects to one archive, until it is away or does not let us in."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._stopped: CvtbatchError | None = None

    def send(self, objects: Sequence[bytes]) -> list[Outcome]:
        """Send files of DICOM and return what became of each; an archive that is busy is waited for (`Retries`)."""
        outcomes: dict[int, Outcome] = {}
        if self._stopped is None:
            try:
                self._deliver(objects, outcomes)
            except CvtbatchError as error:
                self._stopped = error
        return [outcomes.get(place) or Outcome("failed", self._stopped) for place in range(len(objects))]


@contextmanager
def open_sender(
    address: Dicomweb | Dimse, ae_title: str = AE_TITLE, retries: Retries | None = None
) -> Iterator[Sender]:
    """Open a sender; nothing goes over the line before something is sent.

    Args:
        ae_title: ours, for DIMSE.

    Raises:
        InputError: "bad_pacs_credentials".
    """
    if isinstance(address, Dimse):
        yield Sender(partial(_by_c_store, address, ae_title, retries or Retries()))
        return
    from cvtbatch.pacs.dicomweb import open_session

    with open_session(address, retries) as session:
        yield Sender(partial(_by_stow, session, address.url))


def _by_stow(session: "requests.Session", url: str, objects: Sequence[bytes], outcomes: dict[int, Outcome]) -> None:
    for place, data in enumerate(objects):
        try:
            outcomes[place] = Outcome(_stow(session, url, data))
        except InputError as error:
            if error.kind != REFUSED:
                raise
            outcomes[place] = Outcome("failed", error)


def _stow(session: "requests.Session", url: str, data: bytes) -> State:
    header = _read(data)
    if _has(session, url, header):
        return "there"
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
    response = session.post(
        f"{url}/studies",
        data=b"".join([head.encode(), data, f"\r\n--{boundary}--\r\n".encode()]),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
    )
    reason = _reason(response, header.SOPInstanceUID)
    if reason == DUPLICATE:
        return "there"
    if response.status_code in {200, 202} and reason is None:
        return "sent"
    why = "" if reason is None else f", reason {reason:04X}H"
    hint = _HINTS.get(response.status_code, "")
    raise InputError(REFUSED, f"the archive does not take the object (HTTP {response.status_code}{why}){hint}")


def _has(session: "requests.Session", url: str, header: pydicom.Dataset) -> bool:
    """Say whether the archive lists an object; no where it lists nothing to us, and the object is sent."""
    uid = header.SOPInstanceUID
    response = session.get(
        f"{url}/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}/instances",
        params={"SOPInstanceUID": uid},
        headers={"Accept": "application/dicom+json"},
    )
    # A server may take no heed of the filter.
    return response.status_code == 200 and any(found.get("SOPInstanceUID") == uid for found in _datasets(response))


def _reason(response: "requests.Response", uid: str) -> int | None:
    """Return why an object failed, by the answer to STOW (PS3.18 10.5.3); None where the answer does not say that it did."""
    failed = [item for answer in _datasets(response) for item in answer.get("FailedSOPSequence") or ()]
    return next(
        (int(item.get("FailureReason", 0)) for item in failed if item.get("ReferencedSOPInstanceUID") == uid), None
    )


def _datasets(response: "requests.Response") -> list[pydicom.Dataset]:
    """Return what an answer holds in DICOM's JSON, one or several; nothing where it holds something else."""
    try:
        found = response.json()
        return [pydicom.Dataset.from_json(item) for item in (found if isinstance(found, list) else [found])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _by_c_store(
    address: Dimse, ae_title: str, retries: Retries, objects: Sequence[bytes], outcomes: dict[int, Outcome]
) -> None:
    from pynetdicom.presentation import build_context

    datasets = [pydicom.dcmread(io.BytesIO(data)) for data in objects]
    classes = sorted({dataset.SOPClassUID for dataset in datasets})
    contexts = [build_context(name, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for name in classes]

    def attempt() -> None:
        with associate(address, contexts, ae_title) as association:
            for place, dataset in enumerate(datasets):
                if place not in outcomes:
                    outcomes[place] = _c_store(association, dataset)

    retries.run(attempt)


def _c_store(association: "Association", dataset: pydicom.Dataset) -> Outcome:
    try:
        status = association.send_c_store(dataset)
        if status.get("Status") == DUPLICATE:
            return Outcome("there")
        check_status(status)
    except ValueError:  # no context for its class was accepted
        name = dataset.SOPClassUID.name
        return Outcome("failed", InputError(REFUSED, f"the archive takes no objects of the class {name}"))
    except RuntimeError:  # the association is gone
        raise away("the archive broke the association off") from None
    except InputError as error:
        return Outcome("failed", error)
    return Outcome("sent")


def _read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data), specific_tags=["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
