"""The command line: translates options, delegates, prints. Nothing is decided here but exit codes.

`EXIT_CODES` is the one rule of exit codes.
"""

import datetime
import os
import sys
import traceback
from contextlib import suppress
from gc import set_threshold
from pathlib import Path
from typing import NoReturn

import click

import cvtbatch
from cvtbatch.cli.agreement import agreement
from cvtbatch.cli.archive import check, download, synth
from cvtbatch.cli.bundle import bundle
from cvtbatch.cli.cluster import certs, scheduler, worker
from cvtbatch.cli.comparison import compare_models
from cvtbatch.cli.display import SHOWN_FAILURES, say
from cvtbatch.cli.environment import require_environment
from cvtbatch.cli.extraction import extract
from cvtbatch.cli.indexing import index
from cvtbatch.cli.interrupts import exit_code, watch_interrupts
from cvtbatch.cli.manifest import manifest
from cvtbatch.cli.model import fit, score
from cvtbatch.cli.options import CANNOT_RUN
from cvtbatch.cli.predict import predict
from cvtbatch.cli.profile import profile
from cvtbatch.cli.pull import pull
from cvtbatch.cli.pyradiomics import pyradiomics
from cvtbatch.cli.results import results
from cvtbatch.cli.review import review
from cvtbatch.cli.sections import Sections
from cvtbatch.cli.serve import serve
from cvtbatch.cli.store import export, export_case, picture, status
from cvtbatch.cli.streams import UNREAD, StdoutClosed, StdoutLost, watch_streams
from cvtbatch.cli.tuning import finetune
from cvtbatch.cli.upkeep import compact, gc
from cvtbatch.cli.validation import add_center, recalibrate, validate
from cvtbatch.cli.versions import forget, snapshot, spec
from cvtbatch.errors import CvtbatchError, InputError, ProblemsError, lacks_memory
from cvtbatch.file_errors import why
from cvtbatch.kept_pages import keep_pages
from cvtbatch.lean_arrow import leave_pandas_out

# New objects before Python looks for those that nothing holds, 700 by default: modules that are loaded are nothing else.
_NEW_OBJECTS = 10_000
# Columns of a file are smaller, and what is made of them; what a whole table takes is larger.
_LARGEST_KEPT_BYTES, _KEPT_BYTES = 4 << 20, 32 << 20
_NO_MEMORY = (
    "the system gives this process no more memory or threads; what was committed is safe: raise the limit (ulimit -v, ulimit -u, "
    "or what the batch system was asked for), or take a machine with more, and run the same command again"
)


def main() -> NoReturn:
    """Run the command line; the one place where an error becomes an exit code."""
    # Before anything imports it: Arrow's own allocator keeps what was freed, a quarter of a driver's memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    set_threshold(_NEW_OBJECTS)
    # Each worker would run the script again that this process was started by, and load all commands for nothing.
    vars(sys.modules["__main__"]).pop("__file__", None)
    watch_interrupts()
    watch_streams()
    # Who asks for help waits for no library.
    asks = bool({"-h", "--help", "--version"}.intersection(sys.argv))
    if not asks:
        keep_pages(_LARGEST_KEPT_BYTES, _KEPT_BYTES)
        leave_pandas_out()
    try:
        if not asks:
            _require_working_folder()
            require_environment()
        code = cli.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Abort:
        say("Interrupted. What was committed is safe; the same command continues.", err=True)
        _leave(exit_code() or CANNOT_RUN)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CvtbatchError as error:
        _tell(error)
        code = CANNOT_RUN
    except StdoutClosed:
        code = UNREAD
    except StdoutLost as error:
        say(f"Error: what is printed cannot be written: {error}; what was committed is safe", err=True)
        code = CANNOT_RUN
    except Exception as error:
        if lacks_memory(error):
            say(f"Error: {_NO_MEMORY} [{type(error).__name__}: {error}]", err=True)
        else:
            _report_defect(error)
        code = CANNOT_RUN
    # What an interrupt breaks in a library may come out as another error.
    sys.exit(exit_code() if code == CANNOT_RUN and exit_code() else code or 0)


