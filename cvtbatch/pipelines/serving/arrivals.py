"""What an archive lists of studies that are wanted: their images, and the outlines that came along. Nothing is fetched for it.

Our own results in a study are no news of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cvtbatch.dicom_results.values import OUTLINE_SERIES
from cvtbatch.errors import InputError
from cvtbatch.pacs.archive import REFUSED, Archive, Series
from cvtbatch.pipelines.shared.pull_selection import Selection, find_studies, images_and_outlines
from cvtbatch.pipelines.shared.uid_key import UidKey
from cvtbatch.spec import canonical_json


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study as its archive lists it now.

    Attributes:
        study_uid: private.
        key, content: as in table `arrivals`.
        volume_hash: of the study in table `volumes`.
        series: images that are wanted, and outlines.
        instances: of these.
    """

    study_uid: str
    key: str
    content: str
    volume_hash: str
    series: tuple[Series, ...]
    instances: int

    @property
    def name(self) -> str:
        """What people are told of it."""
        return f"study {self.key[:12]}"


def list_arrivals(archive: Archive, selection: Selection, uid_key: UidKey) -> Iterator[Arrival]:
    """Yield the studies of an archive with images that are wanted.

    A study of which the archive refuses to tell is asked for again by the next call.

    Raises:
        InputError, UnavailableError: as `Archive`.
    """
    for study in find_studies(archive, selection):
        try:
            images, outlines = images_and_outlines(selection, study, archive.series(study.uid))
            if images:
                others = [one for one in outlines if one.description != OUTLINE_SERIES]
                yield _arrival(archive, study.uid, (*images, *others), uid_key)
        except InputError as error:
            if error.kind != REFUSED:
                raise


def _arrival(archive: Archive, study_uid: str, series: tuple[Series, ...], uid_key: UidKey) -> Arrival:
    counts = {one.uid: len(archive.instances(one)) if one.instances is None else one.instances for one in series}
    # No UID begins like a JSON list: none of these is a hash that stands elsewhere.
    return Arrival(
        study_uid,
        uid_key.hash(canonical_json(("arrival", study_uid))),
        uid_key.hash(canonical_json(("content", sorted(counts.items())))),
        uid_key.hash(study_uid),
        series,
        sum(counts.values()),
    )
