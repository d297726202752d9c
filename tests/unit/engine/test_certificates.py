"""Certificates as others read them (OpenSSL through Python's ssl), and what a connection makes of wrong ones."""

import datetime
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from cvtbatch.engine import certificates
from cvtbatch.engine.certificates import make_certificates
from cvtbatch.engine.encryption import Address, check_certificates, is_loopback, parse_address, reach
from cvtbatch.errors import InputError, ResourceError


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs") / "made"
    make_certificates(folder, ["10.0.0.5", "head.example"], days=30)
    return folder


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "made"
    make_certificates(folder)
    return folder


@contextmanager
def server(certs: Path | None, greeting: bytes = b"hello") -> Iterator[Address]:
    """A server as Dask's are: it demands a client certificate of its own authority, and greets first."""
    context = None
    if certs is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certs / "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certs / "node.pem", certs / "node-key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                with listener.accept()[0] as plain:
                    if context is None:
                        plain.sendall(greeting)
                        return
                    with context.wrap_socket(plain, server_side=True) as encrypted:
                        encrypted.sendall(greeting)
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("tcp" if certs is None else "tls", "127.0.0.1", listener.getsockname()[1])
        # A test that never connected must not leave the thread waiting.
        socket.create_connection(listener.getsockname()).close()
        thread.join()


def test_keys_are_private_and_names_stand_in_the_certificate(certs: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in certs.iterdir()}
    assert modes == {"ca.pem": 0o644, "node.pem": 0o644, "ca-key.pem": 0o600, "node-key.pem": 0o600}
    assert stat.S_IMODE(certs.stat().st_mode) == 0o700
    end = check_certificates(certs)
    assert abs(end - datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)) < datetime.timedelta(minutes=5)
    node = x509.load_pem_x509_certificate((certs / "node.pem").read_bytes())
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {"localhost", "127.0.0.1", "::1", "10.0.0.5", "head.example"}
    # Strictly, as OpenSSL checks a web server: names, usage, chain.
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with server(certs) as address:
        context.load_cert_chain(certs / "node.pem", certs / "node-key.pem")
        with (
            socket.create_connection((address.host, address.port)) as plain,
            context.wrap_socket(plain, server_hostname="head.example") as encrypted,
        ):
            assert encrypted.recv(5) == b"hello"


def test_nothing_is_overwritten(certs: Path) -> None:
    before = {path: path.read_bytes() for path in certs.iterdir()}
    with pytest.raises(InputError, match="which nothing overwrites"):
        make_certificates(certs)
    assert before == {path: path.read_bytes() for path in certs.iterdir()}


def test_an_earlier_authority_signs_further_nodes(certs: Path, tmp_path: Path) -> None:
    end = make_certificates(tmp_path / "more", days=900, authority=certs)
    assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ["ca.pem", "node-key.pem", "node.pem"]
    # Not longer than the authority itself.
    assert end == check_certificates(certs)
    with server(certs) as address:
        assert reach(address, tmp_path / "more", 5) == "127.0.0.1"
    with pytest.raises(InputError) as raised:
        make_certificates(tmp_path / "none", authority=tmp_path / "more")
    assert raised.value.kind == "no_authority"


@pytest.mark.parametrize("host", ["", "-a", "a b", "head..example", "10.0.0.5/24"])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError) as raised:
        make_certificates(tmp_path / "made", [host])
    assert raised.value.kind == "bad_host"
    assert not (tmp_path / "made").exists()


def test_certificates_that_do_not_belong_together_are_told_apart(certs: Path, foreign: Path, tmp_path: Path) -> None:
    def mixed(**files: Path) -> str:
        folder = tmp_path / "-".join(files)
        folder.mkdir()
        for name in ("ca", "node", "node-key"):
            source = files.get(name.replace("-", "_"), certs)
            (folder / f"{name}.pem").write_bytes((source / f"{name}.pem").read_bytes())
        with pytest.raises(InputError) as raised:
            check_certificates(folder)
        return raised.value.kind

    assert mixed(ca=foreign) == "foreign_certificate"
    assert mixed(node_key=foreign) == "bad_certificates"
    with pytest.raises(InputError) as raised:
        check_certificates(tmp_path)
    assert raised.value.kind == "bad_certificates"


