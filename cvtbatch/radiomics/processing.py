"""Image and mask to the ROI's box, in the order of processing that a set asks for: PyRadiomics' (`box`) or IBSI's."""

import SimpleITK as sitk

from cvtbatch.radiomics.box import RoiBox, cut_box
from cvtbatch.radiomics.ibsi_processing import cut_ibsi_box
from cvtbatch.radiomics.settings import IbsiPreparation, Preparation


def process_roi(ct: sitk.Image, mask: sitk.Image, preparation: Preparation, *, as_given: bool = False) -> RoiBox:
    """Return the box; errors as for `box.cut_box` and `ibsi_processing.cut_ibsi_box`.

    Args:
        as_given: keep the image's pixel type, instead of float64; IBSI's order knows whole HU alone.
    """
    if isinstance(preparation, IbsiPreparation):
        return cut_ibsi_box(ct, mask, preparation)
    return cut_box(ct, mask, preparation, as_given=as_given)
