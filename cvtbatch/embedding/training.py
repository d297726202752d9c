"""How the backbone is tuned: what a job says of it, without the library that does it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of a fine-tuning; ranges and defaults stand in `schemas/job.json`, section finetune.

    Attributes:
        epochs: at most so many.
        patience: epochs without a better loss of the held-out patients, after which it stops.
        batch: slices of a training step.
        learning_rate, weight_decay: of AdamW.
        holdout_share: of the patients of each class, for early stopping.
        seed: of hold-out, order, augmentation and head.
    """

    epochs: int
    patience: int
    batch: int
    learning_rate: float
    weight_decay: float
    holdout_share: float
    seed: int
