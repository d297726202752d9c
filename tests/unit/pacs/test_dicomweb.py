"""A session with a server that is busy, away, elsewhere, cut off or not trusted; and STOW-RS with what such servers answer."""

import io
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage

from cvtbatch.engine.certificates import make_certificates
from cvtbatch.errors import CvtbatchError, InputError, UnavailableError
from cvtbatch.pacs.addresses import Dicomweb, parse_address
from cvtbatch.pacs.dicomweb import open_session
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.sending import Outcome, open_sender
from tests.support.mask_files import ball, ct_slices
from tests.support.ports import free_port
from tests.support.stub_archive import Answer, StubArchive, stub_archive

UID, PATIENT = "1.2.840.4711.1", "Doe^Jane"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of whoever runs the tests stay out of them."""
    words = ("USER", "PASSWORD", "TOKEN", "CERTIFICATE", "KEY")
    for name in ("NETRC", "SSL_CERT_FILE", *(f"CVTBATCH_PACS_{word}" for word in words)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def stub() -> Iterator[StubArchive]:
    with stub_archive() as stub:
        yield stub


@pytest.fixture(scope="module")
def data() -> bytes:
    dataset = ct_slices(ball().stack, "1.2.4", 4.0)[0]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID
    dataset.PatientName, dataset.StudyInstanceUID = PATIENT, "1.2.840.4711"
    assert dataset.SOPClassUID == CTImageStorage
    content = io.BytesIO()
    pydicom.dcmwrite(content, dataset, enforce_file_format=True)
    return content.getvalue()


def quick(waits: list[float] | None = None) -> Retries:
    return Retries(attempts=3, first_s=0.01, sleep=[].append if waits is None else waits.append)


def asked(stub: StubArchive, retries: Retries | None = None, path: str = "studies") -> bytes:
    address = parse_address(stub.address)
    assert isinstance(address, Dicomweb)
    with open_session(address, retries or quick()) as session:
        return session.get(f"{address.url}/{path}").content


def stowed(stub: StubArchive, *objects: bytes) -> list[Outcome]:
    with open_sender(parse_address(stub.address), retries=quick()) as sender:
        return sender.send(objects)


def refusal(status: int, reason: int) -> Answer:
    failed = {"00081155": {"vr": "UI", "Value": [UID]}, "00081197": {"vr": "US", "Value": [reason]}}
    body = json.dumps({"00081198": {"vr": "SQ", "Value": [failed]}}).encode()
    return Answer(status, body, {"Content-Type": "application/dicom+json"})


def test_a_busy_server_is_asked_again_after_the_time_that_it_wants(stub: StubArchive) -> None:
    waits: list[float] = []
    stub.answers = [Answer(429, headers={"Retry-After": "17"}), Answer(503), Answer(200, b"[]")]
    assert asked(stub, quick(waits)) == b"[]"
    assert (len(stub.asked), waits[0], 0 < waits[1] < 1) == (3, 17.0, True)
    stub.answers = [Answer(503)] * 3
    with pytest.raises(UnavailableError) as raised:
        asked(stub)
    assert (raised.value.kind, "HTTP 503" in raised.value.message) == ("pacs_unavailable", True)
    stub.answers = [Answer(503, headers={"Retry-After": "86400"})]
    with pytest.raises(UnavailableError, match="86400 s"):
        asked(stub)


def test_an_answer_that_is_cut_is_asked_for_again(stub: StubArchive) -> None:
    stub.answers = [Answer(200, b"[1, 2]", cut=True), Answer(200, b"[1, 2]")]
    assert asked(stub) == b"[1, 2]"
    stub.answers = [Answer(200, b"[1, 2]", cut=True)] * 3
    with pytest.raises(UnavailableError) as raised:
        asked(stub, path=f"studies/{UID}")
    assert UID not in str(raised.value)


def test_a_server_that_is_not_there_is_away_and_no_url_is_told() -> None:
    nowhere = StubArchive(f"dicomweb+http://127.0.0.1:{free_port()}/dicom-web")
    with pytest.raises(UnavailableError) as raised:
        asked(nowhere, path=f"studies/{UID}")
    assert "Connection refused" in raised.value.private
    assert UID not in str(raised.value)


def test_credentials_go_to_the_server_and_a_refused_token_is_renewed(
    stub: StubArchive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CVTBATCH_PACS_USER", "älice")
    monkeypatch.setenv("CVTBATCH_PACS_PASSWORD", "pass")
    asked(stub)
    monkeypatch.delenv("CVTBATCH_PACS_USER")
    monkeypatch.delenv("CVTBATCH_PACS_PASSWORD")
    command = f'{sys.executable} -c \'import os; print("token", os.getpid(), sep="")\''
    monkeypatch.setenv("CVTBATCH_PACS_TOKEN_COMMAND", command)
    stub.answers = [Answer(401), Answer(200)]
    asked(stub)
    basic, first, second = (authorization for _, _, authorization in stub.asked)
    assert basic == "Basic w6RsaWNlOnBhc3M="
    assert first.startswith("Bearer token")
    assert second.startswith("Bearer token")
    assert first != second


def test_who_is_not_let_in_hears_it_once_and_no_object_goes_on(stub: StubArchive, data: bytes) -> None:
    stub.answers = [Answer(401)]
    outcomes = stowed(stub, data, data)
    assert [one.state for one in outcomes] == ["failed", "failed"]
    assert {one.error.kind for one in outcomes if one.error} == {"pacs_denied"}
    assert len(stub.asked) == 1


def test_a_log_in_page_is_not_followed(stub: StubArchive) -> None:
    stub.answers = [Answer(302, headers={"Location": "/login"})]
    with pytest.raises(InputError) as raised:
        asked(stub)
    assert (raised.value.kind, "log-in page" in raised.value.message, len(stub.asked)) == ("pacs_refused", True, 1)


def test_a_certificate_counts_that_is_trusted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path / "certs", ["127.0.0.1"])
    with stub_archive(tmp_path / "certs") as stub:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certs" / "ca.pem"))
        with pytest.raises(InputError) as raised:
            asked(stub)
        assert (raised.value.kind, stub.asked) == ("pacs_untrusted", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certs" / "ca.pem"))
        asked(stub)
        assert len(stub.asked) == 1


def test_who_wants_a_certificate_of_ours_is_shown_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "certs"
    make_certificates(folder, ["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    with stub_archive(folder, wants_ours=True) as stub:
        with pytest.raises(InputError, match="whose file CVTBATCH_PACS_CERTIFICATE names") as raised:
            asked(stub)
        assert (raised.value.kind, stub.asked) == ("pacs_denied", [])
        monkeypatch.setenv("CVTBATCH_PACS_CERTIFICATE", str(folder / "node.pem"))
        with pytest.raises(InputError, match="our certificate cannot be used") as raised:
            asked(stub)
        assert raised.value.kind == "bad_pacs_credentials"
        monkeypatch.setenv("CVTBATCH_PACS_KEY", str(folder / "node-key.pem"))
        asked(stub)
        assert len(stub.asked) == 1


def test_no_object_goes_to_an_archive_that_is_not_trusted(tmp_path: Path, data: bytes) -> None:
    make_certificates(tmp_path / "certs", ["127.0.0.1"])
    with stub_archive(tmp_path / "certs") as stub:
        [outcome] = stowed(stub, data)
        assert outcome.error is not None
        assert (outcome.error.kind, stub.posted) == ("pacs_untrusted", [])


@pytest.mark.parametrize(
    "answer", [Answer(429, headers={"Retry-After": "1"}), Answer(503), Answer(200, b"{ }" * 9, cut=True)]
)
def test_an_object_goes_again_where_the_archive_was_busy_or_its_answer_was_cut(
    stub: StubArchive, data: bytes, answer: Answer
) -> None:
    stub.answers = [Answer(204), answer, Answer(200)]
    assert stowed(stub, data) == [Outcome("sent")]
    first, second = (body.replace(body[2:34], b"") for body in stub.posted)
    assert first == second


def test_an_object_is_sent_whole_unless_it_is_there(stub: StubArchive, data: bytes) -> None:
    [outcome] = stowed(stub, data)
    assert outcome == Outcome("sent")
    assert data in stub.posted[0]
    assert [method for method, _, _ in stub.asked] == ["GET", "POST"]
    listed = json.dumps([{"00080018": {"vr": "UI", "Value": [UID]}}]).encode()
    stub.answers = [Answer(200, listed)]
    assert stowed(stub, data) == [Outcome("there")]
    # A server that takes no heed of the filter lists others.
    stub.answers = [Answer(200, listed.replace(UID.encode(), b"1.2.3"))]
    assert stowed(stub, data) == [Outcome("sent")]
    assert len(stub.posted) == 2


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        (refusal(409, 0x0111), "there", ""),
        (refusal(409, 0xA900), "failed", "(HTTP 409, reason A900H)"),
        (refusal(202, 0x0110), "failed", "(HTTP 202, reason 0110H)"),
        (Answer(202), "sent", ""),
        (Answer(404, b"<html>"), "failed", "is the path of its address right?"),
        (Answer(403), "failed", "our credentials do not suffice for it"),
        (Answer(500, b"{"), "failed", "(HTTP 500)"),
    ],
)
def test_what_the_answer_says_of_an_object_counts(
    stub: StubArchive, data: bytes, answer: Answer, state: str, told: str
) -> None:
    stub.answers = [Answer(204), answer]
    first, second = stowed(stub, data, data)
    assert (first.state, second.state) == (state, "sent")
    assert told in str(first.error or "")
    assert isinstance(first.error, CvtbatchError) == (state == "failed")


def test_nothing_of_what_is_sent_is_logged(
    stub: StubArchive, data: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVTBATCH_PACS_TOKEN", "s3cret")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3").setLevel(logging.NOTSET)
        stub.answers = [Answer(503), Answer(500)]
        stowed(stub, data)
    assert not any(word in caplog.text for word in (UID, "4711", "Doe", "s3cret", "dicom-web"))


def test_a_line_that_is_cut_before_tls_stands_is_no_matter_of_trust() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                connection.recv(1 << 16)
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        stub = StubArchive(f"dicomweb+https://127.0.0.1:{server.getsockname()[1]}/dicom-web")
        with pytest.raises(UnavailableError):
            asked(stub, Retries(attempts=2, first_s=0.01))
        thread.join()
