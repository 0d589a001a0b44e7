"""Quantisation: the same cells within what eight bits allow, other sizes and batches too, and clear errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from mfn.cli import main  # noqa: E402
from mfn.export import write_onnx  # noqa: E402
from mfn.network.backbone import Backbone  # noqa: E402
from mfn.network.mfn import MFN  # noqa: E402
from mfn.pictures import write_picture  # noqa: E402
from mfn.quantise import quantise  # noqa: E402


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    torch.manual_seed(0)
    network = MFN(Backbone("conv", [8, 16, 16, 24, 24], [0, 0, 1, 1, 0]), (16, 16), (16, 16))
    with torch.no_grad():
        for level in (network.fine, network.coarse):
            level.out_pose.weight.mul_(20)  # an untrained network says next to nothing
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    write_onnx(network.eval(), path)
    return path


def cells(path, image):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["cells"], {"image": image})[0]


def test_eight_bits_say_nearly_the_same(plain, tmp_path):
    rng = np.random.default_rng(0)
    photos = [np.kron(rng.integers(0, 255, (24, 40, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(4)]
    out = tmp_path / "small.onnx"
    quantise(plain, out, photos)
    image = np.stack([p[:192, :256] for p in photos[:2]])
    exact, told = cells(plain, image), cells(out, image)
    assert told.shape == exact.shape
    moved = exact.std(axis=(0, 1)) > 1e-3
    assert np.abs(told - exact)[..., moved].mean() < 0.1 * exact[..., moved].std(axis=(0, 1)).mean()


def test_command_and_errors(plain, tmp_path, capsys):
    write_picture(tmp_path / "a.png", np.full((90, 160, 3), 90, np.uint8))
    out = tmp_path / "q.onnx"
    assert main(["quantise", str(plain), str(tmp_path / "a.png"), "--out", str(out)]) == 0 and out.is_file()
    assert main(["quantise", str(tmp_path / "none.onnx"), str(tmp_path / "a.png")]) == 1
    assert "no such network" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one picture"):
        quantise(plain, out, [])
