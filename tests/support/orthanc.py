"""Orthanc for real: a PACS of its own process and folder on loopback, with a password and checked AE titles."""

import base64
import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.ports import free_port

PROGRAM = "Orthanc"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "alice", "correct horse"
AE_TITLE = "ORTHANC"
_START_S = 20


@dataclass
class Orthanc:
    """A PACS.

    Attributes:
        folder: that holds all of it, and survives a kill.
        movers: application entities that it may send to, with their ports on loopback.
        certificates: folder with ca.pem, node.pem and node-key.pem, where DIMSE goes by TLS and who calls shows a certificate.
    """

    folder: Path
    movers: dict[str, int] = field(default_factory=dict)
    certificates: Path | None = None
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def dicomweb(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.http_port}/dicom-web"

    @property
    def dimse(self) -> str:
        return f"dimse{'+tls' if self.certificates else ''}://{AE_TITLE}@127.0.0.1:{self.dicom_port}"

    def start(self) -> None:
        """Start it, with what it held before, and wait until it answers."""
        settings = {
            "StorageDirectory": str(self.folder),
            "IndexDirectory": str(self.folder),
            "Plugins": [str(DICOMWEB)],
            "HttpPort": self.http_port,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAet": AE_TITLE,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomModalities": {
                name: {"AET": name, "Host": "127.0.0.1", "Port": port, "UseDicomTls": self.certificates is not None}
                for name, port in self.movers.items()
            },
            **self._tls(),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        with (self.folder / "orthanc.log").open("ab") as log:
            command = [str(shutil.which(PROGRAM, path="/usr/sbin:/usr/bin")), str(self.folder / "orthanc.json")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + _START_S
        while True:
            try:
                self.get("system")
            except (urllib.error.URLError, ConnectionError):
                assert self._process.poll() is None, (self.folder / "orthanc.log").read_text(errors="replace")[-2000:]
                assert time.monotonic() < end, "Orthanc does not answer"
                time.sleep(0.05)
            else:
                return

    def _tls(self) -> dict[str, object]:
        if self.certificates is None:
            return {}
        return {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(self.certificates / "node.pem"),
            "DicomTlsPrivateKey": str(self.certificates / "node-key.pem"),
            "DicomTlsTrustedCertificates": str(self.certificates / "ca.pem"),
        }

    def store(self, content: bytes) -> None:
        """Have it keep an object, by its own REST interface."""
        self._open("instances", content)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def get(self, path: str) -> bytes:
        """Return what its own REST interface answers."""
        return self._open(path, None)

    def _open(self, path: str, content: bytes | None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/{path}", content)
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def instances(self) -> dict[str, bytes]:
        """Return every object that it holds, by SOPInstanceUID."""
        found = json.loads(self.get("instances?expand"))
        return {one["MainDicomTags"]["SOPInstanceUID"]: self.get(f"instances/{one['ID']}/file") for one in found}


@contextmanager
def running_orthanc(
    folder: Path, movers: dict[str, int] | None = None, certificates: Path | None = None
) -> Iterator[Orthanc]:
    """Run a PACS until the end of the block; where there is none on this machine, skip."""
    if shutil.which(PROGRAM, path="/usr/sbin:/usr/bin") is None or not DICOMWEB.is_file():
        pytest.skip("needs Debian's packages orthanc and orthanc-dicomweb")
    orthanc = Orthanc(folder, movers or {}, certificates)
    orthanc.start()
    try:
        yield orthanc
    finally:
        orthanc.kill()
