"""What scoring relies on, said of a frozen model: its loops index by these arrays and ask nothing of them again.

A model for which nothing is found here can be scored on any row: no place is read or written outside an array, every walk through
a tree ends at a leaf of that tree, and every number that enters is one. It takes time in proportion to the model's size.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cvtbatch.dlrn.arrays import Floats, Integers
from cvtbatch.dlrn.clinical_terms import ClinicalTerm, Kind, labels_of, names_of
from cvtbatch.dlrn.cohort_summary import EmbeddingMoments
from cvtbatch.dlrn.combat import Harmonisation
from cvtbatch.dlrn.description import CohortSummary, VoteRecalibration
from cvtbatch.dlrn.forest import FlatForest
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.nomogram import Nomogram
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.settings import SIGNATURES
from cvtbatch.validation.kept_columns import KeptNumbers
from cvtbatch.validation.training_distance import SHARES

# The line through the points and the logistic model are one function, computed in two orders.
NOMOGRAM_TOLERANCE = 1e-9
# A share is a quotient of sums of weights, and may be an ulp more than 1.
LARGEST_SHARE = 1 + 1e-9
# A recalibration takes neighbours through exp and log, which may turn them by an ulp.
SAME_PLACE = 1e-12
EMBEDDINGS = tuple(way.column for way in Pooling)
# Deeper than any forest that a job allows grows on a cohort; what a tree is asked for is a depth of 10.
MOST_DEPTH = 4096


def model_problems(model: FrozenModel) -> list[str]:
    """Return every way in which a model is none; empty for one that can be scored."""
    problems = [*_name_problems(model), *_clinical_problems(model.clinical)]
    problems = problems or [*_shape_problems(model)]
    with np.errstate(all="ignore"):
        # Else there is nothing that the rest could look at.
        return problems or [
            *_number_problems(model),
            *_harmonisation_problems(model.harmonisation, model.radiomics),
            *([] if model.classes else _nomogram_problems(model)),
            *_forest_problems(model),
        ]


def out_of_fold_problems(scores: Mapping[str, Floats]) -> list[str]:
    """Return what is wrong with training's scores, by the names of their arrays."""
    shapes = [
        f"{name} is {_text(array)}, not float64 in one dimension"
        for name, array in scores.items()
        if array.ndim != 1 or array.dtype != np.float64
    ]
    return shapes or [
        f"{name} are not probabilities in ascending order"
        for name, array in scores.items()
        if not (((array >= 0) & (array <= LARGEST_SHARE)).all() and _ascending(array, SAME_PLACE))
    ]


def summary_problems(summary: CohortSummary | None, moments: EmbeddingMoments | None, length: int) -> Iterator[str]:
    """Yield what is wrong with what is kept of the cohort."""
    if summary is not None:
        for name, kept in {**summary.features, **summary.numbers}.items():
            if not _sound_numbers(kept):
                yield f"cohort_summary: what is kept of {name} are no quantiles of so many cases"
        for name, levels in summary.levels.items():
            if sum(levels.counts.values()) + levels.rarer != levels.known or levels.known < 1:
                yield f"cohort_summary: levels of {name} do not add up"
        distances = np.array(summary.embedding.distances if summary.embedding else (), np.float64)
        if summary.embedding and not (
            len(distances) == len(SHARES) and (distances >= 0).all() and _ascending(distances)
        ):
            yield "cohort_summary: distances of embeddings are not those of its shares, in ascending order"
    if moments is not None:
        for array in (moments.mean, moments.sd):
            if array.dtype != np.float32 or array.shape != (length,) or not _finite(array):
                yield f"moments of the embedding are {_text(array)}, not float32 of {length}, or not finite"
        if not (moments.sd >= 0).all():
            yield "a standard deviation of the embedding is below 0"


def _sound_numbers(kept: KeptNumbers) -> bool:
    shares, quantiles, below = (np.array(part, np.float64) for part in (kept.shares, kept.quantiles, kept.at_or_below))
    return (
        len({len(shares), len(quantiles), len(below)}) == 1
        and kept.sd >= 0
        and {0.25, 0.5, 0.75} <= set(kept.shares)
        and all(_ascending(part) for part in (shares, quantiles, below))
        and bool((below <= kept.known).all())
    )


