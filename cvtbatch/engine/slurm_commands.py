"""Slurm by its own commands: submit a job, ask for the jobs of a name, cancel them."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE

from cvtbatch.errors import ResourceError

# Slurm hands the environment of sbatch on to the job, and keeps it beside the script. The key reaches workers in their tasks; who
# they are to an archive they learn where they run, of a token command or a netrc file.
WITHHELD = frozenset({"CVTBATCH_UID_KEY", "CVTBATCH_PACS_TOKEN", "CVTBATCH_PACS_USER", "CVTBATCH_PACS_PASSWORD"})


async def submit(script: str) -> str:
    """Submit a job and return its id.

    Raises:
        ResourceError: Slurm is not here, or refuses it.
    """
    printed = await _call("sbatch", "--parsable", stdin=script)
    # The name of a cluster may follow; a site's own wrapper may print more.
    found = re.search(r"^(\d+)(?:;.*)?$", printed, re.MULTILINE)
    if found is None:
        raise ResourceError("no_slurm", "sbatch printed no id of a job", printed)
    return found[1]


async def states(job_name: str) -> dict[str, str]:
    """Return the state of every job of a name that Slurm still knows, e.g. RUNNING, by its id.

    Raises:
        ResourceError: Slurm does not answer.
    """
    printed = await _call("squeue", "--noheader", "--states=all", f"--name={job_name}", "--format=%i %T")
    return dict(line.split() for line in printed.splitlines())


async def cancel(job_name: str) -> None:
    """Cancel every job of a name.

    Raises:
        ResourceError: Slurm does not answer.
    """
    await _call("scancel", f"--name={job_name}")


async def _call(*command: str, stdin: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if name not in WITHHELD}
    # Names of folders need not be text.
    written = os.fsencode(stdin)
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
        output, errors = await process.communicate(written)
    except OSError as error:
        raise _failed(command[0], str(error)) from None
    if process.returncode != 0:
        raise _failed(command[0], f"code {process.returncode}: {(errors + output).decode(errors='replace').strip()}")
    return output.decode(errors="replace")


def _failed(program: str, why: str) -> ResourceError:
    return ResourceError("no_slurm", f"{program} failed: is Slurm's controller up?", why)
