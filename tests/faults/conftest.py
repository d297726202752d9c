"""What tests of faults share; a module says with CASES, COARSE and HOSTS what it wants of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archives import tiny_archive
from tests.support.commands import extract_json
from tests.support.hosts import Network, network


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of CASES heads (archive/manifest.csv) and what its extraction under COARSE gives (store)."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny_archive(folder / "archive", request.module.CASES)
    extract_json(folder / "archive" / "manifest.csv", folder / "store", *request.module.COARSE)
    return folder


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> Iterator[Network]:
    """HOSTS hosts on a network of their own."""
    with network(request.module.HOSTS) as made:
        yield made