def _name_problems(model: FrozenModel) -> Iterator[str]:
    names = model.columns
    if len(set(names)) < len(names):
        yield "columns names a column twice"
    yield from (
        f"columns names {name}, which is no feature"
        for name in (*EMBEDDINGS, *names_of(model.clinical))
        if name in names
    )


def _clinical_problems(terms: Sequence[ClinicalTerm]) -> Iterator[str]:
    """Yield what is wrong with clinical terms: their names, ranges, knots, and levels of categories."""
    for name, group in itertools.groupby(terms, key=lambda term: term.name):
        own = list(group)
        levels = [term.level for term in own]
        numbers = [number for term in own for number in (term.low, term.high, *term.knots)]
        if not _finite(np.array(numbers, np.float64)) or any(term.low >= term.high for term in own):
            yield f"clinical_terms: {name} has no range, or one that is not finite"
        if own[0].kind is Kind.LEVEL:
            known = {*levels, own[0].reference}
            if None in known or len(known) <= len(own) or len({(term.kind, term.reference) for term in own}) > 1:
                yield f"clinical_terms: {name} names no reference, a level twice or none"
        elif len(own) > 1 or levels != [None] or own[0].reference is not None:
            yield f"clinical_terms: {name} is no one number"
        knots = np.array(own[0].knots, np.float64)
        spline = own[0].kind is Kind.SPLINE
        if any(term.knots for term in own) != spline or (
            spline and not (len(knots) > 2 and (np.diff(knots) > 0).all())
        ):
            yield f"clinical_terms: {name} has no three knots or more in ascending order, or is no spline"
    if len(names_of(terms)) < len([name for name, _ in itertools.groupby(terms, key=lambda term: term.name)]):
        yield "clinical_terms names a column twice"


def _shape_problems(model: FrozenModel) -> Iterator[str]:
    """Compare types and shapes with what the model's own numbers of columns, nodes and trees ask for."""
    columns, components, looked_at = len(model.columns), len(model.components), model.distance_columns.size
    wanted: dict[str, tuple[npt.NDArray[np.generic], type[np.generic], tuple[int | None, ...]]] = {
        "loadings": (model.loadings, np.float64, (None, components)),
        "offset": (model.offset, np.float64, (components,)),
        **{name: (getattr(model, name), np.float64, (columns,)) for name in ("mean", "scale", "low", "high")},
        "terms": (model.terms, np.float64, _terms_shape(model)),
        "distance_columns": (model.distance_columns, np.int64, (None,)),
        "whitening": (model.whitening, np.float64, (looked_at, looked_at)),
        "training_distances": (model.training_distances, np.float64, (None,)),
        **{f"{name}.used": (model.used[name], np.int64, (None,)) for name in SIGNATURES},
    }
    if model.harmonisation is not None:
        of_centers = (len(model.harmonisation.centers), len(model.radiomics))
        wanted["harmonisation.location"] = (model.harmonisation.location, np.float64, of_centers)
        wanted["harmonisation.scale"] = (model.harmonisation.scale, np.float64, of_centers)
        if (base := model.harmonisation.base) is not None:
            wanted["harmonisation.reference_mean"] = (base.mean, np.float64, (len(base.columns),))
            wanted["harmonisation.reference_sd"] = (base.sd, np.float64, (len(base.columns),))
    if model.attention is not None:
        units = model.attention.weights.size
        wanted["attention.hidden"] = (model.attention.hidden, np.float64, (len(model.loadings), units))
        wanted["attention.offset"] = (model.attention.offset, np.float64, (units,))
        wanted["attention.weights"] = (model.attention.weights, np.float64, (None,))
    if model.recalibration is not None:
        wanted["recalibration"] = (model.recalibration, np.float64, (2,))
    for signature, forest in model.forests.items():
        name, nodes = str(signature), forest.column.size
        wanted |= {
            f"{name}.roots": (forest.roots, np.int32, (None,)),
            f"{name}.depths": (forest.depths, np.int32, (forest.roots.size,)),
            f"{name}.column": (forest.column, np.int32, (None,)),
            f"{name}.threshold": (forest.threshold, np.float64, (nodes,)),
            f"{name}.child": (forest.child, np.int32, (nodes, 2)),
            f"{name}.share": (forest.share, np.float64, (nodes, *([len(model.classes)] if model.classes else []))),
        }
    for name, (array, kind, shape) in wanted.items():
        same = array.ndim == len(shape) and all(
            own == size if size is not None else own > 0 for own, size in zip(array.shape, shape, strict=True)
        )
        if not same or array.dtype != kind or not array.flags.c_contiguous:
            size = " x ".join("1 or more" if size is None else str(size) for size in shape)
            yield f"{name} is {_text(array)}, not {np.dtype(kind)} of {size}"


