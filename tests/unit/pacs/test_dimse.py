"""Answers of an application entity (PS3.7 annex C)."""

import pydicom
import pytest

from cvtbatch.errors import CvtbatchError
from cvtbatch.pacs.dimse import check_status


def status(code: int | None) -> pydicom.Dataset:
    found = pydicom.Dataset()
    if code is not None:
        found.Status = code
    return found


@pytest.mark.parametrize("code", [0x0000, 0xB000, 0xB006, 0xB007, 0xFF00, 0xFF01])
def test_success_warning_and_pending_pass(code: int) -> None:
    check_status(status(code))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((None, "pacs_unavailable"), (0xA700, "pacs_unavailable"), (0xA702, "pacs_unavailable")),
        *((0xA900, "pacs_refused"), (0xC000, "pacs_refused"), (0x0122, "pacs_refused"), (0xFE00, "pacs_refused")),
    ],
)
def test_all_else_is_told(code: int | None, kind: str) -> None:
    with pytest.raises(CvtbatchError) as raised:
        check_status(status(code))
    assert raised.value.kind == kind
    assert code is None or f"{code:04X}H" in raised.value.message
