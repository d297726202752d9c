"""Headers of the slices that a volume was made of, read again: what the store never keeps."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pydicom

from cvtbatch.counts import counted
from cvtbatch.errors import FormatError, UnavailableError
from cvtbatch.ingest.dicom_headers import begins_as_dicom
from cvtbatch.ingest.sources import Source
from cvtbatch.ingest.tags import bare_uid, quiet

_START_BYTES = 1024


def read_instance_headers(
    path: Path, instances: Sequence[tuple[str, int]], names: Collection[str]
) -> list[pydicom.Dataset]:
    """Return some attributes of each slice's object, in the order of the slices. They are private.

    Args:
        path: the series' folder, archive or file.
        instances: SOPInstanceUID and frame of every slice (`Acquisition.instances`).
        names: keywords of the attributes.

    Raises:
        InputError: the source cannot be read.
        FormatError: "source_changed": a slice is there no more.
        UnavailableError: the system cannot give the source now.
    """
    wanted = {uid for uid, _ in instances}
    found: dict[str, pydicom.Dataset] = {}
    with quiet():
        for _, file in Source(path).files():
            start = file.read(_START_BYTES)
            file.seek(0)
            if not begins_as_dicom(start):
                continue
            try:
                header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=list(names))
                uid = bare_uid(str(header.get("SOPInstanceUID", "")))
            except UnavailableError:
                raise
            except Exception:  # what is damaged is no slice of the volume, which was read just now
                continue
            if uid in wanted:
                found.setdefault(uid, header)
    if wanted - found.keys():
        missing = sorted(wanted - found.keys())
        raise FormatError(
            "source_changed",
            f"{counted(len(missing), 'slice')} of the image not there any more; extract again",
            ", ".join(missing),
        )
    return [found[uid] for uid, _ in instances]
