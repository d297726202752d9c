"""A headless Chromium that a test drives through its DevTools protocol, with tornado's websocket client."""

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-port=0",
)
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0


def find_chromium() -> str | None:
    """Return the program, or None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One page of the browser; keeps every event that it is told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: WebSocketClientConnection) -> None:
        self._loop, self._connection, self._number = loop, connection, 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and return its result."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), ANSWER_SECONDS))

    async def _call(self, method: str, parameters: dict[str, object]) -> dict[str, Any]:
        self._number += 1
        await self._connection.write_message(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = await self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])

    async def _read(self) -> dict[str, Any]:
        text = await self._connection.read_message()
        assert text is not None, "the browser hung up"
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, file: Path, width: int, height: int = 900) -> None:
        """Open a file in a window of this width, and wait until it is there."""
        self.events.clear()
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.call("Page.navigate", url=file.as_uri())
        self._loop.run_until_complete(asyncio.wait_for(self._loaded(), ANSWER_SECONDS))

    async def _loaded(self) -> None:
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            await self._read()

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, file: Path) -> Path:
        """Write a PNG of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(data))
        return file

    def print_pdf(self, file: Path) -> Path:
        """Print the page on A4."""
        data = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        file.write_bytes(base64.b64decode(data))
        return file

    def requests(self) -> list[str]:
        """Return what was asked for, but for pictures that the page holds itself."""
        urls = [
            str(event["params"]["request"]["url"])
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """Return what the console was told, and exceptions."""
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]


@contextmanager
def open_browser(program: str) -> Iterator[Page]:
    """Start a browser with a profile of its own; it and all its processes are gone afterwards."""
    loop = asyncio.new_event_loop()
    profile = Path(tempfile.mkdtemp(prefix="cvtbatch-chromium-"))
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        port = _wait_for_port(process, profile / "DevToolsActivePort")
        connection = loop.run_until_complete(_connect(port))
        yield Page(loop, connection)
        loop.run_until_complete(_close(connection))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        shutil.rmtree(profile, ignore_errors=True)


def _wait_for_port(process: "subprocess.Popen[bytes]", file: Path) -> int:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if file.is_file() and (found := re.match(r"(\d+)\n", file.read_text(encoding="utf-8"))):
            return int(found[1])
        assert process.poll() is None, "the browser ended at once"
        time.sleep(0.05)
    raise AssertionError(f"the browser did not start within {START_SECONDS} s")


async def _connect(port: int) -> WebSocketClientConnection:
    from tornado.httpclient import AsyncHTTPClient

    answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list")
    target = next(entry for entry in json.loads(answer.body) if entry["type"] == "page")
    return await websocket_connect(target["webSocketDebuggerUrl"], max_message_size=2**30)


async def _close(connection: WebSocketClientConnection) -> None:
    # On the loop: what is written makes futures of the current one.
    connection.close()
