"""C-STORE to an application entity that breaks off, is full, has an object, refuses one, or knows no such class."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.sending import Outcome, open_sender
from tests.support.mask_files import ball, ct_slices
from tests.support.ports import free_port

BREAK_OFF = -1


@dataclass
class Entity:
    """What it answers next, and then success; and what it was sent.

    Attributes:
        kept: of the objects that it answered with success.
    """

    address: Dimse
    answers: list[int] = field(default_factory=list)
    kept: list[pydicom.Dataset] = field(default_factory=list)
    associations: int = 0


@pytest.fixture
def entity() -> Iterator[Entity]:
    found = Entity(Dimse("PACS", "127.0.0.1", free_port()))

    def on_store(event: Event) -> int:
        answer = found.answers.pop(0) if found.answers else 0
        if answer == BREAK_OFF:
            event.assoc.abort()
            return 0xC000
        if answer == 0:
            found.kept.append(event.dataset)
        return answer

    def on_accepted(_: Event) -> None:
        found.associations += 1

    scp = AE("PACS")
    # Of an archive that knows one class, and the oldest transfer syntax alone.
    scp.add_supported_context(CTImageStorage, ImplicitVRLittleEndian)
    scp.require_called_aet, scp.require_calling_aet = True, ["CVTBATCH"]
    handlers = [(evt.EVT_C_STORE, on_store), (evt.EVT_ACCEPTED, on_accepted)]
    server = scp.start_server(("127.0.0.1", found.address.port), block=False, evt_handlers=handlers)
    try:
        yield found
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def objects() -> list[bytes]:
    slices = ct_slices(ball().stack, "1.2.4", 4.0)[:3]
    contents = [io.BytesIO() for _ in slices]
    for dataset, content in zip(slices, contents, strict=True):
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return [content.getvalue() for content in contents]


def sent(entity: Entity, objects: list[bytes], ae_title: str = "CVTBATCH") -> list[Outcome]:
    retries = Retries(attempts=3, first_s=0.01, sleep=lambda _: None)
    with open_sender(entity.address, ae_title, retries) as sender:
        return sender.send(objects)


def states(outcomes: list[Outcome]) -> list[str]:
    return [one.state if one.error is None else one.error.kind for one in outcomes]


def test_one_that_breaks_off_gets_the_rest_by_another_association(entity: Entity, objects: list[bytes]) -> None:
    entity.answers = [0, BREAK_OFF]
    assert states(sent(entity, objects)) == ["sent"] * 3
    assert entity.associations == 2
    assert entity.kept == [pydicom.dcmread(io.BytesIO(data)) for data in objects]


def test_every_status_counts(entity: Entity, objects: list[bytes]) -> None:
    entity.answers = [0x0111, 0xA900, 0xB000]
    outcomes = sent(entity, objects)
    assert states(outcomes) == ["there", "pacs_refused", "sent"]
    assert "A900H" in str(outcomes[1].error)
    entity.answers = [0xA700, 0]
    assert states(sent(entity, objects[:1])) == ["sent"]
    entity.answers = [0xA700] * 3
    assert states(sent(entity, objects[:2])) == ["pacs_unavailable"] * 2


def test_an_unknown_class_and_an_unknown_title_are_told(entity: Entity, objects: list[bytes]) -> None:
    other = pydicom.dcmread(io.BytesIO(objects[0]))
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    content = io.BytesIO()
    other.save_as(content, enforce_file_format=True)
    outcomes = sent(entity, [content.getvalue(), objects[1]])
    assert states(outcomes) == ["pacs_refused", "sent"]
    assert "Secondary Capture Image Storage" in str(outcomes[0].error)
    outcomes = sent(entity, [content.getvalue()])
    assert "takes none of the objects" in str(outcomes[0].error)
    outcomes = sent(entity, objects, "STRANGER")
    assert states(outcomes) == ["pacs_denied"] * 3
    assert "our AE title 'STRANGER'" in str(outcomes[0].error)
