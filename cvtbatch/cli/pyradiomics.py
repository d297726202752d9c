"""PyRadiomics' command: its arguments, its columns."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

import cvtbatch
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import STANDING_FAILURES
from cvtbatch.cli.values import WholeNumber, Word
from cvtbatch.errors import InputError
from cvtbatch.plain_text import visible

if TYPE_CHECKING:
    from cvtbatch.pipelines.cases.pyradiomics_case import CaseRow
    from cvtbatch.pipelines.cases.pyradiomics_input import Batch
    from cvtbatch.pipelines.cases.pyradiomics_output import Format, PathFormat

_LEVELS = ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_VOXEL_MODE = (
    "--mode voxel: maps of features by voxel are not computed here; PyRadiomics' own command computes them "
    "(pyradiomics --mode voxel)"
)


@click.command(short_help="PyRadiomics' own command, on the fast engine.")
@click.argument("image", metavar="IMAGE|BATCH.csv")
@click.argument("mask", required=False)
@click.option(
    "-p", "--param", type=click.Path(path_type=Path), metavar="FILE", help="Parameter file.  [default: PyRadiomics']"
)
@click.option(
    "-s", "--setting", "settings", multiple=True, metavar="KEY:VALUE", help="A setting over the file's; repeatable."
)
@click.option(
    "-j",
    "--jobs",
    type=WholeNumber(1),
    default=1,
    metavar="N",
    help="Of a batch, as many cases at once, in processes that take seconds to start: slower than without below some 30 cases.",
)
@click.option("--validate", is_flag=True, help="Check the parameters, and that the files are there; compute nothing.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Append to FILE, instead of printing."
)
@click.option(
    "-od",
    "--out-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep each case in a file of its own there, and compute none again that has one.",
)
@click.option("-m", "--mode", type=Word(["segment", "voxel"]), default="segment", help="voxel is refused.")
@click.option("--skip-nans", is_flag=True, help="Leave out values that are NaN.")
@click.option("-f", "--format", "output", type=Word(["txt", "csv", "json"]), default="txt", help="[default: txt]")
@click.option(
    "--format-path",
    "paths",
    type=Word(["absolute", "relative", "basename"]),
    default="absolute",
    help="How Image and Mask are shown.  [default: absolute]",
)
@click.option("-up", "--unix-path", is_flag=True, help="Taken, and without effect: paths are those of Unix here.")
@click.option("--logging-level", type=Word(_LEVELS), default="WARNING", metavar="LEVEL", help="Of --log-file.")
@click.option("--log-file", type=click.Path(path_type=Path), metavar="FILE", help="Append to this log.")
@click.option(
    "-v",
    "--verbosity",
    type=WholeNumber(1, 5),
    is_flag=False,
    flag_value="4",
    default=3,
    metavar="[1-5]",
    help="On stderr: 2 errors, 3 warnings, 4 each case.  [default: 3; without a number 4]",
)
@click.option("-l", "--label", type=WholeNumber(1), metavar="N", help="The ROI's value in the mask, over the file's.")
@click.version_option(cvtbatch.__version__, message="cvtbatch pyradiomics %(version)s (PyRadiomics v3.0.1)")
@click.pass_context
def pyradiomics(
    ctx: click.Context,
    image: str,
    mask: str | None,
    param: Path | None,
    settings: Sequence[str],
    jobs: int,
    validate: bool,
    out: Path | None,
    out_dir: Path | None,
    mode: str,
    skip_nans: bool,
    output: "Format",
    paths: "PathFormat",
    unix_path: bool,
    logging_level: str,
    log_file: Path | None,
    verbosity: int,
    label: int | None,
) -> None:
    """Compute features of IMAGE and MASK, or of every row of a batch file, as the command `pyradiomics` of PyRadiomics 3.0.1 does.

    It takes that command's arguments and prints its columns in its order, diagnostics too. A batch file is a CSV with columns
    Image and Mask, and Label where masks hold several; its other columns are printed too. A case that cannot be computed is told
    and has its given columns alone, the others go on, and the exit code is 3.

    \b
    Example:
      cvtbatch pyradiomics ct.nrrd mask.nrrd --param params.yaml -o features.csv -f csv
      cvtbatch pyradiomics cases.csv --param params.yaml -o features.csv -f csv --jobs 4
    """
    if mode == "voxel":
        raise click.UsageError(_VOXEL_MODE)
    if mask is None and not image.endswith(".csv"):
        raise click.UsageError("give a mask after the image, or a batch file whose name ends with .csv")
    from cvtbatch.pipelines.cases.pyradiomics_input import read_batch, read_customization

    with _open_log((6 - verbosity) * 10, log_file, getattr(logging, logging_level)) as log:
        batch = read_batch(image, mask)
        for line in batch.skipped:
            log.warning("Batch line %d: no image or no mask, left out", line)
        customization = read_customization(param, settings, label)
        if validate:
            failed = _validate(batch, log)
        else:
            from cvtbatch.engine import LocalWorkers, open_cluster
            from cvtbatch.pipelines.cases.pyradiomics import compute_batch
            from cvtbatch.pipelines.cases.pyradiomics_output import write_rows

            workers = min(jobs, len(batch.cases))
            config = LocalWorkers(workers if workers > 1 else 0, gpus=False, dashboard=False)
            with _open_output(out) as file:
                with open_cluster(config, on_notice=log.warning) as cluster:
                    rows = [_told(row, log) for row in compute_batch(batch, customization, out_dir, cluster)]
                write_rows(rows, file, output, paths, batch.folder, skip_nans=skip_nans)
            failed = sum(row.problem is not None for row in rows)
    if failed:
        ctx.exit(STANDING_FAILURES)


def _told(row: "CaseRow", log: logging.Logger) -> "CaseRow":
    """Tell what became of a case, and end between two where that is asked for."""
    raise_if_interrupted()
    if row.doubt:
        log.warning("Case %d: %s", row.number, row.doubt)
    if row.problem is not None:
        log.error("Case %d: %s", row.number, row.problem)
    elif row.reused:
        log.info("Case %d was done before; its row is in --out-dir", row.number)
    else:
        log.info("Case %d done in %.2f s", row.number, row.seconds)
    return row


def _validate(batch: "Batch", log: logging.Logger) -> int:
    """Tell which files are not there, and return of how many cases."""
    from cvtbatch.pipelines.cases.pyradiomics import missing_files

    failed = 0
    for case in batch.cases:
        missing = missing_files(case)
        failed += bool(missing)
        for name in missing:
            log.error("Case %d: %s: there is no file at this path [%s]", case.number, name, case.cells[name])
    log.info("%d of %d cases have problems", failed, len(batch.cases))
    return failed


class _VisibleFormatter(logging.Formatter):
    """PyRadiomics' lines, with an escape for every character that does not show."""

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] %(levelname)-.1s: %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


@contextmanager
def _open_log(level: int, path: Path | None, file_level: int) -> Iterator[logging.Logger]:
    """Hold a log on stderr, and in a file too where one is named."""
    log = logging.Logger("cvtbatch.pyradiomics")
    handlers: list[tuple[logging.Handler, int]] = [(logging.StreamHandler(sys.stderr), level)]
    try:
        if path is not None:
            handlers.append((logging.FileHandler(path), file_level))
    except OSError as error:
        raise InputError("cannot_write", "--log-file cannot be written", str(error)) from None
    for handler, least in handlers:
        handler.setLevel(least)
        handler.setFormatter(_VisibleFormatter())
        log.addHandler(handler)
    try:
        yield log
    finally:
        for handler, _ in handlers:
            handler.close()


@contextmanager
def _open_output(path: Path | None) -> Iterator[TextIO]:
    """Hold stdout, or the file to append to."""
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("a", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError("cannot_write", "--out cannot be written", str(error)) from None
    with file:
        yield file