def _terms_shape(model: FrozenModel) -> tuple[int, ...]:
    """Return the shape of the logistic model's coefficients."""
    clinical, classes = len(labels_of(model.clinical)), len(model.classes)
    return (classes - 1, classes + clinical) if classes else (2 + clinical,)


def _number_problems(model: FrozenModel) -> Iterator[str]:
    plain = ("loadings", "offset", "mean", "scale", "low", "high", "terms", "whitening", "training_distances")
    yield from (f"{name} holds a number that is not finite" for name in plain if not _finite(getattr(model, name)))
    if model.attention is not None:
        parts = (model.attention.hidden, model.attention.offset, np.abs(model.attention.weights).sum())
        if not all(map(_finite, parts)):
            yield "attention holds a number that is not finite"
    if not (model.scale > 0).all():
        yield "scale holds a deviation that is not above 0"
    if not (model.low <= model.high).all():
        yield "low is above high in a column"
    if not (_ascending(model.training_distances) and (model.training_distances >= 0).all()):
        yield "training_distances are not lengths in ascending order"
    if model.recalibration is not None and not (_finite(model.recalibration) and model.recalibration[1] > 0):
        yield "recalibration is not finite, or its slope is not above 0"
    yield from (
        f"votes.{name} has a slope that is not above 0, or one term without the other"
        for name, terms in model.votes.items()
        if not _sound_votes(terms)
    )
    places = {"distance_columns": model.distance_columns} | {f"{name}.used": model.used[name] for name in SIGNATURES}
    for name, own in places.items():
        if not _within(own, len(model.columns)) or len(np.unique(own)) < len(own):
            yield f"{name} does not name columns of the model, each once"
    for name, thresholds in model.thresholds.items():
        wrong = [label for label, value in thresholds.items() if not 0 <= value <= LARGEST_SHARE]
        yield from (f"thresholds.{name}.{label} is no probability" for label in wrong)


def _harmonisation_problems(found: Harmonisation | None, used: Sequence[str]) -> Iterator[str]:
    if found is None:
        return
    if len(set(found.centers)) < len(found.centers) or found.reference not in found.centers:
        yield "harmonisation names a centre twice, or a reference that is none of its centres"
        return
    if not (_finite(found.location) and _finite(found.scale) and (found.scale > 0).all()):
        yield "harmonisation holds a number that is not finite, or a scale that is not above 0"
    own = found.centers.index(found.reference)
    if found.location[own].any() or not (found.scale[own] == 1).all():
        yield "harmonisation moves the reference"
    base = found.base
    if base is not None and not (_finite(base.mean) and _finite(base.sd) and (base.sd > 0).all()):
        yield "harmonisation keeps of its reference a number that is not finite, or a deviation that is not above 0"
    if base is not None and (len(set(base.columns)) < len(base.columns) or not set(used) <= set(base.columns)):
        yield "harmonisation keeps of its reference a column twice, or nothing of one that is in use"


def _sound_votes(terms: VoteRecalibration) -> bool:
    if terms.intercept is None or terms.slope is None:
        return terms.intercept is terms.slope and terms.reason != ""
    return terms.slope.value > 0 and terms.reason == ""


