"""Addresses of archives: what is one, and that none holds a password or sends patients over an open line."""

import os

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import PLAIN_HTTP, Dicomweb, Dimse, check_ae_title, parse_address, plain_http_allowed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dicomweb+https://pacs.example/dicom-web/", Dicomweb("https://pacs.example/dicom-web")),
        ("dicomweb+https://pacs.example:8443", Dicomweb("https://pacs.example:8443")),
        ("dicomweb+http://127.0.0.1:8042/dicom-web", Dicomweb("http://127.0.0.1:8042/dicom-web")),
        ("dicomweb+http://localhost/x", Dicomweb("http://localhost/x")),
        ("dimse://ORTHANC@10.0.0.5:104", Dimse("ORTHANC", "10.0.0.5", 104)),
        ("dimse://My%20Pacs@pacs.example:11112", Dimse("My Pacs", "pacs.example", 11112)),
        ("dimse://AE@[fd00::5]:104", Dimse("AE", "fd00::5", 104)),
        ("dimse+tls://AE@pacs.example:2762", Dimse("AE", "pacs.example", 2762, tls=True)),
    ],
)
def test_an_address_is_read(text: str, address: Dicomweb | Dimse) -> None:
    assert parse_address(text) == address
    if isinstance(address, Dimse):
        assert address.ae_title not in {"", None}
        assert parse_address(str(address).replace(" ", "%20")) == address
    else:
        assert parse_address(str(address)) == address
        assert address.host in text


@pytest.mark.parametrize(
    "text",
    [
        *("", "pacs.example", "https://pacs.example/dicom-web", "dicomweb://pacs.example", "dicomweb+https://"),
        *("dicomweb+https://pacs.example/x?limit=1", "dicomweb+https://pacs.example/x#1", "dicomweb+https://h:port/x"),
        *("dicomweb+https://pacs.example/a b", "dicomweb+https://pacs.example/a\nb", "dicomweb+https://[fd00::5/x"),
        *(
            "dimse://10.0.0.5:104",
            "dimse://AE@10.0.0.5",
            "dimse://AE@:104",
            "dimse://AE@host:104/x",
            "dimse://A@h:99999",
        ),
        *("dimse://SEVENTEEN_LETTERS@host:104", "dimse://A%5CB@host:104", "dimse://%20@host:104", "dimse://Ä@host:104"),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_address(text)
    assert raised.value.kind == "bad_pacs_address"
    assert "dimse+tls://AET@HOST:PORT or dimse://AET@HOST:PORT" in raised.value.message


@pytest.mark.parametrize("text", ["dicomweb+https://bob:s3cret@pacs.example/x", "dimse+tls://AE:s3cret@host:104"])
def test_a_password_in_it_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_address(text)
    assert "s3cret" not in str(raised.value)
    assert "netrc" in raised.value.message


def test_an_open_line_leads_to_another_machine_only_where_that_is_said() -> None:
    for text in ("dicomweb+http://pacs.example/dicom-web", "dicomweb+http://10.0.0.5/dicom-web"):
        with pytest.raises(InputError) as raised:
            parse_address(text)
        assert raised.value.kind == "plain_connection"
        with plain_http_allowed():
            assert str(parse_address(text)) == text
        assert PLAIN_HTTP not in os.environ


def test_our_own_title_is_one() -> None:
    assert check_ae_title(" WORKSTATION_1 ") == "WORKSTATION_1"
    for title in ("", "   ", "A\\B", "SEVENTEEN_LETTERS", "Zürich"):
        with pytest.raises(InputError):
            check_ae_title(title)
