"""The values of a stored mask on a worker: features, compared with stock PyRadiomics, and what else describes an outline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.engine import require_memory
from cvtbatch.errors import InternalError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.pipelines.extraction.case_plan import FeatureWork, ValueWork, Work
from cvtbatch.pipelines.extraction.case_result import Row
from cvtbatch.pipelines.extraction.description_work import DescriptionWork
from cvtbatch.pipelines.extraction.descriptions import describe
from cvtbatch.pipelines.extraction.failure import Failure, FailureKey
from cvtbatch.pipelines.extraction.guard import About, Stopped, guarded
from cvtbatch.pipelines.extraction.limits import description_bytes, feature_bytes, image_bytes, whole_volume_bytes
from cvtbatch.pipelines.extraction.task_cost import Meter
from cvtbatch.radiomics import AuditResult, Engine, audit_features, roi_features
from cvtbatch.store import FEATURES, ArrayStore


@dataclass(frozen=True, slots=True)
class MaskedRoi:
    """An outline whose mask is stored.

    Attributes:
        identity: what every row of it says of it.
        about: what a failure of it would be about.
        mask_zyx: uint8, on the grid on which its features are computed.
    """

    roi_key: str
    identity: Row
    about: About
    mask_zyx: npt.NDArray[np.uint8]
    input_digest: str


class FeatureStep:
    """Computes the values of outlines, one after the other.

    Attributes:
        rows: by table, without book-keeping.
        audits: what comparisons with stock PyRadiomics gave.
        failures: values that are stored and do not agree with stock PyRadiomics.
        succeeded: keys of audits that agree.
    """

    def __init__(self, work: Work, store: ArrayStore, meter: Meter) -> None:
        self._volume_spec_id, self._store, self._meter = work.volume_spec_id, store, meter
        self.rows: dict[str, list[Row]] = {part.table: [] for part in work.values}
        self.audits: list[AuditResult] = []
        self.failures: list[Failure] = []
        self.succeeded: list[FailureKey] = []

    @property
    def computed(self) -> bool:
        """Whether any values were."""
        return any(self.rows.values())

    def add(
        self,
        roi: MaskedRoi,
        work: ValueWork,
        hu_zyx: npt.NDArray[np.int16] | npt.NDArray[np.float32],
        grid: Grid,
        *,
        featured: bool,
        audited: bool,
    ) -> None:
        """Compute what a work asks for of an outline, and compare features if they are audited.

        Args:
            hu_zyx, grid: of the stored volume, taken as float64, or where the set is of the source's grid, of the source, taken
                with its own pixel type as PyRadiomics takes an image.
            featured: they are stored, and only compared.
            audited: they are compared with stock PyRadiomics.

        Raises:
            Stopped: they cannot be computed.
            NeedsMemory: this process may not take what they need.
        """
        if isinstance(work, DescriptionWork):
            self._describe(roi, work, np.asarray(hu_zyx, dtype=np.int16), grid)
            return
        engine: Engine = "pyradiomics" if audited else work.engine
        as_given = work.grid == "source"
        whole_bytes = whole_volume_bytes(grid, work.feature_set, engine) + (image_bytes(grid) if as_given else 0)
        require_memory(feature_bytes(int(np.count_nonzero(roi.mask_zyx)), engine) + whole_bytes)
        ct, mask = to_image(hu_zyx, grid), to_image(roi.mask_zyx, grid)
        if featured:
            self._audit(roi, work, ct, mask, self._stored_values(roi, work))
            return
        key = FailureKey(roi.roi_key, work.radiomics_spec_id)
        features = guarded(
            self._meter,
            "radiomics",
            key,
            roi.about,
            lambda: roi_features(ct, mask, work.feature_set, work.engine, as_given=as_given),
        )
        if audited:
            self._audit(roi, work, ct, mask, features.values)
        self.rows[work.table].append(
            {
                **self._keys(roi, "radiomics", work),
                "engine": features.engine,
                "filter_scale_hu": features.filter_scale_hu,
                "undefined_features": features.undefined(),
                "degenerate": list(features.degenerate),
                FEATURES: features.vector(),
            }
        )

    def _describe(self, roi: MaskedRoi, work: DescriptionWork, hu_zyx: npt.NDArray[np.int16], grid: Grid) -> None:
        """Compute the values of a table that describes outlines."""
        require_memory(description_bytes(grid))
        key = FailureKey(roi.roi_key, work.spec_id)
        values = guarded(self._meter, work.table, key, roi.about, lambda: describe(work, hu_zyx, roi.mask_zyx, grid))
        self.rows[work.table].append({**self._keys(roi, work.table, work), **values})

    def _keys(self, roi: MaskedRoi, kind: str, work: ValueWork) -> Row:
        """Return what a row of values says of its outline, its specification and its input."""
        return {
            **roi.identity,
            f"{kind}_spec_id": work.spec_id,
            "volume_spec_id": self._volume_spec_id,
            "input_digest": roi.input_digest,
        }

    def _audit(
        self, roi: MaskedRoi, work: FeatureWork, ct: sitk.Image, mask: sitk.Image, values: Mapping[str, float]
    ) -> None:
        """Compare values with stock PyRadiomics; a deviation beyond the contract is a failure beside the stored values."""
        key, as_given = FailureKey(roi.roi_key, work.radiomics_spec_id, "audit"), work.grid == "source"
        try:
            audit = guarded(
                self._meter,
                "audit",
                key,
                roi.about,
                lambda: audit_features(ct, mask, work.feature_set, values, as_given=as_given),
            )
            self.audits.append(audit)
            guarded(self._meter, "audit", key, roi.about, lambda: _require_parity(audit))
        except Stopped as stopped:
            of_values = replace(stopped.failure.key, input_digest=roi.input_digest)
            self.failures.append(replace(stopped.failure, key=of_values))
        else:
            self.succeeded.append(replace(key, input_digest=roi.input_digest))

    def _stored_values(self, roi: MaskedRoi, work: FeatureWork) -> dict[str, float]:
        """Return the values that the store has: they, and not what an engine gives today, are what an audit is about."""
        wanted = {
            "roi_key": roi.roi_key,
            "radiomics_spec_id": work.radiomics_spec_id,
            "input_digest": roi.input_digest,
        }
        # Late: no other work of a worker looks at tables.
        from cvtbatch.store import FeatureStore, equal_to

        table = FeatureStore(self._store.location.url).table(work.table)
        [values] = table.read(table.contract.features, equal_to(wanted)).to_pylist()
        return dict(values)


def _require_parity(audit: AuditResult) -> None:
    if audit.broken:
        voxels = ", ".join(f"{name} {count}" for name, count in audit.differing_voxels.items()) or "none"
        raise InternalError(
            "parity_broken",
            f"{audit.beyond} features lie beyond the parity contract; the worst, {audit.worst_feature}, is {audit.value!r} "
            f"where PyRadiomics gives {audit.stock!r}; voxels whose gray level or LBP code differs: {voxels}",
        )
