"""Arrow that does not load pandas, for processes that are cvtbatch's own.

The first time that Arrow makes a value of a Python object, it asks whether there is a pandas, and loads it for that: a fifth of a
second and some 30 MB of every command and every worker, none of which gives it a Series. It asks once. Where rows do become pandas'
(`to_pandas`), Arrow still loads it. A user's own process is left alone: there, Arrow is given Series.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=name)


def leave_pandas_out() -> None:
    """Have Arrow ask for pandas now, and find none; anything else that imports pandas afterwards does so as ever."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.scalar(True)
    finally:
        sys.meta_path.remove(finder)
