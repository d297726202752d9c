"""Run by the Python of an environment without extras: every module loads but for them, and a bundle scores as it did.

Takes the folder of a bundle. Knows nothing of the checkout.
"""

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq

import cvtbatch
from cvtbatch import contracts, extras
from cvtbatch.dlrn import load_bundle
from cvtbatch.errors import ResourceError


def without_extras() -> list[str]:
    """Import every module; return those that want a library of an extra.

    Raises:
        ImportError: of any other library.
    """
    assert [name for name in get_args(extras.Library) if extras.installed(name)] == []
    wanting = []
    for module in pkgutil.walk_packages(cvtbatch.__path__, "cvtbatch."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] not in get_args(extras.Library):
                raise
            wanting.append(module.name)
        except ResourceError as error:
            if error.kind != "missing_extra":
                raise
            wanting.append(module.name)
    return wanting


def check_scores(bundle: Path) -> None:
    """Hold what a bundle makes of its golden rows to what is recorded beside them."""
    golden = pq.read_table(bundle / "golden.parquet")
    scored = load_bundle(bundle).score(golden)
    for name in ("rad", "dl", "dlr", "dlrn"):
        pairs = zip(scored[name].to_pylist(), golden[f"expected_{name}"].to_pylist(), strict=True)
        assert all(abs(own - recorded) <= 1e-12 for own, recorded in pairs if recorded is not None), name


if __name__ == "__main__":
    assert not Path(cvtbatch.__file__).is_relative_to(Path(__file__).parents[2])
    assert len(without_extras()) < 10
    check_scores(Path(sys.argv[1]))
    table = pq.read_table("radiomics.parquet")
    assert table.num_rows == 2
    assert all(table[name].null_count == 0 for name in contracts.feature_names())
