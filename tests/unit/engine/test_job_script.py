"""The script of a job, word for word, and values that a shell or sbatch would take for something else."""

import shlex
from pathlib import Path

import pytest

from cvtbatch.engine.cluster_file import Partition
from cvtbatch.engine.job_script import job_script
from cvtbatch.errors import InputError

PARTITION = Partition(
    partition="gpu",
    workers=2,
    cores=4,
    memory_bytes=16_000_000_000,
    walltime="1-12:00:00",
    directives=("--gres=gpu:1", "-A lab", "--partition=other"),
)


def test_a_job_books_what_the_cluster_file_says() -> None:
    script = job_script(PARTITION, "cvtbatch-x1", Path("/shared/cvtbatch-x1/gpu-0.log"), ["/usr/bin/python", "-m", "x"])
    assert script == (
        "#!/usr/bin/env bash\n"
        "#SBATCH --partition=gpu\n"
        "#SBATCH --ntasks=1\n"
        "#SBATCH --cpus-per-task=4\n"
        "#SBATCH --mem=15G\n"
        "#SBATCH --time=1-12:00:00\n"
        "#SBATCH --gres=gpu:1\n"
        "#SBATCH -A lab\n"
        "#SBATCH --partition=other\n"
        "#SBATCH --job-name=cvtbatch-x1\n"
        "#SBATCH --output=/shared/cvtbatch-x1/gpu-0.log\n"
        "\n"
        "exec /usr/bin/python -m x\n"
    )


@pytest.mark.parametrize(
    ("size_bytes", "booked"),
    [(1, "1M"), (1 << 20, "1M"), (900_000_000, "859M"), (1 << 30, "1G"), (4_000_000_000, "4G")],
)
def test_memory_is_rounded_up(size_bytes: int, booked: str) -> None:
    partition = Partition("cpu", 1, 1, size_bytes, "10", ())
    assert f"#SBATCH --mem={booked}\n" in job_script(partition, "name", Path("log"), ["true"])


def test_no_value_ends_early_or_starts_something_else() -> None:
    command = ["/opt/my python", "$HOME", "; rm -rf x", "it's", "#"]
    script = job_script(PARTITION, "name", Path('/a folder/50% of "x"\\#'), command)
    assert '#SBATCH --output="/a folder/50%% of \\"x\\"\\\\#"\n' in script
    [last] = [line for line in script.splitlines() if line.startswith("exec ")]
    assert shlex.split(last) == ["exec", *command]


def test_a_value_of_two_lines_is_refused() -> None:
    partition = Partition("cpu\n#SBATCH --uid=0", 1, 1, 1, "10", ())
    with pytest.raises(InputError, match="more than one line"):
        job_script(partition, "name", Path("log"), ["true"])
