"""What is done to a trial of a torture run: faults of many kinds, drawn from a seed."""

import random
from dataclasses import dataclass
from typing import Literal

from tests.faults.runs import InTask

Ground = Literal["local", "hosts"]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        stops: the run may stop because of it, and is started again; else it must complete.
        seconds: how long it lasts, from and to; 0 where there is nothing to undo.
        grounds: where it can be done.
    """

    name: str
    stops: bool = False
    seconds: tuple[float, float] = (0.0, 0.0)
    grounds: tuple[Ground, ...] = ("local", "hosts")


KINDS = (
    Kind("worker killed"),
    Kind("worker stopped for a while", seconds=(1.0, 8.0)),
    Kind("worker stopped for long", seconds=(40.0, 60.0)),
    Kind("crash in a case"),
    Kind("case that takes all memory", grounds=("local",)),
    Kind("case that never ends"),
    Kind("case that locks the interpreter"),
    Kind("driver killed", stops=True),
    Kind("driver interrupted", stops=True),
    Kind("driver stopped for a while", seconds=(1.0, 5.0)),
    Kind("disk of the store full", stops=True, seconds=(1.0, 4.0)),
    Kind("scheduler killed", stops=True, grounds=("hosts",)),
    Kind("worker's network cut for a moment", seconds=(1.0, 6.0), grounds=("hosts",)),
    Kind("driver's network cut for a moment", stops=True, seconds=(1.0, 6.0), grounds=("hosts",)),
    Kind("worker's network cut for long", seconds=(15.0, 25.0), grounds=("hosts",)),
)
IN_CASES: dict[str, InTask] = {
    "crash in a case": "crash",
    "case that takes all memory": "eat",
    "case that never ends": "sleep",
    "case that locks the interpreter": "lock",
}


@dataclass(frozen=True)
class Fault:
    """What will be done.

    Attributes:
        share: of the cases that are done when its time has come; None for so long after the start of a run.
        after_s: that it waits then.
        victim: chooses among workers, or is the number of a case.
    """

    kind: Kind
    share: float | None
    after_s: float
    seconds: float
    victim: int

    def __str__(self) -> str:
        moment = "from the start" if self.share is None else f"at {self.share:.0%} of the cases"
        return f"{self.kind.name} {moment} + {self.after_s:.2f} s, for {self.seconds:.1f} s, victim {self.victim}"


@dataclass(frozen=True)
class Plan:
    """A trial: where, and what is done in turn."""

    number: int
    cases: int
    ground: Ground
    faults: tuple[Fault, ...]


def draw(seed: int, number: int, cases: int) -> Plan:
    """Draw a trial over so many cases: one half on hosts, two to six faults in the order of their moments."""
    dice = random.Random(f"{seed}-{number}")
    grounds: tuple[Ground, ...] = ("local", "hosts")
    ground = grounds[number % 2]
    kinds = [kind for kind in KINDS if ground in kind.grounds]
    faults = []
    for _ in range(dice.randint(2, 6)):
        kind = dice.choice(kinds)
        share = None if dice.random() < 0.15 else dice.random() * 0.95
        faults.append(Fault(kind, share, dice.uniform(0, 1.5), dice.uniform(*kind.seconds), dice.randrange(cases)))
    return Plan(
        number, cases, ground, tuple(sorted(faults, key=lambda fault: -1.0 if fault.share is None else fault.share))
    )
