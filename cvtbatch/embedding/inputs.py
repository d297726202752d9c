"""What networks take of a hematoma: slices one by one, each between its neighbours, or all of them as one box; and CT windows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cvtbatch.errors import InputError

Kind = Literal["slice", "neighbours", "box"]
Window = tuple[float, float]  # centre and width, in HU

SIDE = 224
# https://docs.pytorch.org/vision/stable/models: mean and standard deviation of ImageNet's red, green and blue.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Names that `schemas/job.json` knows. Brain, subdural (of a range) and temporal bone are those of
# https://radiopaedia.org/articles/windowing-ct; blood is half as wide as brain, around the 60 HU of clotted blood.
WINDOWS: Mapping[str, Window] = {
    "brain": (40.0, 80.0),
    "blood": (60.0, 40.0),
    "subdural": (80.0, 200.0),
    "bone": (600.0, 2800.0),
}


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """What a network takes.

    Attributes:
        kind: "slice", one; "neighbours", whose three channels are the slice below, the slice and the one above, at the volume's
            ends the slice itself; "box", the slices that the outline spans, as one.
        side: rows and columns that a slice is resized to.
        depth: slices that a box is resized to; 1 for what is none.
        mean, std: by which each channel is normalised, of values from 0 to 1.
        windows: of the channels, unless a job names others; none for the job's one window in all of them.

    Raises:
        InputError: "bad_backbone": these do not go together.
    """

    kind: Kind = "slice"
    side: int = SIDE
    depth: int = 1
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        of_channels = len(self.mean)
        wrong = {
            "mean and std have as many numbers, one a channel": of_channels == 0 or len(self.std) != of_channels,
            "std is above zero": min(self.std, default=0) <= 0,
            "side and depth are whole numbers above zero": min(self.side, self.depth) < 1,
            "a depth other than 1 is that of a box": self.kind != "box" and self.depth != 1,
            "neighbours are three channels": self.kind == "neighbours" and of_channels != 3,
            "neighbours are of one window": self.kind == "neighbours" and self.windows != (),
            "windows are one a channel, or none": self.windows != () and len(self.windows) != of_channels,
        }
        if told := [rule for rule, broken in wrong.items() if broken]:
            raise InputError("bad_backbone", f"a network's input: {'; '.join(told)}")

    @property
    def channels(self) -> int:
        """How many channels it takes."""
        return len(self.mean)


# What torchvision's image networks take.
IMAGENET = NetworkInput()
