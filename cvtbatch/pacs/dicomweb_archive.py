"""An archive by DICOMweb: searched by QIDO-RS, fetched by WADO-RS (PS3.18 10.6 and 10.4)."""

from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from typing import Any
from urllib.parse import quote

import requests

from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import Dicomweb
from cvtbatch.pacs.archive import REFUSED, Series, Study, StudyQuery, Take, ask_for_each
from cvtbatch.pacs.dicomweb import open_session
from cvtbatch.pacs.multipart import split_parts
from cvtbatch.pacs.retries import Retries, away

PAGE = 1000
"""Results that are asked for at once."""
_CHUNK_BYTES = 1 << 16
_JSON = {"Accept": "application/dicom+json"}
# As they are stored: to decompress them is not the archive's business.
_FILES = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_DATE, _ACCESSION, _STUDY_DESCRIPTION = "00080020", "00080050", "00081030"
_MODALITY, _BODY_PART, _SERIES_DESCRIPTION, _COUNT = "00080060", "00180015", "0008103E", "00201209"
Row = Mapping[str, Any]
"""An answer in DICOM JSON (PS3.18 F.2), by tag."""


class DicomwebArchive:
    """See `Archive`.

    Args:
        retries: of questions.
    """

    def __init__(self, address: Dicomweb, retries: Retries) -> None:
        self._url, self._retries = address.url, retries
        self._session = open_session(address, Retries(attempts=1))

    def studies(self, query: StudyQuery) -> Iterator[Study]:
        for row in self._search("studies", _STUDY, query.keys(), (_STUDY_DESCRIPTION,)):
            yield Study(_text(row, _STUDY), _text(row, _DATE), _text(row, _ACCESSION), _text(row, _STUDY_DESCRIPTION))

    def series(self, study_uid: str) -> Sequence[Series]:
        rows = self._search(f"studies/{study_uid}/series", _SERIES, {}, (_BODY_PART, _SERIES_DESCRIPTION, _COUNT))
        return [
            Series(
                study_uid,
                _text(row, _SERIES),
                _text(row, _MODALITY),
                _text(row, _BODY_PART),
                _text(row, _SERIES_DESCRIPTION),
                int(count) if (count := _text(row, _COUNT)).isdecimal() else None,
            )
            for row in rows
        ]

    def instances(self, series: Series) -> Sequence[str]:
        path = f"studies/{series.study_uid}/series/{series.uid}/instances"
        return [_text(row, _INSTANCE) for row in self._search(path, _INSTANCE, {}, ())]

    def metadata(self, series: Series) -> Sequence[Row]:
        """Return the headers of all instances of a series, without their pixels, as DICOM JSON; errors as of every question."""
        return self._retries.run(lambda: self._page(f"studies/{series.study_uid}/series/{series.uid}/metadata", {}))

    def fetch(self, series: Series, sop_uids: Sequence[str], take: Take, *, whole: bool) -> None:
        path = f"studies/{series.study_uid}/series/{series.uid}"
        wanted = [path] if whole else [f"{path}/instances/{uid}" for uid in sop_uids]
        ask_for_each(wanted, lambda one: self._retrieve(one, take))

    def close(self) -> None:
        self._session.close()

    def _retrieve(self, path: str, take: Take) -> None:
        with self._get(path, {}, _FILES) as response:
            try:
                kind = Message()
                kind["Content-Type"] = response.headers.get("Content-Type", "")
                chunks = response.iter_content(_CHUNK_BYTES)
                if kind.get_content_type() == "application/dicom":
                    take(b"".join(chunks))
                elif boundary := kind.get_boundary():
                    for content in split_parts(chunks, boundary):
                        take(content)
                else:
                    raise _no_dicomweb(f"it answers with {kind.get_content_type()} in place of DICOM files")
            except requests.RequestException as error:
                raise away("the connection to the archive broke off", str(error)) from None

    def _search(self, path: str, key: str, filters: Mapping[str, str], fields: Sequence[str]) -> Iterator[Row]:
        """Yield what is found, a page after the other, until one has nothing new: an archive may give fewer than are asked for.

        Args:
            key: tag of the UID that tells results apart.
        """
        seen = set[str]()
        asked = {**filters, **({"includefield": ",".join(fields)} if fields else {}), "limit": str(PAGE)}
        while True:
            page = self._retries.run(lambda: self._page(path, {**asked, "offset": str(len(seen))}))
            new = [row for row in page if _text(row, key) and _text(row, key) not in seen]
            seen.update(_text(row, key) for row in new)
            yield from new
            if not new and len(page) >= PAGE:
                raise InputError(
                    REFUSED,
                    f"the archive gives its first {len(page)} results again and none of the others: narrow the selection, by "
                    "--study-date for one",
                )
            if not new:
                return

    def _page(self, path: str, asked: Mapping[str, str]) -> Sequence[Row]:
        with self._get(path, asked, _JSON) as response:
            if response.status_code == requests.codes.no_content:
                return []
            try:
                found = response.json()
            except ValueError:
                found = None
            except requests.RequestException as error:
                raise away("the connection to the archive broke off", str(error)) from None
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise _no_dicomweb("its answer is no list of DICOM JSON")
        return found

    def _get(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> requests.Response:
        # Some archives take a value as it stands in the URL: what may stay unquoted does.
        query = "&".join(f"{name}={quote(value, safe='-,.:*')}" for name, value in asked.items())
        url = f"{self._url}/{path}{f'?{query}' if query else ''}"
        response = self._session.get(url, headers=dict(headers), stream=True)
        if not response.ok:
            response.close()
            raise InputError(REFUSED, f"the archive refuses what was asked (HTTP {response.status_code})", url)
        return response


def _no_dicomweb(why: str) -> InputError:
    return InputError(REFUSED, f"this is no DICOMweb, {why}: check the address, and that no log-in page is before it")


def _text(row: Row, tag: str) -> str:
    """Return the first value of an attribute of DICOM JSON (PS3.18 F.2), as text."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    return "" if value is None else str(value).strip()
