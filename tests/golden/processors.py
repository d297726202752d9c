"""What moves between processors: the values of golden ROIs, of a resampled volume and of an embedding.

`python -m tests.golden.processors` prints, for every setting of what governs vector units, how many values
differ from those of the processor as it is, and which by more than their contract; a few minutes. A level that the processor lacks
cannot be switched off, and the table says so.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cvtbatch.radiomics.fast import compute_features
from cvtbatch.radiomics.reference import stock_features
from tests.golden.radiomics_cases import CASES
from tests.support.parity import NAMES, deviations

ROOT = Path(__file__).parents[2]
# Of these, stock's values are computed beside, on the processor as it is seen.
STOCK = (("ml003", "onekey5"), ("border", "onekey5"))
Values = Mapping[str, NDArray[np.generic]]
# NumPy's levels above its baseline, from the newest down; each is one of X86_V4's extensions, X86_V4 or X86_V3.
NEWER_THAN_V3 = ("AVX512_SPR", "AVX512_ICL", "X86_V4")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to let the libraries see another processor.

    Attributes:
        numpy_without: levels of NumPy that are switched off, where the processor has them.
        variables: what else is set.
    """

    numpy_without: tuple[str, ...]
    variables: Mapping[str, str]


SETTINGS: Mapping[str, Setting] = {
    "as it is": Setting((), {}),
    "without AVX-512": Setting(
        NEWER_THAN_V3,
        {
            "NUMBA_CPU_NAME": "haswell",
            "OPENBLAS_CORETYPE": "Haswell",
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
        },
    ),
    "oldest": Setting(
        (*NEWER_THAN_V3, "X86_V3"),
        {
            "NUMBA_CPU_NAME": "nehalem",
            "OPENBLAS_CORETYPE": "Nehalem",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
        },
    ),
    "NumPy oldest, the rest as it is": Setting((*NEWER_THAN_V3, "X86_V3"), {}),
    "the rest oldest, NumPy as it is": Setting(
        (),
        {
            "NUMBA_CPU_NAME": "generic",
            "OPENBLAS_CORETYPE": "Nehalem",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
    ),
}


def present_levels() -> tuple[str, ...]:
    """Return the levels of NumPy above its baseline that this processor has."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return tuple(level for level in __cpu_dispatch__ if __cpu_features__[level])


def environment(setting: Setting) -> dict[str, str]:
    """Return the environment of a process that sees the processor as `setting` says."""
    off = [level for level in setting.numpy_without if level in present_levels()]
    governing = {"NPY_DISABLE_CPU_FEATURES", *(name for each in SETTINGS.values() for name in each.variables)}
    plain = {name: value for name, value in os.environ.items() if name not in governing}
    threads = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    disabled = {"NPY_DISABLE_CPU_FEATURES": " ".join(off)} if off else {}
    return {**plain, **threads, **disabled, **setting.variables}


def measure(setting: Setting, cases: Sequence[str], folder: Path) -> tuple[Values, tuple[str, ...]]:
    """Compute in a process that sees the processor as `setting` says; return the values, and the levels that NumPy used there."""
    out = folder / "values.npz"
    command = [sys.executable, "-m", "tests.golden.processors", "--out", str(out), *cases]
    done = subprocess.run(command, cwd=ROOT, env=environment(setting), check=True, capture_output=True, text=True)
    with np.load(out) as values:
        return dict(values), tuple(json.loads(done.stdout))


def _compute(out: Path, cases: Sequence[str]) -> None:
    values: dict[str, NDArray[np.generic]] = {"volume": _volume(), "embedding": _embedding()}
    for name in cases:
        pair = CASES[name].make()
        for key, profile in CASES[name].profiles.items():
            found = compute_features(*pair, profile).values
            values[f"{name}/{key}"] = np.array([found[feature] for feature in NAMES])
    for name, key in STOCK:
        found = stock_features(*CASES[name].make(), CASES[name].profiles[key])
        values[f"stock of {name}/{key}"] = np.array([found[feature] for feature in NAMES])
    np.savez(out, **values)


def _volume() -> NDArray[np.int16]:
    """A volume of 1.9 mm slices on the stored grid, as the store keeps it."""
    import SimpleITK as sitk

    from cvtbatch.imaging import resample_volume

    ct, _ = CASES["ml010"].make()
    ct.SetSpacing((0.43, 0.43, 1.9))
    return np.rint(sitk.GetArrayFromImage(resample_volume(ct))).astype(np.int16)


def _embedding() -> NDArray[np.float32]:
    """Two slices through the untrained backbone."""
    from cvtbatch.embedding.backbone import Backbone
    from cvtbatch.embedding.compute import Compute
    from cvtbatch.embedding.weights import random_weights

    gray = np.random.default_rng(0).random((2, 224, 224), dtype=np.float32)
    return np.concatenate(list(Backbone(random_weights(0), Compute(device="cpu", batch=2)).embed([gray])))


def embedding_deviation(values: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Return the largest difference of two embeddings as a share of the vector's norm."""
    apart = np.linalg.norm(values.astype(float) - other.astype(float), axis=1)
    return float((apart / np.linalg.norm(values.astype(float), axis=1)).max())


def moved_features(values: Values, other: Values) -> dict[str, float]:
    """Return the features that differ by more than the parity contract, and the largest difference as a share of the value."""
    moved: dict[str, float] = {}
    for key in (key for key in values if "/" in key and key in other):
        ours, theirs = (dict(zip(NAMES, found[key].tolist(), strict=True)) for found in (values, other))
        for deviation in deviations(ours, theirs):
            apart = abs(deviation.fast - deviation.stock) / abs(deviation.stock)
            moved[deviation.name] = max(apart, moved.get(deviation.name, 0.0))
    return moved


def main() -> None:
    """Print a line a setting; or, told where, compute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("cases", nargs="*", default=[name for name in CASES if name != "real_head"])
    arguments = parser.parse_args()
    if arguments.out:
        _compute(arguments.out, arguments.cases)
        print(json.dumps(present_levels()))
        return
    reference: Values | None = None
    for name, setting in SETTINGS.items():
        with TemporaryDirectory() as folder:
            values, levels = measure(setting, arguments.cases, Path(folder))
        reference = reference or values
        features = [(values[key], reference[key]) for key in values if "/" in key]
        bits = sum(int((~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))).sum()) for ours, theirs in features)
        print(f"{name}: NumPy uses {' '.join(levels) or 'its baseline alone'}")
        print(f"  {bits} of {sum(len(ours) for ours, _ in features)} feature values differ in their last bits or more")
        moved = [f"{feature} (up to {apart:.2%})" for feature, apart in moved_features(values, reference).items()]
        print(f"  beyond the contract: {', '.join(moved) or 'none'}")
        apart = int((values["volume"] != reference["volume"]).sum())
        print(f"  voxels of a stored volume that differ: {apart} of {values['volume'].size}")
        print(
            f"  embedding: {embedding_deviation(values['embedding'], reference['embedding']):.1e} of the vector's norm"
        )


if __name__ == "__main__":
    main()
