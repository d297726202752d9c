"""The script that a worker's job is submitted as: from what a cluster file says of a partition to the text that sbatch reads."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from cvtbatch.engine.cluster_file import Partition
from cvtbatch.errors import InputError

MIB, GIB = 1 << 20, 1 << 30


def job_script(partition: Partition, job_name: str, output: Path, command: Sequence[str]) -> str:
    """Return the script of a job of one task, which becomes the command.

    Directives of the user come after what the cluster file's own keys book, which they may replace, and before what the run finds
    its jobs by, which they may not.

    Args:
        job_name: that all jobs of a run share.
        output: file that gets what the job writes to its terminal.
        command: program and arguments, as they are: nothing in them is a shell's.

    Raises:
        InputError: a value has more than one line, which is no option of sbatch.
    """
    booked = {
        "partition": partition.partition,
        "ntasks": "1",
        "cpus-per-task": str(partition.cores),
        "mem": _memory(partition.memory_bytes),
        "time": partition.walltime,
    }
    # In the name of a file Slurm reads %% as %.
    found_by = {"job-name": job_name, "output": str(output).replace("%", "%%")}
    options = [*_options(booked), *partition.directives, *_options(found_by)]
    header = "\n".join(f"#SBATCH {option}" for option in options)
    return f"#!/usr/bin/env bash\n{header}\n\nexec {shlex.join(command)}\n"


def _options(values: dict[str, str]) -> list[str]:
    return [f"--{name}={_quoted(value)}" for name, value in values.items()]


def _quoted(value: str) -> str:
    """Return a value as sbatch reads it from a script: where spaces and # end it, it stands in quotes, with \\ before " and \\."""
    if "\n" in value:
        raise InputError("bad_cluster_file", f"a job of Slurm cannot be given {value!r}, which has more than one line")
    if re.fullmatch(r"[\w@%+=:,./-]+", value, re.ASCII):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _memory(size_bytes: int) -> str:
    """Return a size in the units that Slurm books, rounded up: whole GiB, or MiB where it is less than one."""
    unit, letter = (GIB, "G") if size_bytes >= GIB else (MIB, "M")
    return f"{-(-size_bytes // unit)}{letter}"
