"""The features of a stored mask on a worker, and their comparison with stock PyRadiomics: the same for every outline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.engine import require_memory
from cvtbatch.errors import InternalError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.pipelines.extraction.case_plan import Work
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.guard import About, Stopped, guarded
from cvtbatch.pipelines.extraction.limits import feature_bytes
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.radiomics import AuditResult, Engine, audit_features, roi_features
from cvtbatch.store import FeatureStore, equal_to


@dataclass(frozen=True, slots=True)
class MaskedRoi:
    """An outline whose mask is stored.

    Attributes:
        identity: what every row of it says of it.
        about: what a failure of it would be about.
        audited: values that are computed for it are compared with stock PyRadiomics.
        mask_zyx: uint8, on the volume's grid.
    """

    roi_key: str
    identity: Row
    about: About
    audited: bool
    mask_zyx: npt.NDArray[np.uint8]
    input_digest: str


class FeatureStep:
    """Computes the features of outlines, one after the other.

    Attributes:
        rows: of the table `radiomics`, without book-keeping.
        audits: what comparisons with stock PyRadiomics gave.
        failures: values that are stored and do not agree with stock PyRadiomics.
        succeeded: keys of audits that agree.
    """

    def __init__(self, work: Work, store: FeatureStore, meter: Meter) -> None:
        self._work, self._store, self._meter = work, store, meter
        self.rows: list[Row] = []
        self.audits: list[AuditResult] = []
        self.failures: list[Failure] = []
        self.succeeded: list[FailureKey] = []

    def add(self, roi: MaskedRoi, hu_zyx: npt.NDArray[np.int16], grid: Grid, featured: bool) -> None:
        """Compute the features of an outline, and compare them if it is audited.

        Args:
            featured: they are stored, and only compared.

        Raises:
            Stopped: they cannot be computed.
            NeedsMemory: this process may not take what they need.
        """
        work = self._work
        engine: Engine = "pyradiomics" if roi.audited else work.engine
        require_memory(feature_bytes(int(np.count_nonzero(roi.mask_zyx)), engine))
        ct, mask = to_image(hu_zyx, grid), to_image(roi.mask_zyx, grid)
        if featured:
            self._audit(roi, ct, mask, self._stored_values(roi))
            return
        key = FailureKey(roi.roi_key, work.radiomics_spec_id)
        features = guarded(
            self._meter, "radiomics", key, roi.about, lambda: roi_features(ct, mask, work.profile, work.engine)
        )
        if roi.audited:
            self._audit(roi, ct, mask, features.values)
        self.rows.append(
            {
                **roi.identity,
                "radiomics_spec_id": work.radiomics_spec_id,
                "volume_spec_id": work.volume_spec_id,
                "input_digest": roi.input_digest,
                "engine": work.engine,
                "filter_scale_hu": features.filter_scale_hu,
                "undefined_features": features.undefined(),
                "degenerate": list(features.degenerate),
                **features.values,
            }
        )

    def _audit(self, roi: MaskedRoi, ct: sitk.Image, mask: sitk.Image, values: Mapping[str, float]) -> None:
        """Compare values with stock PyRadiomics; a deviation beyond the contract is a failure beside the stored values."""
        work = self._work
        key = FailureKey(roi.roi_key, work.radiomics_spec_id, "audit")
        try:
            audit = guarded(
                self._meter, "audit", key, roi.about, lambda: audit_features(ct, mask, work.profile, values)
            )
            self.audits.append(audit)
            guarded(self._meter, "audit", key, roi.about, lambda: _require_parity(audit))
        except Stopped as stopped:
            of_values = replace(stopped.failure.key, input_digest=roi.input_digest)
            self.failures.append(replace(stopped.failure, key=of_values))
        else:
            self.succeeded.append(replace(key, input_digest=roi.input_digest))

    def _stored_values(self, roi: MaskedRoi) -> dict[str, float]:
        """Return the values that the store has: they, and not what an engine gives today, are what an audit is about."""
        wanted = {
            "roi_key": roi.roi_key,
            "radiomics_spec_id": self._work.radiomics_spec_id,
            "input_digest": roi.input_digest,
        }
        [values] = self._store.table("radiomics").read(contracts.feature_names(), equal_to(wanted)).to_pylist()
        return dict(values)


def _require_parity(audit: AuditResult) -> None:
    if audit.broken:
        voxels = ", ".join(f"{name} {count}" for name, count in audit.differing_voxels.items()) or "none"
        raise InternalError(
            "parity_broken",
            f"{audit.beyond} features lie beyond the parity contract; the worst, {audit.worst_feature}, is {audit.value!r} "
            f"where PyRadiomics gives {audit.stock!r}; voxels whose gray level or LBP code differs: {voxels}",
        )
