"""Export to ONNX: the file predicts what the network predicts, and says what it is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.inference.decode import decode  # noqa: E402
from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.mfn import MFN  # noqa: E402
from mfn.structures.cells import (  # noqa: E402
    IDENTITY_SIZE,
    PARAMETERS,  # noqa: E402
)
from mfn.structures.head_model import HeadModel  # noqa: E402
from tests.helpers.training import tiny_mfn  # noqa: E402

MODEL = HeadModel.load()

@pytest.mark.parametrize(("mirror", "refine"), [(False, 0), (True, 0), (True, 8)])
def test_export_agrees_with_torch(tmp_path, mirror, refine, recwarn):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from mfn.models.export.to_onnx import enable_mirror_tta, write_onnx

    network = tiny_mfn(refinement_channels=refine).eval()
    if mirror:
        enable_mirror_tta(network)
    if refine:
        network.refiner.out.weight.data.normal_(std=0.02)  # an untrained one changes nothing
        network.coarse.out_box.weight.data *= 100  # and has no best cells
    for p in network.parameters():
        p.data = p.data.half().float()  # what the file keeps
    path = tmp_path / "tiny.onnx"
    write_onnx(network, path)
    assert not [warning for warning in recwarn if issubclass(warning.category, torch.jit.TracerWarning)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for shape in ((1, 64, 64), (3, 128, 192), (2, 80, 208), (1, 16, 16)):
        image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
        ours = network(torch.from_numpy(image).permute(0, 3, 1, 2).float()).detach().numpy()
        theirs = session.run(["cells"], {"image": image})[0]
        np.testing.assert_allclose(theirs, ours, rtol=1e-2, atol=2e-2)
        assert decode(theirs, shape[1], shape[2]).identity.shape[1] == IDENTITY_SIZE
    assert not list(tmp_path.glob("*.part"))


def test_looks_are_chosen_when_a_network_is_exported():
    from mfn.models.export.to_onnx import set_refinement_steps

    network = tiny_mfn(refinement_channels=8).eval()
    network.refiner.out.bias.data.fill_(0.5)
    picture = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        first = network.forward_features(picture).cells
        for looks in (1, 3):
            set_refinement_steps(network, looks)
            moved = (network(picture) - first)[..., PARAMETERS].amax()
            torch.testing.assert_close(moved, torch.tensor(0.5 * looks), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="--refinement-steps: expected 1 to 9, got 0"):
        set_refinement_steps(network, 0)
    with pytest.raises(ValueError, match="expected an MFN with a refinement head, got MFN without"):
        set_refinement_steps(tiny_mfn(), 1)


@pytest.mark.parametrize(("size", "expected"), [(None, "864x496"), ((352, 208), "352x208")])
def test_the_file_says_what_the_network_is(tmp_path, size, expected):
    onnx = pytest.importorskip("onnx")
    from mfn.models.export.to_onnx import write_onnx
    from mfn.structures.network_metadata import NetworkMetadata

    write_onnx(tiny_mfn().eval(), tmp_path / "tiny.onnx", size)
    props = {p.key: p.value for p in onnx.load(str(tmp_path / "tiny.onnx")).metadata_props}
    assert props["kind"] == "multi_face" and props["input_size"] == expected and props["format"] == "1"
    metadata = NetworkMetadata.from_props(props)
    assert metadata is not None and metadata.float_modules == MFN.float_modules


def test_wrong_sizes_and_networks_are_refused():
    from mfn.models.export.to_onnx import enable_mirror_tta, network_metadata
    from mfn.models.sfn import SFN

    crop_network = SFN(Backbone("conv", [8, 8, 16, 16, 16], [0, 0, 0, 0, 0]), 16, 16)
    assert network_metadata(crop_network).input_size == (128, 128)
    with pytest.raises(ValueError, match="expected multiples of 16 px, got 350x208"):
        network_metadata(tiny_mfn(), (350, 208))
    with pytest.raises(ValueError, match="a network of one crop has the size 128x128"):
        network_metadata(crop_network, (352, 208))
    with pytest.raises(ValueError, match="expected a class attribute `kind`"):
        network_metadata(torch.nn.Identity())
    with pytest.raises(ValueError, match="--mirror-tta: expected the multi-face network MFN, got SFN"):
        enable_mirror_tta(crop_network)
