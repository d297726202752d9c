"""DIMSE by TLS with a real PACS that wants a certificate of whoever calls: searched, fetched and sent to; and who is refused."""

import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from cvtbatch.engine.certificates import make_certificates
from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import parse_address
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.sending import open_sender
from cvtbatch.pacs.storage_scp import storage_scp
from cvtbatch.pipelines.archive import pull
from tests.support.commands import cvtbatch, told
from tests.support.orthanc import Orthanc, running_orthanc
from tests.support.ports import free_port
from tests.support.small_archive import SLICES, small_archive

MOVE_PORT = free_port()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    make_certificates(folder, ["127.0.0.1"])
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return dict([*small_archive(tmp_path_factory.mktemp("archive")).items()][:SLICES])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), {"CVTBATCH": MOVE_PORT}, certificates) as running:
        yield running


@pytest.fixture(autouse=True)
def trust(monkeypatch: pytest.MonkeyPatch, certificates: Path) -> None:
    """Know the authority, and have a certificate of our own."""
    monkeypatch.setattr(pull, "Retries", functools.partial(Retries, attempts=2, first_s=0.01))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    monkeypatch.setenv("CVTBATCH_PACS_CERTIFICATE", str(certificates / "node.pem"))
    monkeypatch.setenv("CVTBATCH_PACS_KEY", str(certificates / "node-key.pem"))


def test_objects_go_there_and_come_back(orthanc: Orthanc, archive: dict[str, bytes], tmp_path: Path) -> None:
    with open_sender(parse_address(orthanc.dimse)) as sender:
        assert {one.state for one in sender.send(list(archive.values()))} == {"sent"}
    for name, way in {"get": (), "move": ("--move-port", MOVE_PORT)}.items():
        cvtbatch("pull", orthanc.dimse, *way, "--out", tmp_path / name, check=True)
        found = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, (tmp_path / name).rglob("*.dcm"))}
        assert len(found) == len(archive)
        for uid, content in archive.items():
            assert found[uid].PixelData == pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)).PixelData


def test_who_cannot_be_trusted_or_does_not_trust_us_is_told(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"pull {{}} --out {tmp_path}"
    # An address that is not in its certificate.
    elsewhere = orthanc.dimse.replace("127.0.0.1", "127.0.0.2")
    assert "certificate is not trusted, or not its own" in told(line.format(elsewhere), 1)
    monkeypatch.delenv("CVTBATCH_PACS_KEY")
    assert "our certificate cannot be used" in told(line.format(orthanc.dimse), 1)
    monkeypatch.delenv("CVTBATCH_PACS_CERTIFICATE")
    assert "whose file CVTBATCH_PACS_CERTIFICATE names" in told(line.format(orthanc.dimse), 1)
    assert "needs a certificate" in told(f"{line.format(orthanc.dimse)} --move-port {MOVE_PORT}", 1)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate is not trusted, or not its own" in told(line.format(orthanc.dimse), 1)
    with open_sender(parse_address(orthanc.dimse)) as sender:
        [outcome] = sender.send([small_archive(tmp_path / "one").popitem()[1]])
    assert (outcome.state, outcome.error and outcome.error.kind) == ("failed", "pacs_untrusted")


def test_our_port_takes_objects_from_those_whose_certificate_is_trusted(certificates: Path) -> None:
    port, title = free_port(), "CVTBATCH"
    entity = AE("SENDER")
    entity.add_requested_context(CTImageStorage)
    known = ssl.create_default_context()
    known.load_cert_chain(certificates / "node.pem", certificates / "node-key.pem")

    with storage_scp(title, port, tls=True), socket.create_connection(("127.0.0.1", port)) as silent:
        silent.send(b"\x16")
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.send(b"\x01\0\0\0\0\x44\0\1\0\0CVTBATCH")
            with contextlib.suppress(ConnectionResetError):
                assert b"CVTBATCH" not in plain.recv(100)
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            ssl.create_default_context().wrap_socket(connection, server_hostname="127.0.0.1") as nameless,
            pytest.raises(ssl.SSLError, match="certificate required"),
        ):
            nameless.recv(100)
        association = entity.associate("127.0.0.1", port, ae_title=title, tls_args=(known, "127.0.0.1"))
        assert association.is_established
        association.release()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CVTBATCH_PACS_CERTIFICATE")
        with pytest.raises(InputError, match="CVTBATCH_PACS_KEY without"), storage_scp(title, port, tls=True):
            pass
