"""Parts of a multipart reply, however it arrives; the standard library's parser of mail says what they are."""

import email
import random

import pytest

from cvtbatch.errors import UnavailableError
from cvtbatch.pacs.multipart import split_parts

PARTS = [b"plain", b"", b"\r\n--other\r\n\r\n", bytes(range(256)) * 40, b"--", b"ends with a line\r\n"]
BODY = b"".join(b"\r\n--b1\r\nContent-Type: x/y\r\nMIME-Version: 1.0\r\n\r\n" + part for part in PARTS)
BODY += b"\r\n--b1--\r\n"


def chunks(body: bytes, seed: int) -> list[bytes]:
    cuts = sorted(random.Random(seed).sample(range(len(body)), 40))
    return [body[one:two] for one, two in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_come_out_as_they_went_in(seed: int) -> None:
    assert list(split_parts(chunks(BODY, seed), "b1")) == PARTS
    # A body may begin with the delimiter itself, or with something for readers of mail.
    assert list(split_parts([BODY.removeprefix(b"\r\n")], "b1")) == PARTS
    assert list(split_parts([b"This is MIME.", BODY], "b1")) == PARTS


def test_the_standard_library_reads_the_same() -> None:
    message = email.message_from_bytes(b'Content-Type: multipart/related; boundary="b1"\r\n\r\n' + BODY)
    parsed = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    assert [PARTS[0], PARTS[2]] == [parsed[0], parsed[2]]


@pytest.mark.parametrize("left", [1, 2, 3, 5, 9, 200, 5000])
def test_a_body_that_breaks_off_says_so_after_what_is_whole(left: int) -> None:
    end = len(BODY) - 2 - left
    found: list[bytes] = []
    with pytest.raises(UnavailableError, match="broke off"):
        found.extend(split_parts([BODY[:end]], "b1"))
    assert found == PARTS[: len(found)]
