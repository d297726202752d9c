"""torchvision's networks, imported and made without torch's compiler.

Two things bring the compiler in, 900 modules that take nearly as long to import as all the rest of torch, in every process that
embeds: `torchvision.ops.roi_align` imports one function of it, which is called where regions are aligned, as no image network does;
and a normal distribution drawn for a tensor without storage goes through it. Here a stand-in takes the function's
place while torchvision is imported, which asks the true one when it is called, and nothing is drawn.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_UTILS = f"{_COMPILER}.utils"
_one_at_a_time = Lock()


def is_compile_supported(device_type: Any) -> Any:
    """Return what torch's own function of this name returns."""
    return import_module(_UTILS).is_compile_supported(device_type)


def torchvision_models() -> ModuleType:
    """Return the module `torchvision.models`."""
    # This imports nothing of the compiler, and must not meet a stand-in.
    import_module("torch")
    with _one_at_a_time:
        try:
            with _without_compiler():
                import torchvision.models
        except ImportError:
            # A version that wants more of the compiler than the stand-in has.
            import torchvision.models
    models: ModuleType = torchvision.models
    return models


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Let a stand-in take the compiler's place while the block lasts, unless it is there already, or torchvision is."""
    if sys.modules.keys() & {_COMPILER, "torchvision"}:
        yield
        return
    stand_ins = {_COMPILER: ModuleType(_COMPILER), _UTILS: ModuleType(_UTILS)}
    stand_ins[_UTILS].__dict__["is_compile_supported"] = is_compile_supported
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Make networks whose tensors have shapes and neither storage nor values, while the block lasts."""
    import torch
    from torch.overrides import TorchFunctionMode

    class DrawsNothing(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            given = kwargs or {}
            if func in (torch.nn.init.normal_, torch.Tensor.normal_):
                return given.get("tensor", *args[:1])
            return func(*args, **given)

    with torch.device("meta"), DrawsNothing():
        yield
