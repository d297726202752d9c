"""Where the outlining network's weights come from, what is done to them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from cvtbatch import downloads
from cvtbatch.downloads import DATA_SETS
from cvtbatch.errors import InputError
from cvtbatch.outlining.weights import DATA_SET, Weights, from_bytes, load_weights, shapes, to_bytes
from tests.support.outside_data import outside
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def blank() -> Weights:
    return Weights(
        tuple({name: np.full(shape, value, np.float32) for name, shape in shapes().items()} for value in (0, 1))
    )


def test_published_files_are_read_whole_and_without_denormals() -> None:
    folder = outside("blast_ct")
    weights = load_weights()
    assert len(weights.members) == 3
    for number, member in enumerate(weights.members, start=1):
        state = torch.load(folder / f"model_{number}.pt", map_location="cpu", weights_only=True)
        assert sum(values.size for values in member.values()) > 1_032_797  # with what BatchNorm counted
        for name, values in member.items():
            stock = state[name].numpy()
            np.testing.assert_array_equal(values, np.where(np.abs(stock) < 1e-12, 0, stock))
        kernels = np.concatenate([values.ravel() for name, values in member.items() if "conv" in name])
        assert (kernels == 0).any()
        assert np.abs(kernels[kernels != 0]).min() >= 1e-12


def test_safetensors_hold_the_same_weights_under_the_same_identity(blank: Weights) -> None:
    again = from_bytes(to_bytes(blank))
    assert again.sha256 == blank.sha256
    assert len(again.members) == 2
    np.testing.assert_array_equal(again.members[1]["fully_connected.2.conv.weight"], np.ones((5, 250, 1, 1, 1)))
    assert Weights(blank.members[::-1]).sha256 != blank.sha256
    assert Weights(blank.members[:1]).sha256 != blank.sha256


@pytest.mark.parametrize("wrong", ["missing", "shape", "finite", "unknown", "type"])
def test_what_is_not_such_a_network_is_refused(blank: Weights, wrong: str) -> None:
    name = "path(3, 3, 3)1.path.4.conv.weight"
    tensors = load(to_bytes(Weights(blank.members[:1])))
    match wrong:
        case "missing":
            del tensors[f"0/{name}"]
        case "shape":
            tensors[f"0/{name}"] = tensors[f"0/{name}"][:39]
        case "finite":
            tensors[f"0/{name}"][3, 3, 1, 1, 1] = np.nan
        case "unknown":
            tensors[f"0/{name}.more"] = tensors[f"0/{name}"]
        case "type":
            tensors[f"0/{name}"] = tensors[f"0/{name}"].astype(np.float64)
    with pytest.raises(InputError, match=r"path\(3, 3, 3\)1.path.4.conv.weight") as refused:
        from_bytes(save(tensors))
    assert refused.value.kind == "bad_weights"


def test_bytes_that_are_no_safetensors_file_are_refused() -> None:
    with pytest.raises(InputError, match="no safetensors file"):
        from_bytes(b"nothing of the kind")


def test_a_machine_without_network_is_told_which_files_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CVTBATCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(downloads.DataSet, "url", lambda _, name: f"{nowhere}/{name}")
    with pytest.raises(InputError) as refused:
        load_weights()
    assert refused.value.kind == "no_weights"
    for name in DATA_SETS[DATA_SET].files():
        assert f"{nowhere}/{name}" in refused.value.message
    assert str(tmp_path / "cvtbatch" / "blast_ct" / "model_1.pt") in refused.value.message
    monkeypatch.setenv("CVTBATCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"has no blast_ct/model_1\.pt"):
        load_weights()
