"""Tests of int8 quantization: accuracy, float32 parts, the uint8 input, the packed stem and error messages."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from mfn.cli.main import main  # noqa: E402
from mfn.cli.training.export import sample_pictures  # noqa: E402
from mfn.inference.single_face import SingleFace  # noqa: E402
from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.export.deployment import OnnxForm  # noqa: E402
from mfn.models.export.pack_columns import widen_kernel  # noqa: E402
from mfn.models.export.quantize import quantize  # noqa: E402
from mfn.models.export.to_onnx import enable_mirror_tta, write_onnx  # noqa: E402
from mfn.models.mfn import MFN  # noqa: E402
from mfn.models.sfn import Regressor  # noqa: E402
from retarget.io.images import write_image  # noqa: E402


def photos(count):
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (count, 24, 40, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)


def trained():
    """Return a network whose batch normalization has the statistics of pictures, as after training."""
    torch.manual_seed(0)
    network = MFN(Backbone("conv", [8, 16, 16, 24, 24], [0, 0, 1, 1, 0]), (16, 16), (16, 16), refinement_channels=8, refinement_steps=2)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.from_numpy(photos(4)).permute(0, 3, 1, 2).float())
    return network.eval()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    write_onnx(trained(), path)
    return path


def cells(path, image):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["cells"], {"image": image})[0]


def test_int8_cells_are_close_to_float_cells(plain, tmp_path):
    out = tmp_path / "small.onnx"
    quantize(plain, out, list(photos(4)))
    image = photos(2)[:, :192, :256]
    expected, quantized = cells(plain, image), cells(out, image)
    assert quantized.shape == expected.shape
    centered = [(c - c.mean((0, 1))).ravel() for c in (expected, quantized)]
    assert np.corrcoef(*centered)[0, 1] > 0.93, "random weights lose more precision than trained ones"


def test_the_refiner_stays_in_float32(plain, tmp_path):
    import onnx

    out = tmp_path / "small.onnx"
    quantize(plain, out, list(photos(2)))
    nodes = onnx.load(str(out)).graph.node
    kinds = {n.op_type for n in nodes if "/refiner/" in n.name}
    assert "Gemm" in kinds and not {k for k in kinds if k.startswith(("QLinear", "Quantize"))}
    assert any(n.op_type == "DequantizeLinear" for n in nodes), "the other parts are int8"
    for name in MFN.float_modules:
        own = [n for n in nodes if n.op_type in ("Conv", "Gemm") and n.name.startswith(f"/network/{name}")]
        assert own, f"expected a module {name} in the network"
        quantized = {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"}
        assert not any(quantized.intersection(n.input[1:]) for n in own), f"{name} has to stay in float32"


def test_the_output_heads_stay_in_float32(plain, tmp_path):
    import onnx

    out = tmp_path / "small.onnx"
    quantize(plain, out, list(photos(2)))
    graph = onnx.load(str(out)).graph
    producer = {name: n for n in graph.node for name in n.output}
    pending, visited = ["cells"], set()
    while pending:  # from the cells back to the matrix products
        node = producer.get(pending.pop())
        if node is not None and id(node) not in visited:
            visited.add(id(node))
            assert node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] not in producer, node.name
            if node.op_type != "MatMul" and "/refiner/" not in node.name:
                pending += node.input
    assert sum(n.op_type == "MatMul" and "/refiner/" not in n.name for n in graph.node) == 4 * 4, "4 products in each of 4 heads"


def test_the_input_is_uint8(plain, tmp_path):
    import onnx
    from onnx import numpy_helper

    out = tmp_path / "small.onnx"
    quantize(plain, out, list(photos(2)))
    graph = onnx.load(str(out)).graph
    names, consumers = {"image"}, []
    for node in graph.node:  # in the order of execution
        if names.intersection(node.input):
            if node.op_type in ("Transpose", "Reshape"):
                names.update(node.output)
            elif node.op_type != "Shape":
                consumers.append(node)
    assert {n.op_type for n in consumers} == {"DequantizeLinear"} and len(consumers) == 2, "the first convolution and the downsampling"
    scale = next(numpy_helper.to_array(t) for t in graph.initializer if t.name == consumers[0].input[1])
    assert scale == np.float32(1 / 64), "the divisor of the network's input"


@pytest.mark.parametrize("mirror", [False, True])
def test_packed_columns_give_identical_cells(plain, tmp_path, monkeypatch, mirror):
    import onnx

    source = plain
    if mirror:
        network = trained()
        source = tmp_path / "mirror.onnx"
        write_onnx(enable_mirror_tta(network), source)
    counts = []

    def count(graph):
        counts.append(sum(n.op_type == "Conv" for n in graph.node))
        return 0

    quantize(source, tmp_path / "columns.onnx", list(photos(2)))
    monkeypatch.setattr("mfn.models.export.quantize.pack_columns", count)
    quantize(source, tmp_path / "plain.onnx", list(photos(2)))
    graph = onnx.load(str(tmp_path / "columns.onnx")).graph
    wide = [n for n in graph.node if n.op_type == "Conv" and any(a.name == "strides" and list(a.ints) == [2, 1] for a in n.attribute)]
    assert len(wide) == 5 and counts == [sum(n.op_type == "Conv" for n in graph.node)], "three first convolutions and two downsamplings"
    for height, width in ((16, 16), (64, 16), (16, 112), (192, 336)):
        image = np.random.default_rng(height).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
        np.testing.assert_array_equal(cells(tmp_path / "columns.onnx", image), cells(tmp_path / "plain.onnx", image))


@pytest.mark.parametrize(("size", "left", "columns"), [(3, 1, 4), (3, 1, 8), (2, 0, 16), (2, 0, 8), (5, 2, 4)])
def test_widened_kernels_give_the_same_convolution(size, left, columns):
    rng = np.random.default_rng(size)
    kernel, x = rng.normal(size=(5, 3, size, size)), rng.normal(size=(1, 3, 8, 32))
    wide, before, after = widen_kernel(kernel, left, columns)
    assert (before, after) == (left > 0, size == 5)
    rows = torch.from_numpy(x.transpose(0, 2, 3, 1).reshape(1, 8, 32 // columns, -1).transpose(0, 3, 1, 2))
    rows = torch.nn.functional.pad(rows, (before, after, left, size - 2 - left))
    actual = torch.nn.functional.conv2d(rows, torch.from_numpy(wide), stride=(2, 1)).permute(0, 2, 3, 1).reshape(1, -1, 16, 5)
    padded = torch.nn.functional.pad(torch.from_numpy(x), (left, size - 2 - left, left, size - 2 - left))
    expected = torch.nn.functional.conv2d(padded, torch.from_numpy(kernel), stride=2)
    torch.testing.assert_close(actual.permute(0, 3, 1, 2), expected)


def test_the_command_and_its_error_messages(plain, tmp_path, capsys):
    write_image(tmp_path / "a.png", np.full((90, 160, 3), 90, np.uint8))
    out = tmp_path / "q.onnx"
    assert main(["quantize", str(plain), str(tmp_path / "a.png"), "--out", str(out)]) == 0 and out.is_file()
    assert main(["quantize", str(tmp_path / "none.onnx"), str(tmp_path / "a.png")]) == 1
    assert "no such network" in capsys.readouterr().err
    assert main(["quantize", str(tmp_path / "a.png"), str(tmp_path / "a.png"), "--out", str(tmp_path / "x.onnx")]) == 1
    assert "a.png: expected an ONNX file" in capsys.readouterr().err and not (tmp_path / "x.onnx").exists()
    assert main(["quantize", str(plain), str(tmp_path / "a.png"), "--max-pictures", "0"]) == 2
    assert "expected a whole number, 1 or more" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one calibration picture"):
        quantize(plain, out, [])


@pytest.mark.parametrize("form", [OnnxForm(batch=4), OnnxForm(size=(320, 320)), OnnxForm(half=True), OnnxForm(batch=1, size=(320, 320))])
def test_networks_for_other_runtimes_are_refused(form, tmp_path):
    write_onnx(trained(), tmp_path / "other.onnx", form=form)
    with pytest.raises(ValueError, match=r"other\.onnx: expected a network for our runtime; run `mfn export` again without"):
        quantize(tmp_path / "other.onnx", tmp_path / "small.onnx", list(photos(1)))
    assert not (tmp_path / "small.onnx").exists()


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (3, [0, 2, 5]), (6, list(range(6))), (100, list(range(6)))])
def test_pictures_are_spread_over_the_names(count, expected, tmp_path):
    names = [str(tmp_path / f"{number}.png") for number in range(6)]
    for number, name in enumerate(names):
        write_image(name, np.full((8, 8, 3), number, np.uint8))
    assert [int(picture[0, 0, 0]) for picture in sample_pictures(names, count)] == expected
    assert sample_pictures([], count) == []


def test_a_network_of_integers_is_refused(plain, tmp_path):
    write_onnx(Regressor(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 1, 1])).eval(), tmp_path / "one_face.onnx")
    for source, pictures in ((plain, list(photos(1))), (tmp_path / "one_face.onnx", [])):
        quantize(source, tmp_path / "small.onnx", pictures)
        with pytest.raises(ValueError, match=r"small\.onnx: expected a network that `mfn export` wrote, got one of 8-bit integers"):
            quantize(tmp_path / "small.onnx", tmp_path / "smaller.onnx", pictures)


def test_a_face_reader_is_exported_quantized_and_read(tmp_path, monkeypatch, head_model):
    from mfn.inference.readers.face_reader import Reader
    from mfn.models.readers.face_reader import FaceReader
    from tests.helpers.faces import random_faces

    torch.manual_seed(0)
    network = FaceReader((8, 8, 16, 16), (0, 0, 0, 0), 8, 16).eval()
    write_onnx(network, tmp_path / "reader.onnx")
    faces = random_faces(5).replace(center=np.full((5, 2), 64))

    class Finder:
        """Finds the same faces in every picture."""

        @staticmethod
        def load(weights: str, *, reader: bool) -> object:
            assert weights == "large" and reader is False
            return lambda picture: faces

    monkeypatch.setattr("mfn.models.export.quantize.Predictor", Finder)
    quantize(tmp_path / "reader.onnx", tmp_path / "int8.onnx", list(photos(2)))
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float()).numpy()
    for name, tolerance in (("reader", 0.01), ("int8", 0.1)):
        reader = Reader.load(tmp_path / f"{name}.onnx")
        assert reader.network.size_px == 64
        np.testing.assert_allclose(reader.network.session.run(None, {"image": crops})[0], expected, atol=tolerance)
    monkeypatch.setattr(Finder, "load", staticmethod(lambda weights, reader: lambda picture: faces[[]]))
    with pytest.raises(ValueError, match="expected calibration pictures with faces, found none"):
        quantize(tmp_path / "reader.onnx", tmp_path / "none.onnx", list(photos(2)))


def test_an_eye_reader_is_exported_quantized_and_read(tmp_path, monkeypatch, capsys):
    from mfn.inference.readers.eye_reader import EyeReader as Reader
    from mfn.models.readers.eye_reader import EyeReader
    from tests.helpers.faces import random_faces

    torch.manual_seed(0)
    network = EyeReader((8, 16, 16), 16).eval()
    torch.nn.init.normal_(network.correction.weight)
    write_onnx(network, tmp_path / "eyes.onnx")
    faces = random_faces(5).replace(center=np.full((5, 2), 64))

    class Finder:
        """Finds the same faces in every picture."""

        @staticmethod
        def load(weights: str, *, reader: bool) -> object:
            assert weights == "free", "the network for research is not needed"
            return lambda picture: faces

    monkeypatch.setattr("mfn.models.export.quantize.Predictor", Finder)
    for k, picture in enumerate(photos(2)):
        write_image(tmp_path / f"photo{k}.png", picture)
    words = ["quantize", str(tmp_path / "eyes.onnx"), str(tmp_path / "photo0.png"), str(tmp_path / "photo1.png")]
    assert main([*words, "--out", str(tmp_path / "int8.onnx"), "--weights", "free"]) == 0
    assert main([*words, "--weights", "fre"]) == 1 and "did you mean 'free'" in capsys.readouterr().err
    rng = np.random.default_rng(0)
    crops, direction = rng.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8), rng.normal(size=(6, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float(), torch.from_numpy(direction)).numpy()
    assert np.abs(expected).mean() > 0.1
    for name, tolerance in (("eyes", 0.02), ("int8", 0.3)):
        session = Reader.load(tmp_path / f"{name}.onnx").session
        np.testing.assert_allclose(session.run(None, {"image": crops, "direction": direction})[0], expected, atol=tolerance)


def test_of_a_network_of_one_face_the_weights_become_integers(tmp_path, capsys):
    torch.manual_seed(0)
    network = Regressor(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 1, 1])).eval()
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    write_onnx(network, plain)
    assert main(["quantize", str(plain), "--out", str(small)]) == 0
    assert "the quantized network" in capsys.readouterr().out and small.stat().st_size < 0.7 * plain.stat().st_size
    crops = np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3)).astype(np.uint8)
    before, after = (onnxruntime.InferenceSession(str(path)).run(None, {"image": crops})[0] for path in (plain, small))
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max() and (after != before).any()


def test_with_pictures_a_network_of_parameters_computes_in_integers(tmp_path, monkeypatch):
    from tests.helpers.faces import random_faces

    torch.manual_seed(0)
    network = Regressor(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 1, 1])).eval()
    plain, weights, all_parts = (tmp_path / f"{name}.onnx" for name in ("plain", "weights", "all"))
    write_onnx(network, plain)

    class Finder:
        @staticmethod
        def load(weights: str, *, reader: bool) -> object:
            return lambda picture: random_faces(4).replace(center=np.full((4, 2), 64))

    monkeypatch.setattr("mfn.models.export.quantize.Predictor", Finder)
    quantize(plain, weights, [])
    quantize(plain, all_parts, list(photos(3)))
    kinds = [{node.op_type for node in onnx.load(str(path)).graph.node} for path in (weights, all_parts)]
    assert ["QuantizeLinear" in each for each in kinds] == [False, True]
    assert all_parts.stat().st_size < 1.1 * weights.stat().st_size
    crops = next(iter(photos(1)))[None, :128, :128]
    before, after = (SingleFace.load(path, threads=1).session.run(None, {"image": crops})[0] for path in (plain, all_parts))
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max() and (after != before).any()


def test_other_networks_are_no_face_readers(spots):
    from mfn.inference.readers.face_reader import Reader

    with pytest.raises(ValueError, match=r"spots.onnx: expected a face reader, `image` uint8 \(B, S, S, 3\) -> `cell`"):
        Reader.load(spots)
