"""Whose study an object is: what a pattern says of its path, and else what DICOM says. Pure."""

from pathlib import PurePath
from typing import NamedTuple

from cvtbatch.errors import InputError
from cvtbatch.pipelines.indexing.path_pattern import PathPattern

# Folders that are looked at before a pattern that fits none of them is refused.
_ENOUGH_FOLDERS = 20
_SHOWN = 5


class StudyKey(NamedTuple):
    """A study: ids as the hospital has them, which are private; no patient id where none is known."""

    center: str
    patient_id: str
    study_id: str


class StudyRule:
    """What a study is, and how often that had to be guessed.

    Args:
        center: of all studies; the pattern's place for it comes first.

    Attributes:
        misfits: folders with CT images that the pattern does not fit.
        fitted: how many it fits.
        without_patient, without_study: folders whose objects have no PatientID, no StudyInstanceUID.

    Raises:
        InputError: "no_center", nothing says what the centre is.
    """

    def __init__(self, pattern: PathPattern | None, center: str | None) -> None:
        if center is None and (pattern is None or "{center}" not in pattern.text):
            raise InputError(
                "no_center",
                "nothing says which centre the studies are of, and folders are not guessed at: give --center NAME, or a --pattern "
                "with {center}, such as '{center}/{patient}/{study}'",
            )
        self._pattern, self._center = pattern, center
        self._looked_at: list[str] = []
        self.misfits: list[str] = []
        self.fitted = self.without_patient = self.without_study = 0

    def key(self, folder: str, patient_id: str, study_uid: str, has_ct: bool = True) -> StudyKey | None:
        """Return the study of objects in a folder; None where its path does not fit the pattern.

        Args:
            folder: path below the root.
            patient_id, study_uid: as the objects have them, empty where they have none.
            has_ct: whether there are CT images among them.
        """
        center, patient, study = self._center, None, None
        if self._pattern is not None:
            found = self._pattern.match(PurePath(folder))
            if found is None:
                self.misfits += [folder] if has_ct else []
                return None
            self.fitted += 1
            center, patient, study = found.center or center, found.patient, found.study
        patient = patient if patient is not None else patient_id
        self.without_patient += not patient
        self.without_study += not (study or study_uid)
        return StudyKey(center or "", patient, study or study_uid or f"folder {folder}")

    def require_fit(self, folder: str) -> None:
        """Look at the path of a folder with CT images, while there are few.

        Raises:
            InputError: "pattern_misfit", the pattern fits none of the first ones.
        """
        if self._pattern is None or self.fitted or len(self._looked_at) >= _ENOUGH_FOLDERS:
            return
        if self._pattern.match(PurePath(folder)) is not None:
            self.fitted += 1
            return
        self._looked_at.append(folder)
        if len(self._looked_at) == _ENOUGH_FOLDERS:
            raise self._misfit(self._looked_at)

    def require_any_fit(self) -> None:
        """Refuse a pattern that fits no folder.

        Raises:
            InputError: "pattern_misfit".
        """
        if self.misfits and not self.fitted:
            raise self._misfit(self.misfits)

    def _misfit(self, folders: list[str]) -> InputError:
        shown = ", ".join(repr(path or ".") for path in folders[:_SHOWN])
        text = self._pattern.text if self._pattern else ""
        return InputError(
            "pattern_misfit",
            f"the pattern {text!r} fits none of the folders with CT images; write one part of it for each folder on the way, from "
            "the folder that is indexed down",
            f"the first paths: {shown}",
        )
