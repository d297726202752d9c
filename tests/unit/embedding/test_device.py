"""Where networks are computed."""

import subprocess
import sys

import pytest
import torch

from cvtbatch.embedding.device import choose_device, visible_gpus
from cvtbatch.errors import ResourceError


def test_a_device_that_is_not_there_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto", "outline.device").type == choose_device("cpu", "outline.device").type == "cpu"
    with pytest.raises(ResourceError, match=r"^outline\.device is cuda") as caught:
        choose_device("cuda", "outline.device")
    assert caught.value.kind == "no_gpu"


def test_a_device_that_is_there_is_taken_but_where_the_cpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    chosen = [choose_device(wanted, "outline.device").type for wanted in ("auto", "cuda", "cpu")]
    assert chosen == ["cuda", "cuda", "cpu"]


@pytest.mark.parametrize(
    ("visible", "names"), [("", ("0", "1")), ("GPU-a, GPU-b", ("GPU-a", "GPU-b")), ("3", ("0", "1"))]
)
def test_gpus_are_named_as_they_are_selected(
    visible: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == names


def test_outlining_loads_no_torchvision() -> None:
    code = "import sys, cvtbatch.outlining.segmentation; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
