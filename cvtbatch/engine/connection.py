"""A connection to a scheduler that somebody else started."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dask
from distributed import Client

from cvtbatch.engine.encryption import parse_address, reach, security_of
from cvtbatch.engine.processes import silence_dask
from cvtbatch.engine.settings import DASK_SETTINGS
from cvtbatch.errors import ResourceError

if TYPE_CHECKING:
    from cvtbatch.engine.cluster_file import ExternalScheduler


@contextmanager
def connect(config: "ExternalScheduler", on_notice: Callable[[str], None]) -> Iterator[Client]:
    """Hold a client of a scheduler that has workers, which may have to be waited for.

    Raises:
        InputError: the connection would not be encrypted, or a certificate is not accepted.
        ResourceError: the scheduler cannot be reached, or has too few workers, within the time.
    """
    address = parse_address(config.address, config.certs)
    security = security_of(config.certs)
    end = time.monotonic() + config.wait_s
    reach(address, config.certs, config.wait_s)
    silence_dask()
    with dask.config.set(DASK_SETTINGS):
        try:
            client = Client(str(address), security=security, timeout=config.wait_s, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ResourceError("no_scheduler", f"what answers at {address} is no scheduler", str(error)) from None
        with client:
            if len(client.nthreads()) < config.workers:
                on_notice(
                    f"waiting up to {config.wait_s:g} s for {config.workers} worker{'s' if config.workers > 1 else ''} of {address}"
                )
            try:
                client.wait_for_workers(config.workers, timeout=max(1.0, end - time.monotonic()))
            except TimeoutError:
                raise ResourceError(
                    "no_workers",
                    f"the scheduler at {address} has fewer than {config.workers} "
                    f"worker{'s' if config.workers > 1 else ''} after {config.wait_s:g} s: start some (cvtbatch worker)",
                ) from None
            yield client
