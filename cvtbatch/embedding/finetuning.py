"""Transfer learning: the backbone is tuned to tell hematomas of CVT from others, on slices of training patients alone.

Small cohorts set the rules. BatchNorm keeps the statistics that it came with, the rarer class weighs more, every epoch sees each
slice turned, moved and scaled a little, and training stops when patients that it holds out get worse; the epoch before that is
kept. Everything random follows from the seed and the epoch, so that a run that was stopped continues as if it had not been: with
equal bits on a CPU, as its threads are the same; on a GPU, some gradients are summed in no fixed order.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from cvtbatch.embedding.preprocessing import Gray
from cvtbatch.embedding.training import Training
from cvtbatch.errors import InputError
from cvtbatch.spec import digest
from cvtbatch.whole_files import written_whole

ROTATION_DEG = 10.0
SHIFT = 0.05  # of the field's side
SCALE = 0.1


@dataclass(frozen=True, slots=True)
class Examples:
    """Slices to learn from.

    Attributes:
        gray: (n, 224, 224).
        labels: (n,), 1 for CVT.
        patients: of each slice.
    """

    gray: Gray
    labels: npt.NDArray[np.int64]
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Losses of one epoch; number 0 is before training, and has none of its own."""

    number: int
    training_loss: float | None
    holdout_loss: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it: the state of the best epoch, and every epoch."""

    state: Mapping[str, torch.Tensor]
    best_epoch: int
    curve: tuple[Epoch, ...]


def split_patients(examples: Examples, share: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices of training and held-out slices; a patient is in one of them, and each class in both.

    Raises:
        InputError: a class has fewer than two patients.
    """
    classes: dict[int, list[str]] = {0: [], 1: []}
    for patient in dict.fromkeys(examples.patients):
        ill = [label for label, name in zip(examples.labels, examples.patients, strict=True) if name == patient]
        classes[int(max(ill))].append(patient)
    if min(map(len, classes.values())) < 2:
        raise InputError(
            "too_few_patients",
            f"{len(classes[1])} patients with CVT and {len(classes[0])} without it can be trained on: two of each are the least, "
            "one to learn from and one to hold out",
        )
    held: set[str] = set()
    for label, names in classes.items():
        order = _generator(seed, f"holdout {label}").permutation(sorted(names))
        held |= set(order[: min(len(names) - 1, max(1, round(share * len(names))))].tolist())
    inside = np.array([patient in held for patient in examples.patients])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def augment(gray: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Return slices (n, side, side) mirrored by chance, and turned, moved and scaled a little; outside is air."""
    count = len(gray)
    angle = np.deg2rad(generator.uniform(-ROTATION_DEG, ROTATION_DEG, count))
    scale = generator.uniform(1 - SCALE, 1 + SCALE, count)
    mirror = np.where(generator.random(count) < 0.5, -1.0, 1.0)
    shift = generator.uniform(-2 * SHIFT, 2 * SHIFT, (count, 2))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    rows = np.stack([mirror * cosine, -sine, shift[:, 0], mirror * sine, cosine, shift[:, 1]], axis=1)
    matrix = torch.tensor(rows.reshape(count, 2, 3), dtype=gray.dtype, device=gray.device)
    grid = functional.affine_grid(matrix, [count, 1, *gray.shape[1:]], align_corners=False)
    return functional.grid_sample(gray[:, None], grid, align_corners=False)[:, 0]


class FineTuning:
    """A run of training that can be stopped at any moment and goes on from its last whole epoch.

    Args:
        network: gray slices -> values, e.g. `backbone.Network`.
        identity: of data, start and settings: a checkpoint of another one is refused.
        dimensions: values that the network gives.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        examples: Examples,
        settings: Training,
        identity: str,
        checkpoint: Path,
        device: torch.device,
        dimensions: int,
    ) -> None:
        self.examples, self.settings, self.checkpoint, self.device = examples, settings, checkpoint, device
        self.identity = digest(identity, repr(settings))
        self.training, self.holdout = split_patients(examples, settings.holdout_share, settings.seed)
        # BatchNorm's statistics, and no dropout, so that evaluation is the mode of training too.
        self.network = network.to(device).eval().requires_grad_(True)
        self.head = torch.nn.Linear(dimensions, 1).to(device)
        bound = 1 / math.sqrt(dimensions)
        drawn = _generator(settings.seed, "head").uniform(-bound, bound, (1, dimensions))
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(drawn))
            self.head.bias.zero_()
        parameters = [*self.network.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        labels = examples.labels[self.training]
        self.weight = torch.tensor(float((labels == 0).sum() / (labels == 1).sum()), device=device)
        self.curve: list[Epoch] = []
        self.best_epoch = 0
        self.best: dict[str, torch.Tensor] = {}

    def batches(self) -> int:
        """Return how many batches an epoch has."""
        return -(-len(self.training) // self.settings.batch)

    def run(self, on_batch: Callable[[int], None] = lambda _: None) -> Tuned:
        """Train until patience or epochs are at an end.

        Args:
            on_batch: called with the number of batches done, those of earlier sessions included.

        Raises:
            InputError: the checkpoint is of another run.
        """
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        if self.checkpoint.exists():
            self._resume()
        else:
            self._note(Epoch(0, None, self._holdout_loss()))
        while (
            len(self.curve) <= self.settings.epochs and len(self.curve) - 1 - self.best_epoch < self.settings.patience
        ):
            number = len(self.curve)
            loss = self._train(number, on_batch)
            self._note(Epoch(number, loss, self._holdout_loss()))
        return Tuned(self.best, self.best_epoch, tuple(self.curve))

    def _train(self, number: int, on_batch: Callable[[int], None]) -> float:
        generator = _generator(self.settings.seed, f"epoch {number}")
        order = generator.permutation(self.training)
        total = 0.0
        for batch, start in enumerate(range(0, len(order), self.settings.batch)):
            chosen = order[start : start + self.settings.batch]
            with torch.no_grad():
                gray = augment(torch.from_numpy(self.examples.gray[chosen]).to(self.device), generator)
            loss = self._loss(gray, self.examples.labels[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * len(chosen)
            on_batch((number - 1) * self.batches() + batch + 1)
        return total / len(order)

    def _loss(self, gray: torch.Tensor, labels: npt.NDArray[np.int64]) -> torch.Tensor:
        wanted = torch.tensor(labels, dtype=torch.float32, device=self.device)
        logits = self.head(self.network(gray))[:, 0]
        return functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=self.weight)

    def _holdout_loss(self) -> float:
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(self.holdout), self.settings.batch):
                chosen = self.holdout[start : start + self.settings.batch]
                gray = torch.from_numpy(self.examples.gray[chosen]).to(self.device)
                total += float(self._loss(gray, self.examples.labels[chosen])) * len(chosen)
        loss = total / len(self.holdout)
        if not math.isfinite(loss):
            raise InputError(
                "training_diverged",
                "the loss is not finite: lower finetune.learning_rate, or start from trained weights",
            )
        return loss

    def _note(self, epoch: Epoch) -> None:
        """Take an epoch into the curve, keep its state if it is the best, and write the checkpoint."""
        if not self.curve or epoch.holdout_loss < self.curve[self.best_epoch].holdout_loss:
            self.best_epoch = epoch.number
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
        self.curve.append(epoch)
        content = {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "curve": [[epoch.number, epoch.training_loss, epoch.holdout_loss] for epoch in self.curve],
        }
        with written_whole(self.checkpoint) as aside:
            torch.save(content, aside)

    def _resume(self) -> None:
        content: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if content["identity"] != self.identity:
            raise InputError(
                "other_checkpoint",
                f"{self.checkpoint} is of a run with other data, weights or settings: delete it to begin anew",
            )
        self.network.load_state_dict(content["network"])
        self.head.load_state_dict(content["head"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.best, self.best_epoch = content["best"], content["best_epoch"]
        self.curve = [Epoch(*values) for values in content["curve"]]


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator that depends on the seed and on what it is for, and on nothing that ran before."""
    return np.random.Generator(np.random.Philox(key=int(digest(str(seed), purpose)[:32], 16)))