def _require_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise InputError(
            "no_working_folder",
            f"the folder in which the command was started cannot be found ({why(error)}): change to one that is there (cd), and "
            "start it again",
        ) from None


def _tell(error: CvtbatchError) -> None:
    """Print an error; of many problems the first ones, and where the rest is."""
    lines = error.private.splitlines() if isinstance(error, ProblemsError) else []
    if len(lines) <= SHOWN_FAILURES:
        say(f"Error: {error}", err=True)
        return
    from cvtbatch.pipelines.shared.run_log import RunLog, log_folder

    name = f"refused-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    notices: list[str] = []
    log = RunLog(name, None, notices.append)
    for line in lines:
        log.write("error", "problem", kind=error.kind, private=line)
    say(f"Error: {error.message}:", err=True)
    for line in lines[:SHOWN_FAILURES]:
        say(f"  {line}", err=True)
    say(f"  ... {notices[0]}" if notices else f"  ... more in {log_folder() / f'{name}.jsonl'}", err=True)


def _leave(code: int) -> NoReturn:
    """End at once with an exit code.

    Python remembers an interrupt that came while a library's C code ran a text of Python, and would end as if by the signal itself.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, StdoutClosed, StdoutLost):
            stream.flush()
    os._exit(code)


def _report_defect(error: Exception) -> None:
    """Tell of an exception that is no one's but ours; its traceback may name files, so it goes to the user's own log."""
    from cvtbatch.pipelines.shared.run_log import RunLog, log_folder

    text = "".join(traceback.format_exception(error))
    say(f"Error: {type(error).__name__}: a defect of cvtbatch; what was committed is safe. Please report it.", err=True)
    if RunLog("defects").write("error", "defect", kind=type(error).__name__, private=text):
        say(f"The whole text is at the end of {log_folder() / 'defects.jsonl'}", err=True)
    else:
        say(text, err=True)


EXIT_CODES = """Exit codes, of every command:

\b
0    all done
1    it could not be done: the message says why and what to do
2    the command line is wrong
3    done, but something stands: failed cases, problems that a check
     found, numbers that a report could not compute
130  interrupted (Ctrl-C), 143 by SIGTERM, 129 as its terminal was
     closed (not under nohup): what is done is safe, the same
     command continues. `scheduler`, `worker`, `serve` and
     `status --watch` run until then, and end with 0
141  nobody reads what it prints (`| head`): it ends without a word.
     What is told on stderr is not waited for: a run goes on

Completion of commands and options, here for bash (zsh, fish: the same word):

\b
eval "$(_CVTBATCH_COMPLETE=bash_source cvtbatch)"
"""


@click.group(
    cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EXIT_CODES
)
@click.version_option(cvtbatch.__version__, prog_name="cvtbatch")
def cli() -> None:
    """Feature store and scoring engine for intracerebral hematomas on head CT.

    \b
    A first walk, on synthetic heads:
      cvtbatch synth archive --cases 20 --centers 2 --seed 1
      cvtbatch extract archive/manifest.csv --store store --set embedding.weights=random:0
      cvtbatch status --store store
      cvtbatch export radiomics --store store --out radiomics.parquet

    \b
    random:0 are untrained weights, for trials without network; the default, imagenet, is fetched once.

    For research use; not a medical device.
    """


for _title, _commands in (
    ("Before a run", (synth, download, pull, index, manifest, check, profile)),
    ("The run", (extract, status, export, export_case, picture, review, results, serve)),
    ("A model", (finetune, snapshot, spec, fit, compare_models, bundle, predict, score)),
    ("Without a store", (pyradiomics,)),
    ("A centre", (add_center, validate, recalibrate, agreement)),
    ("Upkeep of a store", (forget, compact, gc)),
    ("A cluster by hand", (certs, scheduler, worker)),
):
    cli.add_section(_title, _commands)
