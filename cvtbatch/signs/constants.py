"""Every constant of the signs: thresholds as published, and those that make a rule of what a reader sees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of one revision of the definitions; lengths and areas are within a slice unless they say otherwise.

    Published thresholds:
        whole_slice_share, half_slice_share: of the largest slice's area, above and from which a slice counts as one and as half a
            slice of ABC/2 (Kothari 1996).
        heterogeneous_foci: hypodense foci in a slice from which density is heterogeneous (Morotti 2019).
        irregularities: of the margin from which a shape is irregular (Morotti 2019).
        black_hole_hu: least difference of a black hole (Li 2016).
        blend_hu: least difference of a blend sign (Li 2015).
        swirl_slices, swirl_length_mm: contiguous slices, and their thickness together, of a swirl sign (Ng 2018).
        small_mm: a small hematoma's largest diameter is below it (Shimoda 2017); nearest_mm and farthest_mm: its distance from the
            main one (Morotti 2019).
        islands_separate, islands: separate small hematomas, and those with connected ones, of an island sign (Li 2017).

    Of the rules here:
        smoothing_mm: standard deviation of the Gaussian in a slice, of what a reader's eye averages.
        margin_mm: a region lies inside if it is farther than this from the outline's edge, where voxels are part brain.
        reference_percentile: of the smoothed density inside a slice: that of its dense blood.
        focus_hu: a region is hypodense below the reference by this: half of black_hole_hu.
        least_area_mm2: smaller regions are noise.
        near_mm, far_mm: what lies on either side of a margin is measured between these distances from it.
        isodense_hu: up to here blood is not denser than brain (gray matter).
        least_slice_mm2: smaller slices are not looked at for two regions or irregularities.
        region_share, region_radius_mm: least share of a slice, and least radius of an inscribed circle, of each of two regions;
            serum_hu: least median of the hypodense one, below which it is no blood.
        level_share: least share of a slice on the right side of a fluid level; level_tilt_deg: its largest tilt; level_hu: the
            least difference across it.
        blood_hu, calcium_hu: blood beside an outline has at least the one in smoothed HU, and nowhere more than the other.
        bone_hu, bone_mm2: bone has this density and area in a slice, so that calcium is none. inner_bone_mm, outer_bone_mm: what
            is nearer to bone than the one inside an outline, and than the other beside it, is not looked at (partial volume,
            beam hardening, blood on the brain's surface).
        body_radius_mm: what an opening by this disc takes off a slice's outline may be a bud; bud_slimness: least height of a bud
            by the length at which it is connected, so that lobes are none.
        indentation_mm: least depth of an indentation of the margin, below the convex hull.
    """

    whole_slice_share: float = 0.75
    half_slice_share: float = 0.25
    heterogeneous_foci: int = 3
    irregularities: int = 2
    black_hole_hu: float = 28.0
    blend_hu: float = 18.0
    swirl_slices: int = 2
    swirl_length_mm: float = 10.0
    small_mm: float = 10.0
    nearest_mm: float = 1.0
    farthest_mm: float = 20.0
    islands_separate: int = 3
    islands: int = 4

    smoothing_mm: float = 1.0
    margin_mm: float = 1.5
    reference_percentile: float = 75.0
    focus_hu: float = 14.0
    least_area_mm2: float = 4.0
    near_mm: float = 1.0
    far_mm: float = 3.0
    isodense_hu: float = 40.0
    least_slice_mm2: float = 100.0
    region_share: float = 0.1
    region_radius_mm: float = 2.5
    serum_hu: float = 20.0
    level_share: float = 0.95
    level_tilt_deg: float = 15.0
    level_hu: float = 10.0
    blood_hu: float = 50.0
    calcium_hu: float = 100.0
    bone_hu: float = 150.0
    bone_mm2: float = 100.0
    inner_bone_mm: float = 5.0
    outer_bone_mm: float = 10.0
    body_radius_mm: float = 5.0
    bud_slimness: float = 0.5
    indentation_mm: float = 2.0


CONSTANTS = Constants()
