"""Who we are to an archive: where it is taken from, and that it shows nowhere."""

import pickle
import sys
from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.pacs.credentials import Password, Token, read_credentials

SECRET = "s3cret-value"


def test_they_come_from_the_environment_or_a_netrc_file(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert read_credentials("pacs.example", home) is None
    (tmp_path / ".netrc").write_text(
        f"machine pacs.example login bob password {SECRET}\nmachine other login c password d\n"
    )
    assert read_credentials("pacs.example", home) == Password("bob", SECRET)
    assert read_credentials("third.example", home) is None
    (tmp_path / "mine").write_text("machine pacs.example login eve password another\n")
    assert read_credentials("pacs.example", {**home, "NETRC": str(tmp_path / "mine")}) == Password("eve", "another")
    given = {**home, "CVTBATCH_PACS_USER": "alice", "CVTBATCH_PACS_PASSWORD": SECRET}
    assert read_credentials("pacs.example", given) == Password("alice", SECRET)
    assert read_credentials("pacs.example", {**home, "CVTBATCH_PACS_TOKEN": SECRET}) == Token(SECRET)


def test_a_command_gives_a_token_and_another_one_when_it_is_refused(tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"import pathlib; p = pathlib.Path({str(count)!r}); n = int(p.read_text()) + 1 if p.exists() else 1; "
    script += f"p.write_text(str(n)); print('{SECRET}', n, sep='-')"
    token = read_credentials("h", {"CVTBATCH_PACS_TOKEN_COMMAND": f'{sys.executable} -c "{script}"'})
    assert isinstance(token, Token)
    assert token.value == f"{SECRET}-1"
    renewed = token.renewed()
    assert renewed is not None
    assert renewed.value == f"{SECRET}-2"
    assert Token(SECRET).renewed() is None


def test_no_text_form_shows_one() -> None:
    for credentials in (Password("alice", SECRET), Token(SECRET, ("show", SECRET))):
        assert SECRET not in repr(credentials) + str(credentials)
        assert pickle.loads(pickle.dumps(credentials)) == credentials


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"CVTBATCH_PACS_USER": "alice"}, "CVTBATCH_PACS_USER: set"),
        ({"CVTBATCH_PACS_PASSWORD": SECRET, "CVTBATCH_PACS_TOKEN": SECRET}, "and nothing else"),
        ({"CVTBATCH_PACS_TOKEN_COMMAND": "no-such-program"}, "cannot be run: No such file"),
        ({"CVTBATCH_PACS_TOKEN_COMMAND": f"sh -c 'echo {SECRET} >&2; exit 3'"}, "ended with code 3"),
        ({"CVTBATCH_PACS_TOKEN_COMMAND": f"echo {SECRET} {SECRET}"}, "wrote 2 words"),
        ({"CVTBATCH_PACS_TOKEN_COMMAND": "true"}, "wrote 0 words"),
        ({"CVTBATCH_PACS_TOKEN_COMMAND": "echo 'open"}, "a quote is not closed"),
        ({"NETRC": "/no/such/netrc"}, "FileNotFoundError"),
    ],
)
def test_half_of_them_is_refused_without_showing_any(environment: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as raised:
        read_credentials("h", environment)
    assert raised.value.kind == "bad_pacs_credentials"
    assert told in raised.value.message
    assert SECRET not in str(raised.value)


def test_a_damaged_netrc_file_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine pacs.example\nlogin bob\nsecret {SECRET}\n")
    with pytest.raises(InputError) as raised:
        read_credentials("pacs.example", {"HOME": str(tmp_path)})
    assert "NetrcParseError, line 3" in raised.value.message
    assert SECRET not in str(raised.value)
