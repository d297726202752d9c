"""Training: who is held out, what augmentation does, when it stops, and that a stopped run continues as if it had not been."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cvtbatch.embedding.finetuning import Examples, FineTuning, augment, split_patients
from cvtbatch.embedding.training import Training
from cvtbatch.errors import InputError
from tests.support.small_network import SmallNetwork

SETTINGS = Training(epochs=4, patience=4, batch=4, learning_rate=0.01, weight_decay=0.0, holdout_share=0.25, seed=1)


@pytest.fixture
def examples() -> Examples:
    """Twelve patients, three of them ill; one has three scans. An ill one's slice is brighter on one side."""
    rng = np.random.default_rng(0)
    patients = tuple(f"p{number}" for number in (0, 0, 0, *range(1, 12)))
    labels = np.array([int(name in {"p0", "p4", "p8"}) for name in patients])
    gray = rng.random((len(patients), 224, 224), dtype=np.float32) * 0.2
    gray[labels == 1, 40:120] += 0.6
    return Examples(gray, labels, patients)


def tuning(examples: Examples, checkpoint: Path, settings: Training = SETTINGS, identity: str = "i") -> FineTuning:
    network = SmallNetwork(0)
    return FineTuning(network, examples, settings, identity, checkpoint, torch.device("cpu"), SmallNetwork.DIMENSIONS)


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_is_on_one_side_and_each_class_on_both(examples: Examples, seed: int) -> None:
    training, holdout = split_patients(examples, 0.25, seed)
    assert sorted([*training, *holdout]) == list(range(14))
    of = [{examples.patients[index] for index in side} for side in (training, holdout)]
    assert not of[0] & of[1]
    assert len(of[1]) == 3  # a quarter of nine, and of three at least one
    assert all(set(examples.labels[side]) == {0, 1} for side in (training, holdout))


def test_one_ill_patient_is_too_few(examples: Examples) -> None:
    alone = replace(examples, labels=np.array([int(name == "p0") for name in examples.patients]))
    with pytest.raises(InputError, match="1 patients with CVT and 11 without"):
        split_patients(alone, 0.25, 0)


class Fixed:
    """In a generator's place: no turn, no scale, a mirror or not, and no shift."""

    def __init__(self, mirror: bool, shift: float = 0.0) -> None:
        self.mirror, self.shift = mirror, shift

    def uniform(self, low: float, high: float, size: object) -> np.ndarray:
        middle = np.full(size, (low + high) / 2)  # type: ignore[call-overload]
        return middle + np.array([self.shift, 0]) if middle.ndim == 2 else middle

    def random(self, count: int) -> np.ndarray:
        return np.full(count, 0.0 if self.mirror else 0.9)


def test_augmentation_mirrors_and_moves_and_keeps_the_size() -> None:
    gray = torch.rand((2, 20, 20), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(augment(gray, Fixed(mirror=False)), gray)  # type: ignore[arg-type]
    torch.testing.assert_close(augment(gray, Fixed(mirror=True)), gray.flip(2))  # type: ignore[arg-type]
    moved = augment(gray, Fixed(mirror=False, shift=0.2))  # type: ignore[arg-type]
    torch.testing.assert_close(moved[:, :, :18], gray[:, :, 2:])
    assert (moved[:, :, 18:] == 0).all()
    turned = augment(gray, np.random.default_rng(0))
    assert turned.shape == gray.shape
    assert not torch.allclose(turned[0], gray[0])


def test_training_lowers_the_loss_and_keeps_the_best_epoch(examples: Examples, tmp_path: Path) -> None:
    run = tuning(examples, tmp_path / "c")
    assert float(run.weight) == pytest.approx(
        (examples.labels[run.training] == 0).sum() / (examples.labels[run.training] == 1).sum()
    )
    tuned = run.run()
    losses = [epoch.holdout_loss for epoch in tuned.curve]
    assert [epoch.number for epoch in tuned.curve] == [0, 1, 2, 3, 4]
    assert tuned.best_epoch == int(np.argmin(losses)) > 0
    assert losses[tuned.best_epoch] < 0.8 * losses[0]
    changed = [name for name, values in SmallNetwork(0).state_dict().items() if not values.equal(tuned.state[name])]
    assert "body.conv1.weight" in changed


def test_it_stops_when_the_held_out_get_no_better(examples: Examples, tmp_path: Path) -> None:
    hopeless = replace(SETTINGS, epochs=50, patience=2, learning_rate=0.3)
    tuned = tuning(examples, tmp_path / "c", hopeless).run()
    assert len(tuned.curve) - 1 < 50
    assert len(tuned.curve) - 1 == tuned.best_epoch + 2


@pytest.mark.parametrize("after", [2, 7])
def test_a_run_that_was_stopped_ends_with_the_same_bits(examples: Examples, tmp_path: Path, after: int) -> None:
    whole = tuning(examples, tmp_path / "whole").run()

    def stop(done: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning(examples, tmp_path / "stopped").run(stop)
    seen: list[int] = []
    resumed = tuning(examples, tmp_path / "stopped").run(seen.append)
    assert resumed.curve == whole.curve
    assert all(values.equal(resumed.state[name]) for name, values in whole.state.items())
    assert len(seen) < 4 * tuning(examples, tmp_path / "other").batches() or after < 4


def test_another_run_does_not_continue_it(examples: Examples, tmp_path: Path) -> None:
    tuning(examples, tmp_path / "c", replace(SETTINGS, epochs=1)).run()
    for other in (
        tuning(examples, tmp_path / "c", replace(SETTINGS, epochs=1), "j"),
        tuning(examples, tmp_path / "c", replace(SETTINGS, epochs=1, seed=2)),
    ):
        with pytest.raises(InputError, match="is of a run with other data, weights or settings"):
            other.run()


def test_a_loss_that_is_not_finite_is_an_error(examples: Examples, tmp_path: Path) -> None:
    examples.gray[:] = np.inf
    with pytest.raises(InputError, match="the loss is not finite"):
        tuning(examples, tmp_path / "c").run()
