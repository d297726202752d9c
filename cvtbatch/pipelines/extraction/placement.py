"""On which workers networks are computed: those that own a GPU, where there are any."""

from dataclasses import dataclass

from cvtbatch.embedding.compute import Device
from cvtbatch.engine import GPU, Cluster


@dataclass(frozen=True, slots=True)
class Placement:
    """Where tasks run.

    Attributes:
        device: to compute on there.
        threads: of the CPU; None leaves them as they are.
        resource: that the workers advertise; None for any of them.
        workers: how many they are.
    """

    device: Device
    threads: int | None
    resource: str | None
    workers: int


def place(wanted: Device, cluster: Cluster) -> Placement:
    """Choose the workers; without a GPU the CPU is used, since processes that do not own it would crowd one GPU."""
    if cluster.inline:
        return Placement(wanted, None, None, 1)
    gpus = 0 if wanted == "cpu" else cluster.slots(GPU)
    if gpus:
        return Placement(wanted, None, GPU, gpus)
    return Placement("cpu" if wanted == "auto" else wanted, cluster.threads, None, max(1, cluster.slots()))
