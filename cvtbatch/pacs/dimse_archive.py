"""An archive by DIMSE: searched by C-FIND, fetched by C-GET, or by C-MOVE to a port of ours (PS3.4 annex C)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pydicom
from pydicom import uid

from cvtbatch.errors import InputError
from cvtbatch.pacs.addresses import Dimse
from cvtbatch.pacs.archive import REFUSED, Series, Study, StudyQuery, Take, ask_for_each
from cvtbatch.pacs.dimse import AE_TITLE, associate, check_status
from cvtbatch.pacs.retries import Retries, away
from cvtbatch.pacs.storage_scp import Arrivals

# Study Root Query/Retrieve Information Model: FIND, MOVE, GET (PS3.4 C.6.2).
_FIND, _MOVE, _GET = (uid.UID(f"1.2.840.10008.5.1.4.1.2.2.{number}") for number in (1, 2, 3))
# What is asked for where an archive does not say of which classes a series is: of what it may hold, that which is of use here.
_USUAL_CLASSES = tuple(
    uid.UID(f"1.2.840.10008.5.1.4.1.1.{number}")
    for number in ("2", "2.1", "2.2", "7", "66.4", "481.3", "88.22", "88.33", "88.34", "11.1", "88.67")
)
_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
)
# PS3.8 9.3.2.2: contexts of an association, of which one is for asking.
_MOST_CLASSES = 127 // len(_SYNTAXES)
# PS3.4 C.4.2.1.5: the destination of C-MOVE.
_UNKNOWN_DESTINATION = 0xA801
# PS3.4 C.4.3.1.4: none of the objects could be sent.
_NONE_SENT = 0xA702
_BY_MOVE = "give --move-port, and have our AE title, machine and port entered there, for C-MOVE"


class DimseArchive:
    """See `Archive`.

    Args:
        retries: of questions.
        ae_title: ours.
        arrivals: where the archive is asked to send to; None for C-GET.
    """

    def __init__(
        self, address: Dimse, retries: Retries, ae_title: str = AE_TITLE, arrivals: Arrivals | None = None
    ) -> None:
        self._address, self._retries, self._ae_title, self._arrivals = address, retries, ae_title, arrivals
        # Of the instances that were listed last, as far as the archive says.
        self._classes: dict[str, uid.UID] = {}

    def studies(self, query: StudyQuery) -> Iterator[Study]:
        keys = dict.fromkeys(("StudyInstanceUID", "StudyDate", "AccessionNumber", "StudyDescription"), "")
        for row in self._find("STUDY", {**keys, **query.keys()}):
            words = (_text(row, name) for name in ("StudyDate", "AccessionNumber", "StudyDescription"))
            yield Study(_text(row, "StudyInstanceUID"), *words)

    def series(self, study_uid: str) -> Sequence[Series]:
        names = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription")
        keys = {"StudyInstanceUID": study_uid, **dict.fromkeys((*names, "NumberOfSeriesRelatedInstances"), "")}
        found = []
        for row in self._find("SERIES", keys):
            series_uid, modality, body_part, description = (_text(row, name) for name in names)
            count = _text(row, "NumberOfSeriesRelatedInstances")
            instances = int(count) if count.isdecimal() else None
            found.append(Series(study_uid, series_uid, modality, body_part, description, instances))
        return found

    def instances(self, series: Series) -> Sequence[str]:
        rows = self._find("IMAGE", {**_keys(series), "SOPInstanceUID": "", "SOPClassUID": ""})
        classes = ((_text(row, "SOPInstanceUID"), _text(row, "SOPClassUID")) for row in rows)
        self._classes = {one: uid.UID(class_uid) for one, class_uid in classes if class_uid}
        return list(dict.fromkeys(_text(row, "SOPInstanceUID") for row in rows))

    def fetch(self, series: Series, sop_uids: Sequence[str], take: Take, *, whole: bool) -> None:
        arrivals = self._arrivals or Arrivals()
        unsent = 0
        with arrivals.expecting(sop_uids, take) as delivery, self._retrieving(arrivals) as (answers, refused):
            withheld = {one for one in sop_uids if self._classes.get(one) in refused}
            if whole and not withheld:
                wanted = [_identifier("SERIES", _keys(series))]
            else:
                given = (one for one in sop_uids if one not in withheld)
                wanted = [_identifier("IMAGE", {**_keys(series), "SOPInstanceUID": one}) for one in given]

            def ask(identifier: pydicom.Dataset) -> None:
                nonlocal unsent
                for status, _ in answers(identifier):
                    delivery.raise_refusal()
                    if status.get("Status") == _NONE_SENT:
                        unsent += 1
                        return
                    _check(status, self._ae_title)
                unsent += int(status.get("NumberOfFailedSuboperations") or 0)

            ask_for_each(wanted, ask)
        if withheld:
            names = " and ".join(sorted(one.name for one in refused))
            raise InputError(REFUSED, f"the archive hands out no objects of the class {names} by C-GET: {_BY_MOVE}")
        if unsent:
            raise away(f"the archive could not send {unsent} of the objects that it was asked for")

    def close(self) -> None:
        """Nothing is open between two questions."""

    @contextmanager
    def _retrieving(self, arrivals: Arrivals) -> "Iterator[tuple[_Answers, frozenset[uid.UID]]]":
        """Yield what asks for objects, and the classes of the series of which the archive sends none in this way."""
        from pynetdicom import evt
        from pynetdicom.presentation import build_context, build_role

        if self._arrivals is not None:
            with associate(self._address, [build_context(_MOVE)], self._ae_title) as association:
                yield lambda identifier: association.send_c_move(identifier, self._ae_title, _MOVE), frozenset()
            return
        known = frozenset(self._classes.values())
        classes = sorted(known) or _USUAL_CLASSES
        if len(classes) > _MOST_CLASSES:
            raise InputError(
                REFUSED,
                f"the series has objects of {len(classes)} classes, and C-GET can ask for {_MOST_CLASSES}: {_BY_MOVE}",
            )
        contexts = [build_context(one, syntax) for one in classes for syntax in _SYNTAXES]
        roles = [build_role(one, scp_role=True) for one in classes]
        handlers = [(evt.EVT_C_STORE, arrivals.on_store)]
        with associate(
            self._address, [build_context(_GET), *contexts], self._ae_title, roles=roles, handlers=handlers
        ) as association:
            accepted = association.accepted_contexts
            if not any(context.abstract_syntax == _GET for context in accepted):
                raise InputError("pacs_denied", f"the archive does not hand out objects by C-GET: {_BY_MOVE}")
            sent = {context.abstract_syntax for context in accepted if context.as_scp}
            yield lambda identifier: association.send_c_get(identifier, _GET), known - sent

    def _find(self, level: str, keys: Mapping[str, str]) -> Sequence[pydicom.Dataset]:
        return self._retries.run(lambda: self._found(_identifier(level, keys)))

    def _found(self, identifier: pydicom.Dataset) -> Sequence[pydicom.Dataset]:
        from pynetdicom.presentation import build_context

        rows = []
        with associate(self._address, [build_context(_FIND)], self._ae_title) as association:
            for status, row in association.send_c_find(identifier, _FIND):
                _check(status, self._ae_title)
                if row is not None:
                    rows.append(row)
        return rows


_Answers = Callable[[pydicom.Dataset], Iterator[tuple[pydicom.Dataset, pydicom.Dataset | None]]]


def _keys(series: Series) -> dict[str, str]:
    return {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.uid}


def _identifier(level: str, keys: Mapping[str, str]) -> pydicom.Dataset:
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(identifier, name, value)
    return identifier


def _check(status: pydicom.Dataset, ae_title: str) -> None:
    """See `check_status`; what hints at our title not being known there is told so."""
    if "Status" not in status:
        raise away(
            f"the archive broke the association off, or gave no answer in time; some do so to an AE title, as ours {ae_title!r}, "
            "that they do not know"
        )
    if status.Status == _UNKNOWN_DESTINATION:
        raise InputError(
            "pacs_denied",
            f"the archive knows no place to send to by our AE title {ae_title!r}: have it entered there, with this machine and the "
            "port of --move-port",
        )
    check_status(status)


def _text(row: pydicom.Dataset, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()
