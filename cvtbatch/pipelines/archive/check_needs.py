"""What a bundle needs of a manifest and the manifest lacks: told before a night's work, and not after it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.scoring import EPILEPSY
from cvtbatch.manifest import Case, Manifest, Reading


@dataclass(frozen=True, slots=True)
class Lack:
    """A thing that a bundle needs of every case, and that some cases do not have.

    Attributes:
        need: "outline", "epilepsy" or "outcome".
        columns: of the manifest that would say it; one of them is enough.
        cases: that lack it.
        first_row: manifest row of the first of them.
        message: what is lacking, for what, and in how many cases.
    """

    need: str
    columns: tuple[str, ...]
    cases: int
    first_row: int
    message: str

    def to_document(self) -> dict[str, object]:
        """Return what may be shared: all of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class _Need:
    columns: tuple[str, ...]
    words: str
    is_met: Callable[[Case, Mapping[str, object]], bool]


def check_needs(manifest: Manifest, bundle: Bundle) -> list[Lack]:
    """Return what the bundle needs to score and to validate, and cases of the manifest lack."""
    needs = _needs(bundle.description.primary)
    counts, first = dict.fromkeys(needs, 0), dict.fromkeys(needs, 0)
    for case in manifest:
        values = case.clinical_values()
        for name, need in needs.items():
            if not need.is_met(case, values):
                counts[name] += 1
                first[name] = first[name] or case.manifest_row
    return [
        Lack(
            name,
            need.columns,
            counts[name],
            first[name],
            f"the bundle needs {need.words}: {counts[name]} of {len(manifest)} cases lack it (first: row {first[name]})",
        )
        for name, need in needs.items()
        if counts[name]
    ]


def _needs(primary: Reading) -> dict[str, _Need]:
    return {
        "outline": _Need(
            ("mask", "reader", "reading"),
            f"an outline of reader {primary} to score",
            lambda case, _: any(Reading(roi.reader, roi.reading) == primary for roi in case.masked_rois()),
        ),
        "epilepsy": _Need((EPILEPSY,), f"{EPILEPSY} for the DLRN", lambda _, values: values[EPILEPSY] is not None),
        "outcome": _Need(
            ("cvt", "etiology"), "cvt or etiology to validate", lambda _, values: values["cvt"] is not None
        ),
    }
