"""The learning curve of a fine-tuning, drawn."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cvtbatch.embedding.finetuning import Epoch


def draw_learning_curve(curve: "Sequence[Epoch]", best_epoch: int) -> bytes:
    """Return a PNG of the losses over the epochs, and of the epoch that was kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    losses = [epoch.training_loss for epoch in curve if epoch.training_loss is not None]
    axes.plot(range(1, len(losses) + 1), losses, label="training")
    axes.plot([epoch.number for epoch in curve], [epoch.holdout_loss for epoch in curve], label="held-out patients")
    axes.axvline(best_epoch, color="gray", linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set(xlabel="epoch", ylabel="weighted cross-entropy")
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
