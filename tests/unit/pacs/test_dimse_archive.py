"""Retrieval from an application entity of pynetdicom's, without C-GET and with no place to send to; and what we take ourselves."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt

from cvtbatch.engine.certificates import make_certificates
from cvtbatch.errors import InputError
from cvtbatch.pacs import storage_scp as storage_scp_module
from cvtbatch.pacs.addresses import Dimse, parse_address
from cvtbatch.pacs.archive import Series
from cvtbatch.pacs.dimse import associate
from cvtbatch.pacs.dimse_archive import DimseArchive
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.storage_scp import Arrivals, storage_scp
from tests.support.ports import free_port

VERIFICATION, MOVE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.2"
SERIES = Series("1.2", "1.2.3")


@pytest.fixture
def peer() -> Iterator[Dimse]:
    """An archive that stores, and that knows nobody to send to."""
    entity, port = AE("PEER"), free_port()
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    entity.add_supported_context(MOVE)

    def on_move(_: evt.Event) -> Iterator[tuple[Any, Any]]:
        yield None, None

    entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_MOVE, on_move)])
    address = parse_address(f"dimse://PEER@127.0.0.1:{port}")
    assert isinstance(address, Dimse)
    yield address
    entity.shutdown()


@pytest.mark.parametrize(("arrivals", "answer"), [(None, "give --move-port"), (Arrivals(), "our AE title 'CVTBATCH'")])
def test_what_the_archive_lacks_is_told(peer: Dimse, arrivals: Arrivals | None, answer: str) -> None:
    archive = DimseArchive(peer, Retries(attempts=1), arrivals=arrivals)
    with pytest.raises(InputError, match=answer) as refused:
        archive.fetch(SERIES, ["1.2.3.4"], lambda _: None, whole=True)
    assert refused.value.kind == "pacs_denied"


@pytest.mark.parametrize("tls", [False, True])
def test_connections_that_do_not_go_on_are_ended(tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path / "tls")
    for name, file in {
        "SSL_CERT_FILE": "ca",
        "CVTBATCH_PACS_CERTIFICATE": "node",
        "CVTBATCH_PACS_KEY": "node-key",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / "tls" / f"{file}.pem"))
    monkeypatch.setattr(storage_scp_module, "_READ_SECONDS", 1)
    address = Dimse("CVTBATCH", "127.0.0.1", free_port(), tls)
    with storage_scp(address.ae_title, address.port, tls=tls), ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(socket.create_connection((address.host, address.port)))
            connection.send(b"\x16\x03" if tls else b"\x01\x00")

        def connect() -> None:
            with associate(address, [build_context(CTImageStorage)]):
                pass

        Retries(attempts=30, first_s=0.3, longest_s=0.6).run(connect)


def test_only_what_is_waited_for_is_taken() -> None:
    sent = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    port, taken = free_port(), list[bytes]()

    def full(_: bytes) -> None:
        raise OSError("no room")

    entity = AE("SENDER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(VERIFICATION)
    with storage_scp("CVTBATCH", port) as arrivals:
        with pytest.raises(InputError, match="cannot be listened on"), storage_scp("CVTBATCH", port):
            pass
        assert not entity.associate("127.0.0.1", port, ae_title="OTHER").is_established
        association = entity.associate("127.0.0.1", port, ae_title="CVTBATCH")
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(sent).Status == 0x0124
        with arrivals.expecting([str(sent.SOPInstanceUID)], taken.append) as delivery:
            assert association.send_c_store(sent).Status == 0
            delivery.raise_refusal()
        with arrivals.expecting([str(sent.SOPInstanceUID)], full) as delivery:
            assert association.send_c_store(sent).Status == 0xA700
            with pytest.raises(OSError, match="no room"):
                delivery.raise_refusal()
        association.release()
    assert pydicom.dcmread(pydicom.filebase.DicomBytesIO(taken[0])).PixelData == sent.PixelData
