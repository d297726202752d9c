"""Where weights come from, what is refused, and their identity."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.numpy import save_file

from cvtbatch.embedding import weights
from cvtbatch.embedding.architectures import DEFAULT
from cvtbatch.embedding.weights import Weights, load_weights, random_weights
from cvtbatch.errors import InputError
from tests.support.file_server import FileServer
from tests.support.ports import free_port

RANDOM_0 = "6dc1708648bcaf6a50811aff01bd9f9ef0b44764e6189a30734d695ea9ac525e"


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Weights of a network of a few layers, where ResNet101's would be, to keep files small."""
    names = ("conv1.weight", "bn1.bias", "bn1.running_var", "layer3.22.conv2.weight")
    small = {name: shape for name, shape in weights.shapes(DEFAULT).items() if name in names}
    monkeypatch.setattr(weights, "shapes", lambda _: small)
    return random_weights.__wrapped__(0)


def problem_of(name: object) -> str:
    with pytest.raises(InputError) as raised:
        load_weights(str(name))
    assert raised.value.kind in {"bad_weights", "no_weights"}
    return str(raised.value)


def test_a_seed_gives_the_same_weights_on_every_machine() -> None:
    found = load_weights("random:0")
    assert (found.source, found.not_for_inference, found.sha256) == ("random:0", True, RANDOM_0)
    assert "takes a seed" in problem_of("random:zero")


def test_random_weights_have_torchvisions_distributions() -> None:
    tensors = random_weights(0).tensors
    stock = torchvision.models.resnet101(weights=None).state_dict()
    for name, values in tensors.items():
        if values.ndim == 4:
            assert values.std() == pytest.approx(float(stock[name].std()), rel=0.05), name
            assert abs(values.mean()) < 4 * values.std() / np.sqrt(values.size)
        else:
            np.testing.assert_array_equal(values, stock[name].numpy(), err_msg=name)
    largest = [name for name, values in tensors.items() if values.shape == (512, 512, 3, 3)]
    assert len({tensors[name].tobytes() for name in largest}) == len(largest) > 1


def test_a_file_is_known_by_its_tensors_whatever_holds_them(trial: Weights, tmp_path: Path) -> None:
    whole = {**trial.tensors, "fc.weight": np.ones((2, 2048), np.float32), "bn1.num_batches_tracked": np.array(3)}
    save_file(whole, tmp_path / "a.safetensors", {"cohort_digest": "c", "training_centers": '["A"]', "seed": "1"})
    torch.save({name: torch.tensor(values) for name, values in trial.tensors.items()}, tmp_path / "b.pth")
    found = [load_weights(str(tmp_path / name)) for name in ("a.safetensors", "b.pth")]
    assert [(item.source, item.sha256, item.not_for_inference) for item in found] == [("file", trial.sha256, False)] * 2
    assert found[0].settings()["fine_tuned"] == {"cohort_digest": "c", "training_centers": '["A"]'}
    again = weights.from_bytes(weights.to_bytes(trial), "random:0")
    assert (again.sha256, again.not_for_inference) == (trial.sha256, True)
    changed = {**trial.tensors, "bn1.bias": trial.tensors["bn1.bias"] + np.float32(1e-7)}
    assert weights.tensor_digest(changed) != trial.sha256


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layer3.22.conv2.weight": None}, "layer3.22.conv2.weight is missing"),
        ({"layer4.3.conv1.weight": np.zeros((1,), np.float32)}, "layer4.3.conv1.weight is not one of its keys"),
        (
            {"conv1.weight": np.zeros((64, 1, 7, 7), np.float32)},
            "conv1.weight has shape [64, 1, 7, 7], not [64, 3, 7, 7]",
        ),
        ({"bn1.bias": np.zeros(64, np.int64)}, "bn1.bias holds int64, not floats"),
        ({"bn1.bias": np.full(64, np.nan, np.float32)}, "bn1.bias holds values that are not finite"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    trial: Weights, tmp_path: Path, change: Mapping[str, np.ndarray | None], told: str
) -> None:
    changed = {name: values for name, values in {**trial.tensors, **change}.items() if values is not None}
    with pytest.raises(InputError, match="not a state dict of torchvision's resnet101") as raised:
        weights.from_bytes(_safetensors(changed), "file")
    assert told in raised.value.message


def _safetensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return bytes(save(dict(tensors)))


def test_other_files_are_refused_with_a_reason(tmp_path: Path) -> None:
    assert "as a file: there is no such file" in problem_of(tmp_path / "absent.pth")
    assert "did you mean 'imagenet'? it is imagenet, imagenet-v2" in problem_of(Path("imagenett"))
    for name in ("x.safetensors", "x.pth"):
        (tmp_path / name).write_bytes(b"neither" * 20)
        assert "is no " in problem_of(tmp_path / name)
    torch.save({"model": {"conv1.weight": torch.zeros(1)}}, tmp_path / "nested.pth")
    assert "save model.state_dict()" in problem_of(tmp_path / "nested.pth")


def test_a_pickle_that_asks_for_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    assert "is no state dict" in problem_of(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    nobody = f"http://127.0.0.1:{free_port()}"
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, nobody)
    for name, file in (("imagenet", "resnet101-63fe2227.pth"), ("imagenet-v2", "resnet101-cd907fc2.pth")):
        told = problem_of(name)
        assert f"fetch https://download.pytorch.org/models/{file}" in told
        assert f"put it at {tmp_path / 'hub' / 'checkpoints' / file}" in told
        assert "Connection refused" in told
        assert "--set embedding.weights=none" in told
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


def test_a_download_is_cached_and_checked_each_time(
    trial: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file_server: FileServer,
) -> None:
    buffer = io.BytesIO()
    torch.save({name: torch.tensor(values) for name, values in trial.tensors.items()}, buffer)
    data = buffer.getvalue()
    name = f"resnet101-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    file_server.files[f"/models/{name}"] = data
    url = f"{file_server.url}/models/{name}"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    offered = {"IMAGENET1K_V1": SimpleNamespace(url=url)}
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: offered)
    for _ in range(2):
        found = load_weights("imagenet")
        assert (found.source, found.sha256, found.not_for_inference) == ("imagenet", trial.sha256, False)
    assert file_server.asked == [f"/models/{name}"]
    assert capsys.readouterr().out == ""
    [cached] = (tmp_path / "hub" / "checkpoints").iterdir()
    cached.write_bytes(data[:-1] + b"x")
    assert f"{cached} is not the file of that name" in problem_of("imagenet")
