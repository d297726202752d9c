"""Certificates of a cluster: one authority of its own, and what its nodes show one another.

Dask lets a peer in whose certificate this authority signed, and refuses all others, clients too. It does not compare host names
(`distributed.security.Security` sets `check_hostname = False`), so that one node certificate serves every node; names and addresses
stand in it for other tools, and for people. Whoever holds a node's key can run code on the cluster.
"""

import datetime
import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cvtbatch.engine.encryption import CA, CA_KEY, NODE, NODE_KEY
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why

# Clocks of a cluster differ a little.
CLOCK_SKEW = datetime.timedelta(minutes=10)
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")


def make_certificates(
    folder: Path, hosts: Sequence[str] = (), days: int = 365, authority: Path | None = None
) -> datetime.datetime:
    """Write an authority and a node's certificate, each with its key, into a folder; keys have mode 0600, the folder 0700.

    Args:
        folder: is made; nothing in it is overwritten.
        hosts: names and addresses that stand in the node's certificate, beside those of loopback.
        authority: folder of an earlier call, whose authority signs; its certificate is copied, its key is not.

    Returns:
        until when the node's certificate is valid.

    Raises:
        InputError: the folder holds certificates, cannot be written or gives no authority; a host is neither name nor address.
    """
    names = _alternative_names([*LOCAL_NAMES, *hosts])
    found = [name for name in (CA, CA_KEY, NODE, NODE_KEY) if (folder / name).exists()]
    if found:
        raise InputError(
            "certificates_exist",
            f"the folder holds {', '.join(found)}, which nothing overwrites: name a new one (--ca FOLDER signs with its authority)",
            str(folder),
        )
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    end = now + datetime.timedelta(days=days)
    if authority is None:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _sign(_name("cvtbatch authority"), ca_key.public_key(), None, ca_key, (now, end), None)
    else:
        ca, ca_key = _read_authority(authority)
        end = min(end, ca.not_valid_after_utc)
    node_key = ec.generate_private_key(ec.SECP256R1())
    node = _sign(_name("cvtbatch node"), node_key.public_key(), ca, ca_key, (now, end), names)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if authority is None:
            _write_new(folder / CA_KEY, _key_bytes(ca_key), 0o600)
        _write_new(folder / NODE_KEY, _key_bytes(node_key), 0o600)
        _write_new(folder / CA, ca.public_bytes(serialization.Encoding.PEM), 0o644)
        _write_new(folder / NODE, node.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise InputError(
            "certificates_unwritable", f"the certificates cannot be written: {why(error)}", str(folder)
        ) from None
    return end


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: tuple[datetime.datetime, datetime.datetime],
    names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    """Return a certificate: an authority's where there is no issuer, else a node's, for both ends of a connection."""
    is_authority = issuer is None
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0] - CLOCK_SKEW)
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
    )
    if names is not None:
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(both, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if not _HOST_NAME.fullmatch(host):
                raise InputError(
                    "bad_host", "--host is neither a host name nor an IP address, e.g. node-1.example or 10.0.0.5", host
                ) from None
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _read_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "no_authority",
            f"--ca needs a folder with {CA} and {CA_KEY}, as cvtbatch certs makes it",
            f"{folder}: {error}",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InputError("no_authority", f"{CA_KEY} is not the key of {CA}", str(folder))
    if certificate.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        raise InputError(
            "certificate_expired",
            f"the authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}: make a new one, and hand it to all nodes",
            str(folder),
        )
    return certificate, key


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
