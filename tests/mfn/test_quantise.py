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
from mfn.quantise import EXACT, quantise  # noqa: E402


def photos(count):
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (count, 24, 40, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    torch.manual_seed(0)
    network = MFN(Backbone("conv", [8, 16, 16, 24, 24], [0, 0, 1, 1, 0]), (16, 16), (16, 16), refine=8, looks=2)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():  # so that maps have the size that training gives them
        network.train()(torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float())
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    write_onnx(network.eval(), path)
    return path


def cells(path, image):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["cells"], {"image": image})[0]


def test_eight_bits_say_nearly_the_same(plain, tmp_path):
    out = tmp_path / "small.onnx"
    quantise(plain, out, list(photos(4)))
    image = photos(2)[:, :192, :256]
    exact, told = cells(plain, image), cells(out, image)
    assert told.shape == exact.shape
    centred = [(c - c.mean((0, 1))).ravel() for c in (exact, told)]
    assert np.corrcoef(*centred)[0, 1] > 0.93, "random weights leave eight bits less room than trained ones"


def test_the_second_look_stays_exact(plain, tmp_path):
    import onnx

    out = tmp_path / "small.onnx"
    quantise(plain, out, list(photos(2)))
    nodes = onnx.load(str(out)).graph.node
    kinds = {n.op_type for n in nodes if "/refiner/" in n.name}
    assert "Gemm" in kinds and not {k for k in kinds if k.startswith(("QLinear", "Quantize"))}
    assert any(n.op_type == "DequantizeLinear" for n in nodes), "the rest is in eight bits"
    unknown = {part for part in EXACT if not any(part in n.name for n in nodes)}
    assert not unknown, "a part of the network has another name now and would go into eight bits unnoticed"


def test_the_picture_goes_in_as_its_bytes(plain, tmp_path):
    import onnx
    from onnx import numpy_helper

    out = tmp_path / "small.onnx"
    quantise(plain, out, list(photos(2)))
    graph = onnx.load(str(out)).graph
    (first,) = [n for n in graph.node if "image" in n.input]
    reads = [n for n in graph.node if first.output[0] in n.input and n.op_type != "Shape"]
    assert first.op_type == "Transpose" and {n.op_type for n in reads} == {"DequantizeLinear"}
    scale = next(numpy_helper.to_array(t) for t in graph.initializer if t.name == reads[0].input[1])
    assert scale == np.float32(1 / 64), "what the network divides by"


def test_command_and_errors(plain, tmp_path, capsys):
    write_picture(tmp_path / "a.png", np.full((90, 160, 3), 90, np.uint8))
    out = tmp_path / "q.onnx"
    assert main(["quantise", str(plain), str(tmp_path / "a.png"), "--out", str(out)]) == 0 and out.is_file()
    assert main(["quantise", str(tmp_path / "none.onnx"), str(tmp_path / "a.png")]) == 1
    assert "no such network" in capsys.readouterr().err
    assert main(["quantise", str(tmp_path / "a.png"), str(tmp_path / "a.png"), "--out", str(tmp_path / "x.onnx")]) == 1
    assert "a.png: not an ONNX file" in capsys.readouterr().err and not (tmp_path / "x.onnx").exists()
    assert main(["quantise", str(plain), str(tmp_path / "a.png"), "--most", "0"]) == 1
    assert "--most 0: expected 1 or more" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one picture"):
        quantise(plain, out, [])
