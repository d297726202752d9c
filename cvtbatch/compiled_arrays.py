"""What is written into a compiled loop: arrays that it makes for itself, and lanes, numbers that it computes side by side.

Numba compiles `numpy.empty` and `numpy.zeros` anew, as functions of their own, for every type and number of axes: a sixth of what
all loops take to compile. Here the same allocation is written into the loop that asks for it.

A loop over numbers that stand side by side reads and writes them at each turn, and begins with a look whether its arrays overlap.
Lanes are one value, which stays in the processor's registers from turn to turn of the loop around it, in vectors as wide as the
processor has them. Each lane is added and multiplied by itself, and rounded each time: its bits are those of a number alone. Eight
are the partial sums of NumPy's `add.reduce`, or as many rows of a small ROI.
"""

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

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

LANES = 32
"""Numbers side by side: as many as hide how long one takes, where each turn of a loop waits for the one before."""


class Lanes(Protocol):
    """`LANES` numbers, or eight, of float64 or float32, inside a compiled loop."""

    def __add__(self, other: "Lanes") -> "Lanes": ...

    def __sub__(self, other: "Lanes") -> "Lanes": ...

    def __mul__(self, other: "float | Lanes") -> "Lanes": ...


class _LanesType(types.Type):
    def __init__(self, count: int, number: Any) -> None:
        self.count, self.number = count, number
        cast(Any, super()).__init__(f"Lanes({count}, {number})")


_lanes: Any = _LanesType(LANES, types.float64)
_lanes_of_float32: Any = _LanesType(LANES, types.float32)
_eight: Any = _LanesType(8, types.float64)
_eight_of_float32: Any = _LanesType(8, types.float32)


class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        cast(Any, super()).__init__(manager, of, _vector(of))


def _vector(of: Any) -> Any:
    ir = _llvm()
    return ir.VectorType(ir.DoubleType() if of.number == types.float64 else ir.FloatType(), of.count)


def _llvm() -> Any:
    """Return what Numba describes types of machine code with."""
    from numba.core import cgutils

    return cast(Any, cgutils).ir


def _take_lanes(typing_context, array, first):  # type: ignore[no-untyped-def]
    """Return `LANES` numbers of a C-ordered array, in its type, as they lie in memory, from the place of the first."""
    return (_lanes if array.dtype == types.float64 else _lanes_of_float32)(array, types.intp), _load


def _take_eight(typing_context, array, first):  # type: ignore[no-untyped-def]
    """Return eight numbers as well."""
    return (_eight if array.dtype == types.float64 else _eight_of_float32)(array, types.intp), _load


def _load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load(_place(context, builder, signature, arguments, signature.return_type), align=4)


def _sum_eight(typing_context, lanes):  # type: ignore[no-untyped-def]
    """Return the sum of eight numbers, added two by two as NumPy does."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = _llvm().IntType(32)
        sums = [builder.extract_element(arguments[0], number(k)) for k in range(8)]
        while len(sums) > 1:
            sums = [builder.fadd(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        return sums[0]

    return types.float64(lanes), generate


def _put_lanes(typing_context, array, first, lanes):  # type: ignore[no-untyped-def]
    """Write as many, rounded to the array's type."""
    kept = _LanesType(lanes.count, array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = arguments[2] if kept == lanes else builder.fptrunc(arguments[2], _vector(kept))
        builder.store(numbers, _place(context, builder, signature, arguments, kept), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _round_lanes(typing_context, lanes):  # type: ignore[no-untyped-def]
    """Return each number rounded to float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.fptrunc(arguments[0], _vector(_lanes_of_float32)), _vector(_lanes))

    return _lanes(_lanes), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any, of: Any) -> Any:
    made = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(made.data, [arguments[1]]), _vector(of).as_pointer())


def _add_where_reached(typing_context, lanes, number, others, limits):  # type: ignore[no-untyped-def]
    """Return eight numbers, to which another one is added where one of eight others is no less than its limit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, number, others, limits = arguments
        reached = builder.fcmp_ordered(">=", others, limits)
        return builder.select(reached, builder.fadd(sums, _everywhere(builder, number, sums.type)), sums)

    return _eight(_eight, types.float64, others, limits), generate


def _fused_difference(typing_context, a, b, c):  # type: ignore[no-untyped-def]
    """Return a * b - c of eight numbers a and c and a number b, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = arguments
        multiply_add = _llvm().FunctionType(a.type, [a.type] * 3)
        fma = builder.module.declare_intrinsic("llvm.fma.v8f64", (), multiply_add)
        return builder.call(fma, [a, _everywhere(builder, b, a.type), builder.fneg(c)])

    return _eight(_eight, types.float64, _eight), generate


class _WithLanes(ConcreteTemplate):
    cases: ClassVar = [of(of, of) for of in (_lanes, _lanes_of_float32, _eight, _eight_of_float32)]


class _WithNumber(ConcreteTemplate):
    cases: ClassVar = [of(of, of.number) for of in (_lanes, _lanes_of_float32, _eight)]


def _add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.fadd(*arguments)


def _subtract(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.fsub(*arguments)


def _multiply(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.fmul(*arguments)


def _multiply_all(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    lanes, number = arguments
    return builder.fmul(lanes, _everywhere(builder, number, lanes.type))


def _everywhere(builder: Any, number: Any, vector: Any) -> Any:
    ir = _llvm()
    first, nothing = ir.IntType(32)(0), ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(nothing, number, first)
    count = vector.count
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(first.type, count), [0] * count))


def _register() -> None:
    """Tell Numba what lanes are, and what the operators of Python mean between them."""
    cast(Any, register_model)(_LanesType)(_LanesModel)
    for sign, template, write in (
        (operator.add, _WithLanes, _add),
        (operator.sub, _WithLanes, _subtract),
        (operator.mul, _WithLanes, _multiply),
        (operator.mul, _WithNumber, _multiply_all),
    ):
        cast(Any, infer_global)(sign)(template)
        for case in template.cases:
            cast(Any, lower_builtin)(sign, *case.args)(write)


_register()
take_lanes = cast("Callable[[NDArray[np.floating], int], Lanes]", intrinsic(_take_lanes))
take_eight = cast("Callable[[NDArray[np.floating], int], Lanes]", intrinsic(_take_eight))
sum_eight = cast("Callable[[Lanes], float]", intrinsic(_sum_eight))
put_lanes = cast("Callable[[NDArray[np.floating], int, Lanes], None]", intrinsic(_put_lanes))
add_where_reached = cast("Callable[[Lanes, float, Lanes, Lanes], Lanes]", intrinsic(_add_where_reached))
fused_difference = cast("Callable[[Lanes, float, Lanes], Lanes]", intrinsic(_fused_difference))
round_lanes = cast("Callable[[Lanes], Lanes]", intrinsic(_round_lanes))