@pytest.fixture
def expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    class LastYear(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.now(tz) - datetime.timedelta(days=400)

    clock = SimpleNamespace(datetime=LastYear, timedelta=datetime.timedelta, UTC=datetime.UTC)
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "datetime", clock)
        make_certificates(tmp_path / "expired", days=10)
    return tmp_path / "expired"


def test_expired_ones_are_said_on_both_sides(expired: Path) -> None:
    with pytest.raises(InputError, match="which is not now") as raised:
        check_certificates(expired)
    assert raised.value.kind == "certificate_expired"
    with server(expired) as address, pytest.raises(InputError, match="expired") as raised:
        reach(address, expired, 5)
    assert raised.value.kind == "foreign_certificate"


def test_a_foreign_server_and_a_server_that_finds_us_foreign_are_told_at_once(
    certs: Path, foreign: Path, tmp_path: Path
) -> None:
    with server(foreign) as address, pytest.raises(InputError, match="certificate that tls://127") as raised:
        reach(address, certs, 5)
    assert raised.value.kind == "foreign_certificate"
    # Its certificate is one of ours; our own is a stranger's to it.
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for name, source in (("ca.pem", certs), ("node.pem", foreign), ("node-key.pem", foreign)):
        (stranger / name).write_bytes((source / name).read_bytes())
    with server(certs) as address, pytest.raises(InputError, match="unknown ca") as raised:
        reach(address, stranger, 5)
    assert raised.value.kind == "tls_refused"


def test_a_server_without_tls_is_told(certs: Path) -> None:
    with server(None) as address, pytest.raises(InputError, match="no TLS connection") as raised:
        reach(Address("tls", address.host, address.port), certs, 5)
    assert raised.value.kind == "tls_refused"


def test_nobody_there_is_said_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ResourceError) as raised:
        reach(Address("tcp", "127.0.0.1", port), None, 0.5)
    assert raised.value.kind == "no_scheduler"


@pytest.mark.parametrize(
    ("text", "with_certs", "expected"),
    [
        ("tcp://127.0.0.1:8786", False, "tcp://127.0.0.1:8786"),
        ("localhost", False, "tcp://localhost:8786"),
        ("tcp://[::1]:1", False, "tcp://[::1]:1"),
        ("tls://10.0.0.5:9", True, "tls://10.0.0.5:9"),
        ("10.0.0.5", True, "tls://10.0.0.5:8786"),
        ("tcp://10.0.0.5:8786", False, "plain_connection"),
        ("10.0.0.5", False, "plain_connection"),
        ("tcp://[2001:db8::1]:8786", False, "plain_connection"),
        ("tcp://0.0.0.0:8786", False, "plain_connection"),
        ("tcp://127.0.0.1:8786", True, "plain_connection"),
        ("tls://10.0.0.5:8786", False, "no_certificates"),
        ("ws://127.0.0.1:8786", False, "bad_address"),
        ("tcp://", False, "bad_address"),
        ("tcp://127.0.0.1:x", False, "bad_address"),
    ],
)
def test_no_address_beyond_loopback_without_tls(certs: Path, text: str, with_certs: bool, expected: str) -> None:
    try:
        found = str(parse_address(text, certs if with_certs else None))
    except InputError as error:
        found = error.kind
    assert found == expected


def test_a_name_is_loopback_only_if_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"near": ["127.0.0.1", "::1"], "far": ["127.0.0.1", "10.0.0.5"]}

    def resolve(host: str, _: None) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if host not in answers:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, 0)) for address in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert [is_loopback(name) for name in ("near", "far", "unknown")] == [True, False, False]
