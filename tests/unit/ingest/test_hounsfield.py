from pathlib import Path

import numpy as np

from cvtbatch.ingest.hounsfield import require_tissue
from tests.support.series import refused, write


def test_an_intercept_that_makes_all_of_a_head_air_is_refused(tmp_path: Path) -> None:
    """As -8192 does, of a scanner whose own pixels are other ones: all was cut at -1024, and nobody told."""
    write(tmp_path / "s", RescaleIntercept=-8192)
    error = refused(tmp_path / "s")
    assert (error.kind, "the intercept is that of other images?" in error.message) == ("not_hounsfield", True)
    hu = np.full((10, 64, 64), -1000, np.int16)
    hu[:, 30:34, 30:34] = 40
    require_tissue(hu)
