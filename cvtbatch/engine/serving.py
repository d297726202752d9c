"""A scheduler and a worker as processes of their own: Dask's, with our settings, until a signal or the end of their cluster."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cvtbatch.engine.encryption import Address, check_certificates, is_loopback, parse_address, reach, security_of
from cvtbatch.engine.processes import (
    ONE_THREAD,
    check_shared_memory,
    home_for_libraries,
    leave_out_working_folder,
    open_scratch,
)
from cvtbatch.engine.settings import DASK_SETTINGS, GPU
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.extras import installed

if TYPE_CHECKING:
    from distributed import Nanny, Scheduler, Worker

    Server = Scheduler | Nanny | Worker

# How long a worker waits for its scheduler at the start, and then gives up; who supervises it starts it again.
SCHEDULER_SECONDS = 120
# How long a worker may take to retire from its scheduler, and then to end what it computes.
RETIRE_SECONDS = 2
CLOSE_SECONDS = 3
# The cluster is over, though nobody asked this process to end: a supervisor starts it again.
CLUSTER_LOST = 1


def run_scheduler(
    host: str, port: int, certs: Path | None, dashboard: str, on_notice: Callable[[str], None] = lambda _: None
) -> int:
    """Serve as a scheduler until a signal.

    Args:
        host: name or address to listen at.
        dashboard: HOST:PORT of the dashboard, which knows neither passwords nor encryption.
        on_notice: called with lines for people.

    Returns:
        the exit code.

    Raises:
        InputError: it would listen beyond loopback without certificates, or they cannot be used.
        ResourceError: host and port cannot be listened at, or there is no room for temporary files.
    """
    if certs is None and not is_loopback(host):
        raise InputError(
            "plain_scheduler",
            f"a scheduler at {host} could be reached from other machines, and whoever reaches it can run code and read what "
            "tasks carry: give --certs FOLDER (cvtbatch certs makes it), or --host 127.0.0.1",
        )
    os.environ.update(home_for_libraries())
    import dask

    # Dask reads how to log when it is imported: its settings come before it.
    with open_scratch() as scratch, dask.config.set(DASK_SETTINGS | {"temporary-directory": str(scratch)}):
        security = security_of(certs)
        address = Address("tcp" if certs is None else "tls", host, port)
        if certs is not None:
            on_notice(f"certificates valid until {check_certificates(certs):%Y-%m-%d}")

        async def start() -> "Server":
            from distributed import Scheduler

            from cvtbatch.engine.scaling import KeepGpuWorkers

            try:
                scheduler = Scheduler(
                    host=str(address), security=security, dashboard_address=dashboard, plugins=[KeepGpuWorkers()]
                )
                await scheduler
            except (OSError, ValueError) as error:
                raise ResourceError("no_listening", f"a scheduler cannot listen at {address}", str(error)) from None
            on_notice(f"scheduler at {scheduler.address}")
            port = scheduler.services["dashboard"].port
            on_notice(
                f"dashboard at http://{dashboard.rpartition(':')[0]}:{port}/status"
                if installed("bokeh")
                else "no dashboard, which needs bokeh: pip install 'cvtbatch[cluster]'"
            )
            return scheduler

        return _serve(start, lambda scheduler: _within(2 * CLOSE_SECONDS, scheduler.close()))


def run_worker(
    scheduler: str,
    certs: Path | None = None,
    *,
    gpu: bool = False,
    memory_bytes: int | None = None,
    nanny: bool = True,
    name: str | None = None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> NoReturn:
    """Serve as a worker of one thread until a signal, or until its scheduler is lost; then end the process.

    Its exit code is 0 after a signal; else it is not, so that any supervisor starts it again.

    Args:
        memory_bytes: that it may take; None for its share of the machine, one a core.
        nanny: restart it when it ends or takes too much memory.
        name: that the scheduler knows it by.
        on_notice: called with lines for people.

    Raises:
        InputError: the connection would not be encrypted, or certificates are not accepted.
        ResourceError: no scheduler answers, or the machine has no shared memory.
    """
    os.environ.update(ONE_THREAD | home_for_libraries())
    leave_out_working_folder()
    address = parse_address(scheduler, certs)
    import dask

    if nanny:
        check_shared_memory()
    with open_scratch() as scratch, dask.config.set(DASK_SETTINGS):
        security = security_of(certs)
        own = reach(address, certs, SCHEDULER_SECONDS)
        options: dict[str, Any] = {
            "nthreads": 1,
            "security": security,
            "name": name,
            "resources": {GPU: 1} if gpu else None,
            "memory_limit": "auto" if memory_bytes is None else memory_bytes,
            "death_timeout": SCHEDULER_SECONDS,
            "local_directory": str(scratch),
            "host": own,
            # Its metrics, which know no encryption.
            "dashboard_address": "127.0.0.1:0",
        }

        async def start() -> "Server":
            from distributed import Nanny, Worker

            try:
                if nanny:
                    server: Server = Nanny(str(address), env=ONE_THREAD, silence_logs=logging.CRITICAL, **options)
                else:
                    server = Worker(str(address), **options)
                await server
            except (OSError, RuntimeError, TimeoutError, ValueError) as error:
                raise ResourceError("no_scheduler", f"the scheduler at {address} took no worker", str(error)) from None
            on_notice(f"worker of {address}")
            return server

        code = _serve(start, _retire)
    # A case that is being computed does not let its thread, nor the process, go.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _retire(server: "Server") -> None:
    """Close a worker so that its task is done elsewhere, and not counted as one that took its worker down."""
    from distributed import Nanny, Scheduler

    assert not isinstance(server, Scheduler)
    worker = server.worker_address if isinstance(server, Nanny) else server.address
    await _within(RETIRE_SECONDS, server.scheduler.retire_workers(workers=[worker], close_workers=False, remove=True))
    await _within(2 * CLOSE_SECONDS, server.close(timeout=CLOSE_SECONDS))


async def _within(seconds: float, work: Awaitable[object]) -> None:
    """Wait so long for some work, and no longer: asyncio.wait_for waits on where work passes over its cancellation.

    That a peer is gone, or does not answer in time, is no error of a server that ends.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        with suppress(OSError, TimeoutError):
            task.result()


def _serve(start: Callable[[], Awaitable["Server"]], stop: Callable[["Server"], Awaitable[object]]) -> int:
    """Run a server until SIGINT, SIGTERM or SIGHUP, or until it has ended by itself; return the exit code."""

    async def serve() -> int:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Passed over under nohup.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, asked.set)
        starting = asyncio.ensure_future(start())
        signalled = asyncio.ensure_future(asked.wait())
        await asyncio.wait({starting, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return 0
        server = starting.result()
        ended = asyncio.ensure_future(_finished(server))
        await asyncio.wait({ended, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.is_set():
            return CLUSTER_LOST
        await stop(server)
        return 0

    async def serve_and_clear() -> int:
        try:
            return await serve()
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=CLOSE_SECONDS)

    # Not asyncio.run: it waits for every task, and one of Dask's may pass over its end, waiting for a peer that is gone.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(serve_and_clear())
    finally:
        loop.close()


async def _finished(server: "Server") -> None:
    await server.finished()  # type: ignore[no-untyped-call]
