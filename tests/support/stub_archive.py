"""An archive that answers what a test tells it to, over HTTP or TLS: busy, cut off, elsewhere."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        cut: whether the connection ends in the middle of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class StubArchive:
    """What was asked of it, and what it answers: the next of `answers`, then that it lists nothing (GET) and stores all (POST).

    Attributes:
        asked: method, path and Authorization of every request.
        posted: bodies.
    """

    address: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)


@contextmanager
def stub_archive(certificate: Path | None = None, *, wants_ours: bool = False) -> Iterator[StubArchive]:
    """Serve on loopback until the end of the block.

    Args:
        certificate: folder with ca.pem, node.pem and node-key.pem, for TLS.
        wants_ours: let those in alone who show a certificate of this authority.
    """
    stub = StubArchive()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, otherwise: Answer) -> None:
            stub.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            if self.command == "POST":
                stub.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            answer = stub.answers.pop(0) if stub.answers else otherwise
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)

        def do_GET(self) -> None:
            self._answer(Answer(204))

        def do_POST(self) -> None:
            self._answer(Answer(200))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing: whoever breaks off or refuses the certificate is the test's own client."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "node.pem", certificate / "node-key.pem")
        if wants_ours:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificate / "ca.pem")
        # In the thread of the request, so that one who refuses the certificate fells no other.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    stub.address = f"dicomweb+http{'s' if certificate else ''}://127.0.0.1:{server.server_port}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
