"""A DICOMweb server of our own with a few instances: as slow of wit, busy, cut off or changeable as a test wants it."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pydicom

BOUNDARY = "xYz-42"
_TAGS = {
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "SOPInstanceUID": "00080018",
    "StudyDate": "00080020",
    "AccessionNumber": "00080050",
    "StudyDescription": "00081030",
    "Modality": "00080060",
    "BodyPartExamined": "00180015",
    "SeriesDescription": "0008103E",
}
_KEYS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


@dataclass
class DicomwebServer:
    """What is served, and how badly.

    Attributes:
        files: content by SOPInstanceUID.
        sent: in place of an instance's own content.
        later: instances that are there once files were asked for.
        busy: status and Retry-After of the next answers.
        cut: bytes after which the next answers with files end.
        page: results of a search at most; 0 for as many as are asked for.
        forgets_offset: every page is the first.
        gone: what a path may hold that is not found.
        overcounts: instances that each series is said to have more than are listed.
        refuses_series: answers 500 where a whole series is asked for.
        requests: paths with their queries.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    later: dict[str, bytes] = field(default_factory=dict)
    busy: list[tuple[int, str]] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    page: int = 0
    forgets_offset: bool = False
    gone: set[str] = field(default_factory=set)
    overcounts: int = 0
    refuses_series: bool = False
    requests: list[str] = field(default_factory=list)

    def found(self, path: str) -> list[pydicom.Dataset]:
        """Return the instances below a path."""
        words = path.strip("/").split("/")
        wanted = {_KEYS[level]: uid for level, uid in zip(words[::2], words[1::2], strict=False)}
        headers = [pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True) for content in self.files.values()]
        return [one for one in headers if all(one.get(name) == uid for name, uid in wanted.items())]

    def search(self, path: str, query: dict[str, list[str]]) -> list[dict[str, object]]:
        """Return results as DICOM JSON; filters are not looked at, as some servers do."""
        key = _KEYS[path.rsplit("/", 1)[-1]]
        groups: dict[str, list[pydicom.Dataset]] = {}
        for one in self.found(path.rpartition("/")[0]):
            groups.setdefault(one[key].value, []).append(one)
        rows = []
        for of_one in groups.values():
            texts = {tag: str(of_one[0].get(name, "")) for name, tag in _TAGS.items()}
            row: dict[str, object] = {tag: {"vr": "LO", "Value": [text]} for tag, text in texts.items() if text}
            rows.append({**row, "00201209": {"vr": "IS", "Value": [len(of_one) + self.overcounts]}})
        first = 0 if self.forgets_offset else int(query["offset"][0])
        return rows[first : first + (self.page or int(query["limit"][0]))]


@contextmanager
def serve_dicomweb(files: dict[str, bytes]) -> Iterator[DicomwebServer]:
    """Serve on loopback until the end of the block."""
    served = DicomwebServer(files=dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            parts = urlsplit(self.path)
            path = parts.path.removeprefix("/dicom-web/")
            if served.busy:
                status, wait_s = served.busy.pop(0)
                self.answer(status, b"", {"Retry-After": wait_s})
            elif any(one in path for one in served.gone):
                self.answer(404, b"", {})
            elif path.endswith("/metadata"):
                headers = [one.to_json_dict() for one in served.found(path.removesuffix("/metadata"))]
                self.answer(200, json.dumps(headers).encode(), {"Content-Type": "application/dicom+json"})
            elif "dicom+json" in self.headers["Accept"]:
                rows = served.search(path, parse_qs(parts.query))
                self.answer(200, json.dumps(rows).encode(), {"Content-Type": "application/dicom+json"})
            elif served.refuses_series and "/instances/" not in path:
                self.answer(500, b"", {})
            else:
                self.send_files(path)

        def send_files(self, path: str) -> None:
            uids = [str(one.SOPInstanceUID) for one in served.found(path)]
            head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body = b"".join(head + served.sent.get(uid, served.files[uid]) for uid in uids)
            body += f"\r\n--{BOUNDARY}--\r\n".encode()
            served.files.update(served.later)
            served.later.clear()
            length = served.cut.pop(0) if served.cut else len(body)
            self.answer(200, body[:length], {"Content-Type": f'multipart/related; boundary="{BOUNDARY}"'})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            """Without Content-Length, as Orthanc does: where the body ends is where the connection does."""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"dicomweb+http://127.0.0.1:{server.server_port}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
