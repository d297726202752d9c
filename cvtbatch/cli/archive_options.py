"""Options about a hospital's archive, which several commands share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cvtbatch.cli.options import plain_http_option
from cvtbatch.cli.values import WholeNumber

if TYPE_CHECKING:
    from cvtbatch.pacs.source import Source
    from cvtbatch.pipelines.shared.pull_pace import Hours
    from cvtbatch.pipelines.shared.pull_selection import Selection

Command = Callable[..., Any]


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return options as one, which are shown in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


selection_options = _all(
    click.option(
        "--body-part", "body_parts", multiple=True, metavar="CODE", help="Series of it, e.g. HEAD; repeatable."
    ),
    click.option(
        "--study-date", metavar="FIRST-LAST", help="Studies of these days, e.g. 20240101-20241231 or 20240101-."
    ),
    click.option(
        "--accessions",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Studies with these accession numbers, one a line.",
    ),
    click.option(
        "--description",
        "descriptions",
        multiple=True,
        metavar="PATTERN",
        help="Series whose description, or that of their study, fits, e.g. '*head*'; repeatable.",
    ),
)
pace_options = _all(
    click.option(
        "--connections", type=WholeNumber(1, 16), default=2, show_default=True, help="Series fetched at once."
    ),
    click.option(
        "--rate", type=WholeNumber(1000), metavar="BYTES", help="A second at most, of all connections together."
    ),
    click.option("--at-night", metavar="HOURS", help="Begin a series at these hours alone, e.g. 20:00-06:00."),
)
source_options = _all(
    click.option("--ae-title", metavar="AET", help="Ours, for DIMSE.  [default: CVTBATCH]"),
    click.option(
        "--move-port",
        type=WholeNumber(1, 65535),
        metavar="PORT",
        help="Have the archive send by C-MOVE to this port of ours.  [default: C-GET]",
    ),
    plain_http_option,
)


def is_address(text: str) -> bool:
    """Say whether a text names an archive, and no folder."""
    return re.match(r"(dicomweb|dimse)[a-z+]*://", text) is not None


def to_selection(
    modalities: Sequence[str],
    body_parts: Sequence[str],
    descriptions: Sequence[str],
    study_date: str | None,
    accessions: Path | None,
) -> "Selection":
    """Return what is wanted of an archive.

    Raises:
        InputError: "bad_selection".
    """
    from cvtbatch.pipelines.shared.pull_selection import Selection, parse_dates, read_accessions

    return Selection(
        tuple(modalities),
        tuple(body_parts),
        tuple(descriptions),
        ("", "") if study_date is None else parse_dates(study_date),
        None if accessions is None else read_accessions(accessions),
    )


def to_source(address: str, ae_title: str | None, move_port: int | None) -> "Source":
    """Return an archive to be read.

    Raises:
        InputError: "bad_pacs_address"; "plain_connection".
    """
    from cvtbatch.pacs.addresses import parse_address
    from cvtbatch.pacs.dimse import AE_TITLE
    from cvtbatch.pacs.source import Source

    return Source(parse_address(address), ae_title or AE_TITLE, move_port)


def to_hours(at_night: str | None) -> "Hours | None":
    """Return at which hours something may be begun; None for all.

    Raises:
        InputError: "bad_hours".
    """
    from cvtbatch.pipelines.shared.pull_pace import Hours

    return None if at_night is None else Hours.parse(at_night)
