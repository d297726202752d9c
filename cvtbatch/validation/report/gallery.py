"""Which cases are shown, in which order, and their pictures."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from cvtbatch.imaging import as_radiologists_look, head_window, outline_picture
from cvtbatch.validation.evaluate import CaseResult, Validation

MORE = 200
"""Cases in the page beyond the misclassified ones; the rest stand on pages of as many."""
PICTURE_PX = 240


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedSlice:
    """The slice with the largest area of an outline, rows towards the patient's back and columns towards the left side.

    Attributes:
        hu_yx: int16.
        mask_yx: uint8, not empty.
        spacing_xy_mm: of its pixels.
    """

    hu_yx: npt.NDArray[np.int16]
    mask_yx: npt.NDArray[np.uint8]
    spacing_xy_mm: tuple[float, float]

    @classmethod
    def facing_up(
        cls,
        hu_yx: npt.NDArray[np.generic],
        mask_yx: npt.NDArray[np.generic],
        spacing_mm: Sequence[float],
        direction: Sequence[float],
    ) -> Self:
        """Return a stored slice as radiologists look at it, however it was stored: from below, the patient's right on the left.

        Args:
            spacing_mm, direction: of the stored grid.
        """
        hu_yx, mask_yx = (as_radiologists_look(part, direction) for part in (hu_yx, mask_yx))
        return cls(hu_yx.astype(np.int16), mask_yx.astype(np.uint8), (spacing_mm[0], spacing_mm[1]))


Pictures = Callable[[str], OutlinedSlice | None]
"""Gives the slice of a case by its key, or None where there is none."""


def order_cases(validation: Validation) -> list[list[CaseResult]]:
    """Return the cases of each page: on the first all that were wrong and up to 200 more, flagged ones first."""
    wrong = [result for result in validation.cases if result.wrong]
    rest = [result for result in validation.cases if not result.wrong]
    rest.sort(key=lambda result: not (result.case.flags or result.case.outside))
    pages = [wrong + rest[:MORE]]
    pages += [rest[start : start + MORE] for start in range(MORE, len(rest), MORE)]
    return pages


def case_links(pages: Sequence[Sequence[CaseResult]]) -> dict[str, str]:
    """Return where each case is shown, by its key, as a link from the first page."""
    return {
        result.case.key: f"{page_name(place) if place else ''}#{anchor(result.case.key)}"
        for place, page in enumerate(pages)
        for result in page
    }


def anchor(key: str) -> str:
    """Return the id of a case's element in a page, which is its link's fragment too: its key, percent-encoded."""
    return f"case-{quote(key, safe='')}"


def page_name(place: int) -> str:
    """Return the file of a page of cases; the first is the report itself."""
    return "report.html" if place == 0 else f"cases-{place + 1}.html"


def to_data_url(found: OutlinedSlice) -> str:
    """Return a picture of a slice with its outline as a JPEG data URL: a square of 220 mm around the head."""
    from PIL import Image

    rgb = outline_picture(found.hu_yx, found.mask_yx)
    top, left, height, width = head_window(found.hu_yx, found.mask_yx, found.spacing_xy_mm)
    square = Image.fromarray(rgb).crop((left, top, left + width, top + height))
    square = square.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    square.save(file, format="JPEG", quality=82, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
