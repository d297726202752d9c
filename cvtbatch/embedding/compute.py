"""How embeddings are computed: what a job says of it, without the library that does it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["float32", "tf32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Embeddings = npt.NDArray[np.float32]  # (n, values of the backbone's layer)

# Larger ones gain little on a CPU, and a last one that is half empty costs less.
CPU_BATCH = 8
CUDA_BATCH = 256


@dataclass(frozen=True, slots=True)
class Compute:
    """How the backbone runs.

    Attributes:
        precision: the one of these that is part of the specification.
        device: "auto" is CUDA where there is one, else the CPU.
        batch: slices that are computed together; None for the device's own.
        compiled: through `torch.compile`.
        threads: of the CPU; None leaves them as they are.
    """

    precision: Precision = "float32"
    device: Device = "auto"
    batch: int | None = None
    compiled: bool = False
    threads: int | None = None
