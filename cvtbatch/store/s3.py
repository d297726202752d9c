"""Object storage: S3 and what speaks like it.

Endpoint, region and credentials come from the usual AWS variables of the process (`AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), never from a job or a task, so that no secret is stored or sent.
Three libraries talk to it (obstore for objects, deltalake for logs, pyarrow for columns), and all three are given one reading of
that environment and one bound on retries.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import S3Store

from cvtbatch.errors import StorageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

# A request that fails is sent again, with growing pauses: some seconds of outage are bridged, and no more than this is waited.
MAX_RETRIES = 8
FIRST_PAUSE_SECONDS = 0.25
RETRY_SECONDS = 30
CONNECT_SECONDS = 5
REQUEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach object storage, but for the credentials: those the libraries take from the environment themselves.

    Attributes:
        endpoint: URL; empty for AWS itself.
        allow_http: whether the endpoint is plain http.
    """

    endpoint: str
    region: str
    allow_http: bool

    @classmethod
    def of_environment(cls) -> "S3Access":
        """Read the AWS variables.

        Raises:
            StorageError: the endpoint would carry voxels and credentials in the clear to another machine.
        """
        values = os.environ
        endpoint = values.get("AWS_ENDPOINT_URL_S3") or values.get("AWS_ENDPOINT_URL") or values.get("AWS_ENDPOINT", "")
        region = values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION") or "us-east-1"
        told = values.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
        if endpoint.startswith("http://") and not told and not _is_loopback(urlsplit(endpoint).hostname or ""):
            raise StorageError(
                "plain_http",
                "the endpoint of the object storage is plain http on another machine: images would travel in the clear; "
                "use https, or set AWS_ALLOW_HTTP=true",
                endpoint,
            )
        return cls(endpoint, region, endpoint.startswith("http://"))

    def table_options(self) -> dict[str, str]:
        """Return the options of the table library."""
        options = {
            "aws_region": self.region,
            "aws_allow_http": str(self.allow_http).lower(),
            # Two writers of one version: the second is refused.
            "aws_conditional_put": "etag",
            "connect_timeout": f"{CONNECT_SECONDS}s",
            "timeout": f"{REQUEST_SECONDS}s",
            "max_retries": str(MAX_RETRIES),
            "retry_timeout": f"{RETRY_SECONDS}s",
            "backoff_config.init_backoff": f"{FIRST_PAUSE_SECONDS * 1000:.0f}ms",
        }
        return {**options, "aws_endpoint_url": self.endpoint} if self.endpoint else options


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def s3_objects(path: str, access: S3Access) -> S3Store:
    """Return the objects below a BUCKET/PREFIX; one client a process."""
    bucket, _, prefix = path.partition("/")
    return S3Store(
        bucket,
        prefix=prefix or None,
        config={"region": access.region, **({"endpoint": access.endpoint} if access.endpoint else {})},
        client_options={
            "allow_http": access.allow_http,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {"init_backoff": timedelta(seconds=FIRST_PAUSE_SECONDS)},
        },
    )


@cache
def s3_filesystem(access: S3Access) -> "FileSystem":
    """Return the file system of pyarrow, whose paths are BUCKET/KEY; one client a process."""
    from pyarrow import fs

    return fs.S3FileSystem(
        region=access.region,
        endpoint_override=access.endpoint or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        # Its pauses grow faster.
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=MAX_RETRIES // 2),
    )
