"""A training cohort as arrays: what a model is fitted on, one row a primary outline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cvtbatch.dlrn.arrays import Booleans, Floats, Floats32, Integers
from cvtbatch.dlrn.clinical_terms import EPILEPSY, ClinicalColumns, are_numbers, are_texts, is_yes_or_no
from cvtbatch.dlrn.pooling import Slices
from cvtbatch.errors import InputError
from cvtbatch.spec import digest
from cvtbatch.validation.icc_table import IccTable


def patient_key(center: str, patient: str) -> str:
    """Return who a patient is: the same text at another centre is another patient."""
    return f"{center}\n{patient}"


def component_names(count: int) -> tuple[str, ...]:
    """Return the names of the principal components of the embedding, the largest first."""
    return tuple(f"dl_{number:03d}" for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class RepeatedOutlines:
    """The radiomics features of second outlines, by another reader or at another time.

    Attributes:
        name: e.g. "reader B, reading 1".
        rows: (k,) the cohort's rows that were outlined again.
        radiomics: (k, R) the second outlines' values.
    """

    name: str
    rows: Integers
    radiomics: Floats


@dataclass(frozen=True, slots=True)
class Cohort:
    """Primary outlines of n cases.

    Attributes:
        keys: (n,) roi_key.
        patients: (n,) `patient_key` of each row; folds keep a patient together.
        outcome: (n,) 1 with the event, e.g. where the cause is CVT, else 0; 0 to K - 1 of several classes.
        clinical: by column (n,) of those that may enter the nomogram: numbers with NaN, or texts with None, where unknown.
        radiomics_names: (R,) names of the columns of `radiomics`.
        radiomics: (n, R) features.
        embedding: (n, E) embedding of the slice with the largest hematoma, or of all as they are pooled; (n, 0) where a fit learns
            how to pool them.
        slices: (m, E) embeddings of all hematoma-bearing slices, or those of `embedding` where these are pooled.
        slice_rows: (m,) the row that each slice belongs to.
        image_digests: (n,) digest of each row's voxels; empty texts where it is not known.
        repeats: second outlines of some rows.
        icc_table: of the radiomics features, from elsewhere.
        networks: how many numbers of an embedding are of each of several fused networks; nothing for one.
    """

    keys: tuple[str, ...]
    patients: tuple[str, ...]
    outcome: Integers
    clinical: ClinicalColumns
    radiomics_names: tuple[str, ...]
    radiomics: Floats
    embedding: Floats32
    slices: Floats32
    slice_rows: Integers
    image_digests: tuple[str, ...] = ()
    repeats: tuple[RepeatedOutlines, ...] = field(default=())
    icc_table: IccTable | None = None
    networks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        rows = len(self.keys)
        lengths = {
            "patients": len(self.patients),
            "outcome": len(self.outcome),
            **{name: len(values) for name, values in self.clinical.items()},
            "radiomics": len(self.radiomics),
            "embedding": len(self.embedding),
        }
        if wrong := {name: length for name, length in lengths.items() if length != rows}:
            raise InputError("bad_cohort", f"a cohort of {rows} rows with {wrong}")
        if len(set(self.keys)) != rows:
            raise InputError("bad_cohort", "a cohort names a row twice")
        if self.radiomics.shape[1] != len(self.radiomics_names):
            raise InputError(
                "bad_cohort", f"{self.radiomics.shape[1]} columns with {len(self.radiomics_names)} feature names"
            )
        if len(there := set(self.outcome.tolist())) < 2 or there != set(range(len(there))):
            raise InputError("one_class", "training needs cases of both outcomes, with the event and without")
        for name in filter(is_yes_or_no, self.clinical):
            if not (np.isin(self.clinical[name], (0.0, 1.0)) | np.isnan(self.clinical[name])).all():
                raise InputError("bad_value", f"{name} is neither 0 nor 1 in some rows")
        if not (np.isfinite(self.embedding).all() and np.isfinite(self.slices).all()):
            raise InputError("bad_value", "some embeddings hold values that are not finite")

    def centers_of(self, rows: Iterable[int]) -> list[str]:
        """Return the centre of each of some rows."""
        return [self.patients[row].partition("\n")[0] for row in rows]

    @property
    def centers(self) -> list[str]:
        """The centre of each row: (n,)."""
        return self.centers_of(range(len(self.patients)))

    def digest(self) -> str:
        """Return the SHA-256 of every value, as hex."""
        clinical = [values for values in self.clinical.values() if are_numbers(values)]
        arrays = (self.outcome, *clinical, self.radiomics, self.embedding, self.slices, self.slice_rows)
        texts = (*self.keys, *self.patients, *self.radiomics_names, *self.image_digests, *self._clinical_texts())
        repeats = [part for r in self.repeats for part in (r.name, r.rows.tobytes(), r.radiomics.tobytes())]
        table = [] if self.icc_table is None else [self.icc_table.sha256]
        fused = [",".join(map(str, self.networks))] if self.networks else []
        return digest(*texts, *(np.ascontiguousarray(array).tobytes() for array in arrays), *repeats, *table, *fused)

    def _clinical_texts(self) -> list[str]:
        """Return names and texts of the clinical columns; those of the study have neither, and so their digest of before."""
        if tuple(self.clinical) == (EPILEPSY,):
            return []
        texts = [values for values in self.clinical.values() if are_texts(values)]
        return [*self.clinical, *(repr(value) for values in texts for value in values)]

    def of_keys(self, keys: Sequence[str]) -> "Cohort":
        """Return the cohort of some of its rows, in their order here."""
        if tuple(keys) == self.keys:
            return self
        wanted = set(keys)
        rows = np.array([row for row, key in enumerate(self.keys) if key in wanted], np.int64)
        place = {int(row): number for number, row in enumerate(rows)}
        slices = self.slices_of(rows)
        repeats = []
        for repeat in self.repeats:
            kept = np.isin(repeat.rows, rows)
            moved = np.array([place[int(row)] for row in repeat.rows[kept]], np.int64)
            repeats.append(RepeatedOutlines(repeat.name, moved, repeat.radiomics[kept]))
        return replace(
            self,
            keys=tuple(self.keys[row] for row in rows),
            patients=tuple(self.patients[row] for row in rows),
            outcome=self.outcome[rows],
            clinical={name: values[rows] for name, values in self.clinical.items()},
            radiomics=self.radiomics[rows],
            embedding=self.embedding[rows],
            slices=self.slices[slices],
            slice_rows=np.array([place[int(row)] for row in self.slice_rows[slices]], np.int64),
            image_digests=tuple(self.image_digests[row] for row in rows) if self.image_digests else (),
            repeats=tuple(repeats),
        )

    def stacked(self, rows: Integers) -> Slices:
        """Return the slices of some rows, in the order of the rows."""
        order = np.argsort(self.slice_rows, kind="stable")
        counts = np.bincount(self.slice_rows, minlength=len(self.keys))
        first = np.cumsum(counts) - counts
        places = [order[first[row] : first[row] + counts[row]] for row in rows]
        starts = np.concatenate([[0], np.cumsum(counts[rows])]).astype(np.int64)
        return Slices(self.slices[np.concatenate(places)], starts)

    def slices_of(self, rows: Integers) -> Booleans:
        """Say which slices belong to some rows: (m,)."""
        among: Booleans = np.isin(self.slice_rows, rows)
        return among
