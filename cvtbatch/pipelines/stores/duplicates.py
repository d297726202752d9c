"""Cases that may be of one patient, found across centres."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.store import Fingerprints, View

Document = dict[str, object]
# By which rows are compared, and whose they are.
IMAGE, PATIENT, CASE = ("image_digest",), ("patient",), ("case_key",)
OF_VOLUMES, OF_CASES = (CASE, IMAGE), (CASE, PATIENT)


def find_duplicates(
    view: View, volumes: Mapping[tuple[str, ...], Fingerprints], cases: Mapping[tuple[str, ...], Fingerprints]
) -> Document:
    """Return cases that have the same image, and as a hint those of several centres that have the same `patient`.

    Cases have the same image where their decoded voxels and geometry are equal. A patient is known within a centre only, and
    texts that merely repeat the case id, as is the default, say nothing of another centre's.

    Args:
        volumes: fingerprints of the current volumes by `OF_VOLUMES`.
        cases: of the current cases by `OF_CASES`.
    """
    of_one = view.shared("volumes", ["case_key", "center", "image_digest"], volumes[IMAGE], volumes[CASE])
    alike = view.shared("cases", ["case_key", "center", "case_id", "patient"], cases[PATIENT], cases[CASE])
    named = alike.filter(pc.not_equal(alike["patient"], alike["case_id"]))
    same_image = _groups(of_one, "image_digest", "case_key")
    same_patient = _groups(named, "patient", "center")
    return {
        "same_image": [{"cases": keys, "across_centers": across} for keys, across in same_image],
        "same_patient_text": [{"cases": keys} for keys, across in same_patient if across],
    }


def _groups(rows: pa.Table, by: str, apart: str) -> list[tuple[list[str], bool]]:
    """Return the cases that share a value, where they are several by `apart`, and whether they are of several centres."""
    # Grouped by Arrow: a million cases may share an image, and as rows in Python they take five times the memory.
    counts = [(name, "count_distinct") for name in ("case_key", "center")]
    groups = rows.group_by(by, use_threads=False).aggregate([("case_key", "distinct"), *counts])
    groups = groups.filter(pc.greater(groups[f"{apart}_count_distinct"], 1))
    across = pc.greater(groups["center_count_distinct"], 1).to_pylist()
    return sorted(zip(map(sorted, groups["case_key_distinct"].to_pylist()), across, strict=True))
