"""The constants by which a location is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocationRules:
    """Constants of every rule; another value is another specification.

    Attributes:
        point_area_mm2: points of the inner surface that the midsagittal plane is fitted to stand for so much of it.
        field_mm, field_margin_mm: step of the depths below that surface, and how far around it they are known.
        effective_points: so many independent points the surface counts for against `roll_prior_deg`.
        outlier: points have no weight beyond this many standard deviations, as the median tells them.
        least_spread_mm: that standard deviation is not taken for less.
        roll_prior_deg: standard deviation of heads' lean to a shoulder.
        most_steps, still_rad, still_mm: the fit ends after so many steps, or with one that is smaller.
        symmetric_mm: a point whose mirror image lies this near to the surface has one.
        side_share: share of an outline's volume on one side from which it lies there.
        end_share: a scan that ends in the head shows more than this share of the largest slice's inside in its last one.
        skull_area_mm2: so much of the inner surface stands for one point to what lies deep.
        most_deep: the deepest of points are looked for among so many that are deepest by the rough depths.
        smooth_mm, fluid_hu, ventricle_depth_mm, ventricle_side_mm, ventricle_midline_mm, least_gap_mm, least_part_ml,
            least_ventricles_ml: see `cvtbatch.location.ventricles`.
        lobar_skull_mm, lobar_ventricles_mm, lobar_vertex_mm, deep_skull_mm, deep_midline_mm, deep_ventricles_mm,
            deep_vertex_mm: see `cvtbatch.location.compartments`.
        atlas_mm, atlas_window_hu, atlas_bins, atlas_sampled_share, atlas_seed, atlas_steps: spacing and attenuation in which an
            atlas is laid over a head, and how its mutual information is found.
        stretches, least_overlap: see `cvtbatch.location.atlas`.
    """

    point_area_mm2: float = 15.0
    field_mm: float = 3.0
    field_margin_mm: float = 12.0
    effective_points: float = 200.0
    outlier: float = 3.0
    least_spread_mm: float = 1.0
    roll_prior_deg: float = 10.0
    most_steps: int = 40
    still_rad: float = 1e-4
    still_mm: float = 0.01
    symmetric_mm: float = 3.0
    side_share: float = 0.9
    end_share: float = 0.1
    skull_area_mm2: float = 2.0
    most_deep: int = 50
    smooth_mm: float = 2.5
    fluid_hu: tuple[float, float] = (-5.0, 18.0)
    ventricle_depth_mm: float = 20.0
    ventricle_side_mm: float = 30.0
    ventricle_midline_mm: float = 20.0
    least_gap_mm: float = 3.0
    least_part_ml: float = 0.5
    least_ventricles_ml: float = 1.0
    lobar_skull_mm: float = 18.0
    lobar_ventricles_mm: float = 30.0
    lobar_vertex_mm: float = 45.0
    deep_skull_mm: float = 25.0
    deep_midline_mm: float = 34.0
    deep_ventricles_mm: float = 25.0
    deep_vertex_mm: tuple[float, float] = (50.0, 95.0)
    atlas_mm: float = 3.0
    atlas_window_hu: tuple[int, int] = (0, 80)
    atlas_bins: int = 32
    atlas_sampled_share: float = 0.2
    atlas_seed: int = 1
    atlas_steps: int = 100
    stretches: tuple[float, float] = (0.7, 1.4)
    least_overlap: float = 0.85
