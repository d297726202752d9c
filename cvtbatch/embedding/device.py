"""Where networks are computed, of whatever kind they are, and with which arithmetic."""

import os

import torch

from cvtbatch.embedding.compute import Device
from cvtbatch.errors import ResourceError


def choose_device(wanted: Device, setting: str) -> torch.device:
    """Return the device to compute on.

    Args:
        setting: of the job file, that says so.

    Raises:
        ResourceError: CUDA is asked for, and not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ResourceError(
            "no_gpu", f"{setting} is cuda, and PyTorch finds no CUDA device here; set it to auto or cpu"
        )
    return torch.device("cpu" if wanted == "cpu" or not torch.cuda.is_available() else "cuda")


def visible_gpus() -> tuple[str, ...]:
    """Return the names under which CUDA_VISIBLE_DEVICES selects each GPU that this process may use; none of them is taken."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if len(named) >= count else tuple(str(index) for index in range(count))


def set_arithmetic(tf32: bool) -> None:
    """Choose the arithmetic of float32 products on CUDA, where cuDNN's default is TF32, and its algorithms by rule."""
    # Not the newer fp32_precision: torch.compile asks for these, and refuses a mixture.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
