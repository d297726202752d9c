"""Clusters as values, none of them open: read from `--cluster FILE` (contract `schemas/cluster.json`) or from the short options."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.file_errors import why

GIGABYTE = 1_000_000_000
SCHEMA = "cluster.json"


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Processes of this machine; 0 workers are this process itself.

    Attributes:
        memory_bytes: of each worker; None shares the machine's.
        gpus: whether each GPU is given to a worker of its own.
        dashboard: whether Dask's dashboard is served, on loopback.
    """

    workers: int
    memory_bytes: int | None = None
    gpus: bool = True
    dashboard: bool = True


@dataclass(frozen=True, slots=True)
class ExternalScheduler:
    """A scheduler that somebody else started.

    Attributes:
        certs: folder with ca.pem, node.pem and node-key.pem; without it, the address must be on loopback.
        workers: to wait for before work starts.
        wait_s: how long scheduler and workers are waited for.
        description: for people and the `runs` table; names no host.
    """

    address: str
    certs: Path | None = None
    workers: int = 1
    wait_s: float = 30
    description: str = "scheduler"


@dataclass(frozen=True, slots=True)
class Partition:
    """Jobs of one kind.

    Attributes:
        workers: worker processes, a job each.
        cores, memory_bytes: booked for each job.
        walltime: as Slurm writes it, e.g. 12:00:00; a job that reaches it is replaced.
        directives: further options of sbatch.
    """

    partition: str
    workers: int
    cores: int
    memory_bytes: int
    walltime: str
    directives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlurmJobs:
    """Jobs that this machine submits to Slurm; the scheduler is in this process.

    Attributes:
        interface: of this machine's network that the jobs reach; None lets the machine choose.
        folder: that this machine and all nodes see, for certificates and the jobs' output.
        certs: as in `ExternalScheduler`; without it, temporary certificates are made.
        python: of the jobs; None is this one.
    """

    cpu: Partition
    gpu: Partition | None
    interface: str | None
    folder: Path
    certs: Path | None
    python: str | None

    @property
    def description(self) -> str:
        """What it is, for people and the `runs` table."""
        gpus = f", {self.gpu.workers} with a GPU" if self.gpu else ""
        return f"slurm: {self.cpu.workers} workers{gpus}"


ClusterConfig = LocalWorkers | ExternalScheduler | SlurmJobs


def read_cluster_file(path: Path) -> ClusterConfig:
    """Return the cluster that a file describes.

    Raises:
        InputError: the file is missing or no YAML.
        ProblemsError: with every key and value that the contract does not allow.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            "no_cluster_file",
            f"the cluster file cannot be read: {why(error)}; --cluster takes a YAML file that says where the workers are, e.g. "
            "{kind: scheduler, address: 'tls://HOST:8786'}",
            str(path),
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("bad_cluster_file", "the cluster file is not YAML", f"{path}: {error}") from None
    problems = contracts.problems_of(document, SCHEMA)
    if problems:
        raise ProblemsError.of("bad_cluster_file", f"cluster file {path}", problems)
    keys = contracts.with_defaults(document, SCHEMA, document["kind"])
    certs = _beside(path, keys["certs"]) if keys.get("certs") else None
    match keys["kind"]:
        case "local":
            memory = None if keys["memory_gb"] is None else int(keys["memory_gb"] * GIGABYTE)
            return LocalWorkers(keys["workers"], memory, keys["gpus"] == "auto", keys["dashboard"])
        case "scheduler":
            return ExternalScheduler(keys["address"], certs, keys["min_workers"], keys["wait_s"])
        case "kubernetes":
            address = f"tls://{keys['name']}-scheduler.{keys['namespace']}.svc:8786"
            return ExternalScheduler(address, certs, keys["min_workers"], keys["wait_s"], "kubernetes")
        case _:
            gpu = _partition(keys["gpu"]) if "gpu" in keys else None
            folder = _beside(path, keys["folder"])
            return SlurmJobs(_partition(keys["cpu"]), gpu, keys["interface"], folder, certs, keys["python"])


def _partition(keys: JsonObject) -> Partition:
    return Partition(
        partition=keys["partition"],
        workers=keys["workers"],
        cores=keys["cores"],
        memory_bytes=int(keys["memory_gb"] * GIGABYTE),
        walltime=keys["walltime"],
        directives=tuple(keys["directives"]),
    )


def _beside(file: Path, name: str) -> Path:
    """Return a path that a file names: from the file's own folder, or the user's home where it starts with ~."""
    return (file.absolute().parent / Path(name).expanduser()).resolve()
