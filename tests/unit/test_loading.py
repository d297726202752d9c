"""What a process loads, and what it leaves until it is used."""

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def _loaded(code: str, libraries: set[str]) -> str:
    """Return what a new process prints that runs some code, and then which of some libraries it has loaded."""
    code = f"import sys\n{code}\nprint('LOADED', sorted({libraries} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_loads_no_heavy_library() -> None:
    heavy = "numpy pyarrow dask distributed cryptography torch sklearn statsmodels matplotlib zarr SimpleITK numba highdicom"
    output = _loaded("from cvtbatch.cli import cli\ncli.main(['--help'], standalone_mode=False)", set(heavy.split()))
    assert output.endswith("LOADED []\n")
    assert "extract" in output


def test_completion_loads_no_heavy_library_and_knows_commands_and_words() -> None:
    heavy = "dask distributed cryptography torch sklearn imblearn statsmodels matplotlib zarr radiomics SimpleITK numba rich"
    complete = """
import os
from contextlib import suppress
from cvtbatch.cli import cli
for words, place in (("cvtbatch ex", 1), ("cvtbatch export radi", 2)):
    os.environ |= {"COMP_WORDS": words, "COMP_CWORD": str(place), "_CVTBATCH_COMPLETE": "bash_complete"}
    with suppress(SystemExit):
        cli.main(prog_name="cvtbatch", standalone_mode=False)
"""
    found = _loaded(complete, set(heavy.split()))
    assert found == "plain,extract\nplain,export\nplain,export-case\nplain,radiomics\nLOADED []\n"


def test_the_package_itself_loads_no_library_and_offers_its_names() -> None:
    """In a notebook, `import cvtbatch` is instant."""
    libraries = {"numpy", "pyarrow", "pandas", "SimpleITK", "dask", "deltalake", "sklearn", "numba", "yaml"}
    code = "import cvtbatch\nprint(set(cvtbatch.__all__) - set(dir(cvtbatch)), cvtbatch.CvtbatchError.__name__)"
    assert _loaded(code, libraries) == "set() CvtbatchError\nLOADED []\n"


def test_a_driver_loads_nothing_that_only_its_workers_need() -> None:
    """A fifth of a gigabyte, and seconds at the start of every command that looks at a store."""
    heavy = {"SimpleITK", "numba", "pydicom", "radiomics", "pywt", "scipy.ndimage", "torch"}
    assert _loaded("import cvtbatch.pipelines.extraction.extract, cvtbatch.cli.extraction", heavy) == "LOADED []\n"


def test_a_case_loads_no_table_and_nothing_of_scipy() -> None:
    """A third of what a worker would import before its first case."""
    code = """
import numpy as np
import cvtbatch.pipelines.extraction.case_worker
from cvtbatch.geometry import Grid
from cvtbatch.imaging.operators import bspline_operator
from cvtbatch.imaging.triage import triage_mask
from cvtbatch.radiomics.sphere import lay_sphere
lay_sphere()
bspline_operator(np.arange(3.0), 8)
grid = Grid((3, 3, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
triage_mask(np.ones((3, 3, 3), np.uint8), np.ones((3, 3, 3), np.int16), grid, 0.027)
"""
    heavy = "scipy.ndimage scipy.linalg scipy.special scipy.sparse pyarrow.compute pyarrow.dataset deltalake ruamel.yaml torch"
    assert _loaded(code, set(heavy.split())) == "LOADED []\n"


def test_workers_do_not_run_the_script_again_that_started_the_command(tmp_path: Path) -> None:
    """It loads all commands."""
    script = tmp_path / "command"
    script.write_text("""
import sys
from contextlib import suppress
from multiprocessing import spawn
from cvtbatch.cli import main
if __name__ == "__main__":
    print(spawn.get_preparation_data("worker").get("init_main_from_path") == __file__)
    with suppress(SystemExit):
        main()
    print("init_main_from_path" in spawn.get_preparation_data("worker"))
""")
    output = subprocess.run([sys.executable, str(script), "status", "--store", "none"], capture_output=True, text=True)
    assert output.stdout == "True\nFalse\n"


def test_commands_and_workers_have_arrow_without_pandas_and_rows_become_its_frames_all_the_same() -> None:
    code = """
from cvtbatch.engine.lean_worker import dask_setup
dask_setup(None)
import pyarrow.dataset as ds
table = ds.dataset(ds.pa.table({"a": [1, None]})).to_table()
print("pandas" in sys.modules)
import pandas as pd
frame = table.to_pandas()
print(isinstance(frame, pd.DataFrame), ds.pa.Table.from_pandas(frame, preserve_index=False).column("a").null_count)
"""
    assert _loaded(code, {"pandas"}) == "False\nTrue 1\nLOADED ['pandas']\n"
    main = """
from contextlib import suppress
from cvtbatch.cli import main
sys.argv = ["cvtbatch", "status", "--store", "none"]
with suppress(SystemExit):
    main()
"""
    assert _loaded(main, {"pandas", "pyarrow.dataset"}) == "LOADED ['pyarrow.dataset']\n"


def test_torch_waits_until_embeddings_are_asked_for() -> None:
    """Every command but one that embeds or tunes, and every pipeline, is imported without it."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ("cli", "pipelines", "store", "engine", "dlrn", "validation")
        for path in sorted((ROOT / "cvtbatch" / room).rglob("*.py"))
        if path.stem != "__init__"
    ]
    assert (
        _loaded(f"import importlib\nfor name in {modules}: importlib.import_module(name)", {"torch"}) == "LOADED []\n"
    )


def test_embeddings_leave_the_compiler_of_torch_out_until_somebody_asks_for_it() -> None:
    """It takes nearly as long to import as all the rest of torch."""
    code = """
import torch
from cvtbatch.embedding.backbone import Network
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.weights import random_weights
network = Network(random_weights(0, find_architecture("torchvision:mobilenet_v3_small"))).eval()
with torch.inference_mode():
    print(tuple(network(torch.ones(1, 224, 224)).shape), "torch._dynamo" in sys.modules, end=" ")
stand_in = sys.modules["torchvision.ops.roi_align"].is_compile_supported
print(stand_in("cpu"), stand_in("meta"), torch._dynamo.utils.is_compile_supported("cpu"))
"""
    assert _loaded(code, {"sympy"}) == "(1, 576) False True False True\nLOADED ['sympy']\n"
