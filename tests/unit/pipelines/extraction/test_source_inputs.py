"""The sources of a case for a set on their own grid: kept, read again, and not what was stored."""

from pathlib import Path

import pytest

from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.failure import FailureKey
from cvtbatch.pipelines.extraction.guard import About, Stopped
from cvtbatch.pipelines.extraction.source_inputs import SourceInputs
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.spec import digest
from tests.support.archives import tiny_archive

KEY, ABOUT = FailureKey("A/000/hematoma/A/1", "rad-of-the-set"), About("fingerprint", 2)


def test_what_was_decoded_is_not_read_again_and_what_has_changed_is_refused(tmp_path: Path) -> None:
    tiny_archive(tmp_path, 1)
    [case] = read_manifest(tmp_path / "manifest.csv")
    [roi] = case.masked_rois()
    source = read_volume(case)
    mask = read_mask(roi, lambda: ImageSlices.of(source))
    image_digest, input_digest = source.image_digest(), digest(source.image_digest(), mask.mask_digest())
    for kept in (True, False):
        inputs = SourceInputs(case, Meter(), wanted=True)
        if kept:
            inputs.keep_image(image_digest, source)
            inputs.keep_mask(roi.roi_key, mask.mask_digest(), mask)
        found = inputs.of_roi(roi, image_digest, input_digest, KEY, ABOUT)
        assert inputs.decoded is not kept
        assert (found.hu_zyx == source.hu_zyx).all()
        assert (found.mask_zyx == mask.voxels_zyx).all()
    for stored, what in (((image_digest, "another"), "outline"), (("another", input_digest), "image")):
        with pytest.raises(Stopped) as stopped:
            inputs.of_roi(roi, *stored, KEY, ABOUT)
        failure = stopped.value.failure
        assert (failure.key, failure.kind, failure.source_fingerprint) == (KEY, "source_changed", "fingerprint")
        assert failure.message == f"the {what} is not the one that was stored: run again with --verify-inputs"
