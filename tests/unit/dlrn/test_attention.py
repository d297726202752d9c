"""What weighs a hematoma's slices: its values and its gradient are torch's, and it finds the one slice that tells."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from cvtbatch.dlrn.attention import HIDDEN, PENALTY, Attention, Loss, fit_attention
from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.pooling import Pooling, Slices
from tests.support.cohorts import SMALLEST_JOB, SPECS, settings, surroundings, write
from tests.support.telling_slices import LENGTH, SLICES, held_out_auc, one_slice_tells

ATTENTION = "fit.pooling=attention"


def drawn(counts: list[int], seed: int = 3) -> Slices:
    rng = np.random.default_rng(seed)
    return Slices(rng.normal(size=(sum(counts), LENGTH)).astype(np.float32), np.concatenate([[0], np.cumsum(counts)]))


def made_attention(seed: int = 4) -> Attention:
    rng = np.random.default_rng(seed)
    return Attention(rng.normal(size=(LENGTH, HIDDEN)), rng.normal(size=HIDDEN), 2 * rng.normal(size=HIDDEN))


def test_embeddings_are_torchs() -> None:
    slices, attention = drawn([3, 1, 5]), made_attention()
    v, w = (torch.from_numpy(array) for array in (attention.hidden, attention.weights))
    for own, found in zip(pairwise(slices.starts), attention.pool(slices), strict=True):
        values = torch.from_numpy(slices.values[slice(*own)].astype(np.float64))
        share = torch.softmax(torch.tanh(values @ v - torch.from_numpy(attention.offset)) @ w, dim=0)
        np.testing.assert_allclose(found, (share @ values).numpy(), rtol=1e-5, atol=2e-6)


def test_loss_and_gradient_are_torchs() -> None:
    slices, outcome = drawn([3, 1, 5, 2]), np.array([1, 0, 0, 1])
    loss = Loss(slices.values.astype(np.float64), slices.starts, outcome)
    start = np.random.default_rng(5).normal(size=loss.size)
    fitted = torch.tensor(start, requires_grad=True)
    count = LENGTH * HIDDEN
    v, w, c, b = (
        fitted[:count].reshape(LENGTH, HIDDEN),
        fitted[count : count + HIDDEN],
        fitted[count + HIDDEN : -1],
        fitted[-1],
    )
    bags = [torch.from_numpy(loss.values[slice(*own)]) for own in pairwise(slices.starts)]
    odds = torch.stack([torch.softmax(torch.tanh(bag @ v) @ w, dim=0) @ bag @ c + b for bag in bags])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(odds, torch.tensor(outcome, dtype=torch.float64))
    expected = expected + PENALTY / 2 * (fitted[:-1] ** 2).sum()
    expected.backward()
    found, gradient = loss(start)
    assert found == pytest.approx(expected.item(), rel=1e-12)
    assert fitted.grad is not None
    np.testing.assert_allclose(gradient, fitted.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_of_several_classes_loss_and_gradient_are_torchs() -> None:
    slices, outcome = drawn([3, 1, 5, 2, 4]), np.array([1, 0, 2, 0, 1])
    loss = Loss(slices.values.astype(np.float64), slices.starts, outcome)
    start = np.random.default_rng(6).normal(size=loss.size)
    fitted = torch.tensor(start, requires_grad=True)
    v, w, c, b = torch.split(fitted, [LENGTH * HIDDEN, HIDDEN, LENGTH * 3, 3])
    v, c = v.reshape(LENGTH, HIDDEN), c.reshape(LENGTH, 3)
    bags = [torch.from_numpy(loss.values[slice(*own)]) for own in pairwise(slices.starts)]
    odds = torch.stack([torch.softmax(torch.tanh(bag @ v) @ w, dim=0) @ bag @ c + b for bag in bags])
    expected = torch.nn.functional.cross_entropy(odds, torch.from_numpy(outcome))
    expected = expected + PENALTY / 2 * (fitted[:-3] ** 2).sum()
    expected.backward()
    found, gradient = loss(start)
    assert found == pytest.approx(expected.item(), rel=1e-12)
    assert fitted.grad is not None
    np.testing.assert_allclose(gradient, fitted.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_of_several_classes_it_looks_at_the_slice_that_tells_whichever_class_it_tells() -> None:
    cohort = one_slice_tells(1, 5.0)
    slices, outcome = cohort.slices.copy(), cohort.outcome.copy()
    others = np.flatnonzero(outcome == 0)[::2]
    outcome[others] = 2
    telling = np.random.default_rng(7).integers(0, SLICES, len(others))
    slices[others * SLICES + telling, 3:6] += 5.0
    fitted = fit_attention(Slices(slices, np.arange(0, len(slices) + 1, SLICES)), outcome, 11)
    weights = fitted.weigh(Slices(slices, np.arange(0, len(slices) + 1, SLICES))).reshape(len(outcome), SLICES)
    moved = slices[:, :6].reshape(len(outcome), SLICES, 2, 3).sum(axis=3)
    for label, block in ((1, 0), (2, 1)):
        own = outcome == label
        assert (weights[own].argmax(axis=1) == moved[own, :, block].argmax(axis=1)).mean() > 0.9


def test_bits_do_not_depend_on_other_hematomas_or_last_bits_of_weights() -> None:
    slices, attention = drawn([4, 1, 9, 2]), made_attention()
    whole = attention.pool(slices)
    for place, (first, last) in enumerate(pairwise(slices.starts)):
        alone = attention.pool(Slices(slices.values[first:last], np.array([0, last - first])))
        assert (alone[0] == whole[place]).all()
    other = replace(attention, weights=attention.weights * (1 + 2**-52))
    assert (other.pool(slices) == whole).all()


def test_without_a_slice_there_is_no_embedding() -> None:
    slices, attention = drawn([2, 3]), made_attention()
    found = attention.pool(Slices(slices.values, np.array([0, 0, 2, 2, 5, 5])))
    assert np.isnan(found).all(axis=1).tolist() == [True, False, True, False, True]
    assert (found[[1, 3]] == attention.pool(slices)).all()
    assert attention.pool(Slices(slices.values[:0], np.array([0, 0]))).shape == (1, LENGTH)


def test_a_fit_is_the_same_again_and_looks_at_the_slice_that_tells() -> None:
    cohort = one_slice_tells(1, 5.0)
    slices = cohort.stacked(np.arange(len(cohort.keys)))
    first, again = (fit_attention(slices, cohort.outcome, 11) for _ in range(2))
    assert all((getattr(first, name) == getattr(again, name)).all() for name in Attention.__dataclass_fields__)
    moved = cohort.slices[:, :3].sum(axis=1).reshape(len(cohort.keys), SLICES)
    weights = first.weigh(slices).reshape(len(cohort.keys), SLICES)
    events = cohort.outcome == 1
    assert (weights[events].argmax(axis=1) == moved[events].argmax(axis=1)).mean() > 0.9


def test_slices_that_are_all_alike_weigh_the_same() -> None:
    alike = Slices(np.ones((8, LENGTH), np.float32), np.arange(0, 9, 2))
    assert (fit_attention(alike, np.array([0, 1, 0, 1]), 1).weigh(alike) == 1).all()


def test_attention_beats_the_largest_and_the_mean_where_one_slice_tells_and_nothing_where_none_does() -> None:
    planted = one_slice_tells(2, 1.2)
    found = {way: held_out_auc(planted, way) for way in (Pooling.ATTENTION, Pooling.LARGEST, Pooling.AREA_MEAN)}
    assert found[Pooling.ATTENTION] > 0.9, found
    assert found[Pooling.ATTENTION] > max(found[Pooling.LARGEST], found[Pooling.AREA_MEAN]) + 0.1, found
    # Its standard error at 30 of 90 is 0.065.
    noise = [held_out_auc(one_slice_tells(seed, 0.0), Pooling.ATTENTION) for seed in (3, 4)]
    assert max(abs(auc - 0.5) for auc in noise) < 0.17, noise


def test_a_bundle_weighs_as_its_fit_did(tmp_path: Path) -> None:
    cohort = one_slice_tells(5, 0.8)
    chosen = settings(*SMALLEST_JOB, ATTENTION, small=False)
    fit = fit_model(cohort, chosen, SPECS, surroundings(cohort))
    write(tmp_path / "bundle", fit, cohort)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.document["pooling"] == {"kind": "attention", "components": "of_pooled"}
    slices = cohort.stacked(np.arange(len(cohort.keys)))
    assert bundle.model.attention is not None
    assert (bundle.model.embedding(slices) == fit.model.embedding(slices)).all()
