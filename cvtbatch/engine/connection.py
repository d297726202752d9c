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
    from cvtbatch.engine.cluster_file import External


@contextmanager
def connect(place: "External", tell: Callable[[str], None]) -> Iterator[Client]:
    """Hold a client of a scheduler that has workers; tells if they are waited for.

    Raises:
        InputError: the connection would not be encrypted, or a certificate is not accepted.
        ResourceError: the scheduler cannot be reached, or has too few workers, within the time.
    """
    address = parse_address(place.address, place.certs)
    security = security_of(place.certs)
    end = time.monotonic() + place.wait_s
    reach(address, place.certs, place.wait_s)
    silence_dask()
    with dask.config.set(DASK_SETTINGS):
        try:
            client = Client(str(address), security=security, timeout=place.wait_s, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ResourceError("no_scheduler", f"what answers at {address} is no scheduler", str(error)) from None
        with client:
            if len(client.nthreads()) < place.workers:
                tell(
                    f"waiting up to {place.wait_s:g} s for {place.workers} worker{'s' if place.workers > 1 else ''} of {address}"
                )
            try:
                client.wait_for_workers(place.workers, timeout=max(1.0, end - time.monotonic()))
            except TimeoutError:
                raise ResourceError(
                    "no_workers",
                    f"the scheduler at {address} has fewer than {place.workers} "
                    f"worker{'s' if place.workers > 1 else ''} after {place.wait_s:g} s: start some (cvtbatch worker)",
                ) from None
            yield client
