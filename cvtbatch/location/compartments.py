"""Above or below the tentorium, lobar or deep: what distances and a template's shape can tell, and `unknown` where they cannot.

The compartment is that of `cvtbatch.outlining.location.find_place`, which lays the inside of the skull under a template and answers
only where every nod of the head that slices may have gives the same answer; so do cerebellum and brainstem.

Lobar or deep is told of supratentorial outlines by their centroid. **Lobar**: at most `lobar_skull_mm` from the inner surface of
the skull, or at least `lobar_ventricles_mm` from the ventricles, or at most `lobar_vertex_mm` below the vertex. **Deep**: at least
`deep_skull_mm` from the inner surface, at most `deep_midline_mm` from the midsagittal plane, at most `deep_ventricles_mm` from the
ventricles and `deep_vertex_mm` below the vertex. Where no ventricles are found, the others decide. What is neither is `unknown`.

The constants were chosen on the atlas AAL2 (Rolls et al., NeuroImage 2015;122:1-5) with the brain of MNI152 and the ventricles of
the Harvard-Oxford atlas, every voxel once a centroid: of basal ganglia, thalamus and the white matter nearest to them 84 % are deep
and 1 % lobar; of cortex and the white matter nearest to it 74 % are lobar and 9 % deep, most of these beside the bodies and atria
of the ventricles; of insula, hippocampus and amygdala, which are neither, 27 % are lobar and 27 % deep; of cerebellum and
brainstem 0.4 % are deep. That is one template, without a hematoma's mass effect, and the rule is no reader's rating; a published
one for readers is CHARTS (Charidimou et al., J Neurol Sci 2017;372:178-183).
"""

from typing import Literal

from cvtbatch.location.rules import LocationRules
from cvtbatch.outlining.location import Place

Compartment = Literal["supratentorial", "infratentorial", "unknown"]
Region = Literal["lobar", "deep", "cerebellum", "brainstem", "unknown"]


def compartment_of(place: Place) -> Compartment:
    """Return the compartment of an outline's place."""
    if place.infratentorial is None:
        return "unknown"
    return "infratentorial" if place.infratentorial else "supratentorial"


def region_of(
    place: Place,
    *,
    skull_mm: float,
    midline_mm: float,
    ventricles_mm: float | None,
    vertex_mm: float | None,
    rules: LocationRules,
) -> Region:
    """Return the region of an outline from its place and the distances of its centroid; None: not known."""
    if place.infratentorial is None or vertex_mm is None:
        return "unknown"
    if place.infratentorial:
        return place.location if place.location in ("cerebellum", "brainstem") else "unknown"
    if (
        skull_mm <= rules.lobar_skull_mm
        or vertex_mm <= rules.lobar_vertex_mm
        or (ventricles_mm is not None and ventricles_mm >= rules.lobar_ventricles_mm)
    ):
        return "lobar"
    highest, lowest = rules.deep_vertex_mm
    is_deep = (
        skull_mm >= rules.deep_skull_mm
        and midline_mm <= rules.deep_midline_mm
        and highest <= vertex_mm <= lowest
        and (ventricles_mm is None or ventricles_mm <= rules.deep_ventricles_mm)
    )
    return "deep" if is_deep else "unknown"
