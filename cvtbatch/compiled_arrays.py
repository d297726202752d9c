"""Arrays that a compiled loop makes for itself, as `numpy.empty` and `numpy.zeros` do.

Numba compiles these anew, as functions of their own, for every type and number of axes: a sixth of what all loops take to compile.
Here the same allocation is written into the loop that asks for it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Allocate = Callable[[int | np.integer | tuple[int, ...], type[np.generic] | np.dtype[Any]], NDArray[Any]]


def _empty(typing_context, shape, element):  # type: ignore[no-untyped-def]
    """Return a C-ordered array of a shape, none of whose sizes is negative, with whatever stands in memory."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = _allocated(context, builder, signature, arguments)
        return made._getvalue()

    return _array_of(shape, element), generate


def _zeros(typing_context, shape, element):  # type: ignore[no-untyped-def]
    """As `_empty`, filled with 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.core import cgutils

        made = _allocated(context, builder, signature, arguments)
        cast(Any, cgutils).memset(builder, made.data, builder.mul(made.itemsize, made.nitems), 0)
        return made._getvalue()

    return _array_of(shape, element), generate


def _array_of(shape: Any, element: Any) -> Any:
    return types.Array(element.dtype, 1 if isinstance(shape, types.Integer) else len(shape), "C")(shape, element)


def _allocated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Write an allocation into a loop; loads what only compiling takes."""
    from numba.core import cgutils
    from numba.np.arrayobj import _empty_nd_impl

    shape, given = signature.args[0], arguments[0]
    if isinstance(shape, types.Integer):
        kinds, sizes = [shape], [given]
    else:
        kinds, sizes = list(shape), cast(Any, cgutils).unpack_tuple(builder, given)
    sizes = [context.cast(builder, size, kind, types.intp) for size, kind in zip(sizes, kinds, strict=True)]
    return cast(Any, _empty_nd_impl)(context, builder, signature.return_type, sizes)


empty = cast("Allocate", intrinsic(_empty))
zeros = cast("Allocate", intrinsic(_zeros))
