"""What flags of volumes, outlines and scores mean, in words, wherever a page shows them."""

MEANINGS = {
    "tilted": "the gantry was tilted; resampled by the slices' own positions",
    "unverified_slices": "a tilted image file has one step for all gaps, which nothing verifies",
    "two_places": "sform and qform of the NIfTI file differ; the sform is taken",
    "uneven_slices": "slice distances differ; resampled by the slices' own positions",
    "missing_slices": "slices are missing, and the manifest allows it",
    "duplicate_slices": "some slices were there twice",
    "contrast": "hints of contrast medium",
    "not_axial": "slices are not axial",
    "no_head": "less than 200 ml of brain",
    "vertex_cut": "the series ends below the vertex",
    "base_cut": "the series begins above the skull base",
    "noisy": "noise above 10 HU",
    "metal": "0.05 ml of metal or more",
    "displaced_slices": "a jump of 2 mm or more between slices",
    "overlapping_passes": "two passes of the scanner overlap by a slice, which is left out",
    "interleaved_passes": "passes lie in the middle of one another's gaps: one scan's odd and even slices, or a second scan",
    "slice_location_disagrees": "the slices' two statements of their places contradict each other",
    "multi_energy": "virtual non-contrast, monoenergetic or iodine images, whose values are not those of a conventional CT",
    "lossy_compressed": "the pixels are, or once were, compressed with loss",
    "tiny": "a very small outline",
    "many_components": "the outline has many parts",
    "implausible_hu": "the outline's HU are not those of blood",
    "border_contact": "the outline touches the image's border",
    "volume_changed": "stored and drawn volume differ by more than 3 %",
    "contours_ignored": "some contours have no area, and were left out",
    "contours_between_slices": "some contours lie between slices, and went to the nearest one",
    "overlapping_contours": "contours overlap without one lying in the other",
    "skipped_slices": "slices are left out between outlines that cover one another",
    "other_slices": "drawn on other slices or pixels than the image's, and placed by position: make sure that it is this case's",
    "placed_by_index": "the outline's file has other slice positions than the series, and went slice by slice",
    "auto": "the outline was found by a method, not drawn",
    "disagreement": "the method's networks differ over the outline",
    "several": "the method found further hematomas beside the outline",
    "mostly_ivh": "more than half of the outline is blood in the ventricles, by the method",
    "mostly_extra_axial": "more than half of the outline is blood around the brain, by the method",
    "infratentorial": "the outline seems to lie below the tentorium",
    "not_for_inference": "the outline's method is for demos and second opinions",
    "rim_cut": "less than half of the ring around the outline is inside the skull and 0 to 80 HU",
    "no_embedding": "no DL, DLR and DLRN score",
    "slices_without_embedding": "some slices have no embedding, and the bundle takes all of them",
    "feature_missing": "no score of the signatures that need it",
    "feature_replaced": "the training mean stands in for a missing feature",
    "harmonised_by_own_cases": "not a centre of training: its own cases put its features on the scale of training",
    "not_harmonised": "the bundle was not fitted on this centre, and takes its features as they are",
    "outside_training_range": "a selected feature outside the training range",
}

# How a flag ends that names a clinical column of a score.
_OF_COLUMN = {
    "_unknown": "no DLRN score",
    "_level_new": "no training case had this value: no DLRN score",
}


def meaning_of(flag: str) -> str:
    """Return what a flag means; empty for one that says it itself."""
    ending = next((ending for ending in _OF_COLUMN if flag.endswith(ending)), "")
    return MEANINGS.get(flag) or _OF_COLUMN.get(ending, "")