def _nomogram_problems(model: FrozenModel) -> Iterator[str]:
    """Compare the nomogram with the logistic model: points must stand for the same logarithm of the odds."""
    found: Nomogram = model.nomogram
    if tuple(axis.name for axis in found.axes) != (wanted_axes := ("dlr", *labels_of(model.clinical))):
        yield f"nomogram.axes are not {' and '.join(wanted_axes)}, in this order"
        return
    numbers = [found.intercept, found.per_point]
    curved = labels_of(term for term in model.clinical if term.kind is Kind.SPLINE)
    for axis in found.axes:
        numbers += [axis.low, axis.high, axis.zero, axis.points_per_unit]
        at_an_end = axis.zero in (axis.low, axis.high) or (axis.name in curved and axis.low <= axis.zero <= axis.high)
        if not (axis.low < axis.high and at_an_end):
            yield f"the nomogram's axis {axis.name} is no range that has 0 points at one of its ends"
    if not _finite(np.array(numbers, np.float64)):
        yield "nomogram holds a number that is not finite"
        return
    shift, slope = (0.0, 1.0) if model.recalibration is None else model.recalibration.tolist()
    intercept, *coefficients = model.terms.tolist()
    of_ends = [coefficient * axis.zero for coefficient, axis in zip(coefficients, found.axes, strict=True)]
    wanted = [shift + slope * (intercept + sum(of_ends)), *(slope * coefficient for coefficient in coefficients)]
    own = [found.intercept, *(found.per_point * axis.points_per_unit for axis in found.axes)]
    if not np.allclose(own, wanted, rtol=NOMOGRAM_TOLERANCE, atol=NOMOGRAM_TOLERANCE):
        yield "nomogram gives other odds than terms"


def _forest_problems(model: FrozenModel) -> Iterator[str]:
    for name in SIGNATURES:
        yield from (f"{name}: {problem}" for problem in forest_problems(model.forests[name], model.used[name]))


def forest_problems(forest: FlatForest, used: Integers) -> Iterator[str]:
    """Yield what is wrong with a forest whose arrays have their types and lengths.

    Nodes of a tree lie together, its root first, and a child behind its parent, as they are grown: so that no walk can turn back.

    Args:
        used: columns that its nodes may look at.
    """
    nodes = len(forest.column)
    # In their own type, differences of wild numbers would come round again.
    own, roots = np.arange(nodes), forest.roots.astype(np.int64)
    leaf = (forest.child[:, 0] == own) & (forest.child[:, 1] == own)
    if not (roots[0] == 0 and (np.diff(roots) > 0).all() and roots[-1] < nodes):
        yield "roots are not first nodes of trees, one behind the other"
        return
    last = np.append(roots[1:], nodes)
    ends = np.repeat(last, last - roots)
    inner = forest.child[~leaf].astype(np.int64)
    if not ((inner > own[~leaf, None]) & (inner < ends[~leaf, None])).all():
        yield "child leads back, or out of its tree"
        return
    parents = np.bincount(inner.reshape(-1), minlength=nodes)
    parents[roots] += 1
    if not (parents == 1).all():
        yield "child leads to a node twice, or never"
        return
    if not np.isin(forest.column[~leaf], used).all() or forest.column[leaf].any():
        yield "column is none of its signature, or that of a leaf is not 0"
    if not (_finite(forest.threshold[~leaf]) and (forest.threshold[leaf] == np.inf).all()):
        yield "threshold is not finite, or that of a leaf is not infinite"
    if not ((forest.share >= 0) & (forest.share <= LARGEST_SHARE)).all():
        yield "share is outside 0 to 1"
    if forest.share.ndim > 1 and not (np.abs(forest.share.sum(axis=1) - 1) <= SAME_PLACE * forest.share.shape[1]).all():
        yield "shares of the classes do not sum up to 1"
    if not np.array_equal(_depths(forest, leaf), forest.depths):
        yield "depths are not the numbers of steps to the farthest leaves"


def _depths(forest: FlatForest, leaf: npt.NDArray[np.bool_]) -> Integers:
    """Return the number of steps to each tree's farthest leaf (T,), level by level; too deep a tree has a negative one."""
    depths = np.zeros(len(forest.roots), np.int64)
    tree, node = np.arange(len(forest.roots)), forest.roots.astype(np.int64)
    for level in range(1, MOST_DEPTH):
        goes_on = ~leaf[node]
        tree, node = np.repeat(tree[goes_on], 2), forest.child[node[goes_on]].reshape(-1).astype(np.int64)
        if not len(node):
            return depths
        depths[tree] = level
    return np.full(len(forest.roots), -1, np.int64)


def _within(places: Integers, count: int) -> bool:
    return bool(((places >= 0) & (places < count)).all())


def _finite(values: npt.NDArray[np.generic]) -> bool:
    return bool(np.isfinite(values).all())


def _ascending(values: Floats, slack: float = 0.0) -> bool:
    return bool((np.diff(values) >= -slack).all())


def _text(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} of {' x '.join(map(str, array.shape)) or 'no dimension'}"
