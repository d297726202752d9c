"""An archive of our own by DIMSE, of pynetdicom: as busy, cut off, narrow or changeable as a test wants it."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event

from tests.support.ports import free_port

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
_KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
Answer = tuple[int, pydicom.Dataset | None]


@dataclass
class DimseServer:
    """What is served, and how badly.

    Attributes:
        files: content by SOPInstanceUID.
        movers: ports of loopback to which C-MOVE sends, by AE title.
        classes: of objects that are given.
        sent: in place of an instance's own content.
        later: instances that are there once files were asked for.
        busy: statuses that the next requests are answered with.
        cut: objects after which the next retrievals break off.
        untold: keys that no answer to a search has.
        retrieved: levels of retrievals.
    """

    files: dict[str, bytes]
    movers: dict[str, int]
    classes: tuple[str, ...]
    port: int = field(default_factory=free_port)
    sent: dict[str, bytes] = field(default_factory=dict)
    later: dict[str, bytes] = field(default_factory=dict)
    busy: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    untold: tuple[str, ...] = ()
    retrieved: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"dimse://BAD@127.0.0.1:{self.port}"

    def on_find(self, event: Event) -> Iterator[Answer]:
        if self.busy:
            yield self.busy.pop(0), None
            return
        asked, seen = event.identifier, set[str]()
        for one in self._found(asked):
            uid = one[_KEYS[asked.QueryRetrieveLevel]].value
            row = pydicom.Dataset()
            for element in asked:
                known = one.get(element.keyword, "") if element.keyword not in self.untold else ""
                setattr(row, element.keyword, known if element.keyword != "QueryRetrieveLevel" else element.value)
            if uid not in seen:
                seen.add(uid)
                yield 0xFF00, row

    def on_get(self, event: Event) -> Iterator[Any]:
        yield from self._retrieve(event)

    def on_move(self, event: Event) -> Iterator[Any]:
        port = self.movers.get(event.move_destination)
        yield ("127.0.0.1", port, {"contexts": [build_context(one) for one in self.classes]}) if port else (None, None)
        yield from self._retrieve(event)

    def _retrieve(self, event: Event) -> Iterator[Any]:
        self.retrieved.append(event.identifier.QueryRetrieveLevel)
        if self.busy:
            yield 1
            yield self.busy.pop(0), None
            return
        found = [str(one.SOPInstanceUID) for one in self._found(event.identifier)]
        yield len(found)
        cut = self.cut.pop(0) if self.cut else len(found)
        for number, uid in enumerate(found):
            if number == cut:
                event.assoc.abort()
                return
            yield 0xFF00, pydicom.dcmread(io.BytesIO(self.sent.get(uid, self.files[uid])))
        self.files.update(self.later)
        self.later.clear()

    def _found(self, asked: pydicom.Dataset) -> list[pydicom.Dataset]:
        headers = [pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True) for content in self.files.values()]
        wanted = {name: asked.get(name) for name in _KEYS.values() if asked.get(name)}
        return [one for one in headers if all(one.get(name) == uid for name, uid in wanted.items())]


@contextmanager
def serve_dimse(
    files: dict[str, bytes], movers: dict[str, int], classes: tuple[str, ...] = (CTImageStorage,)
) -> Iterator[DimseServer]:
    """Serve on loopback until the end of the block.

    Args:
        classes: of objects that are given.
    """
    served = DimseServer(dict(files), movers, classes)
    entity = AE("BAD")
    for model in (FIND, MOVE, GET):
        entity.add_supported_context(model)
    for one in classes:
        entity.add_supported_context(one, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_FIND, served.on_find), (evt.EVT_C_GET, served.on_get), (evt.EVT_C_MOVE, served.on_move)]
    server = entity.start_server(("127.0.0.1", served.port), block=False, evt_handlers=handlers)
    try:
        yield served
    finally:
        server.shutdown()
