"""A server ends when it is told to, whatever its libraries wait for."""

import asyncio
import os
import signal
import time

import pytest

from cvtbatch.engine import serving


class StubbornServer:
    """One of its tasks passes over its cancellation."""

    def __init__(self) -> None:
        self.task = asyncio.ensure_future(self.wait_for_ever())

    async def wait_for_ever(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    async def close(self) -> None:
        await self.wait_for_ever()

    async def finished(self) -> None:
        await asyncio.sleep(3600)


@pytest.mark.timeout(60)
def test_a_task_that_does_not_end_keeps_no_server_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "CLOSE_SECONDS", 0.2)

    async def start() -> StubbornServer:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        return StubbornServer()

    began = time.monotonic()
    assert serving._serve(start, lambda server: serving._within(0.2, server.close())) == 0
    assert time.monotonic() - began < 30
