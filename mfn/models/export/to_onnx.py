"""`mfn export`: a trained network as an ONNX file that needs neither torch nor this package's training half.

The graph is the network alone, uint8 picture in, raw cells out, any batch and any size that the strides divide; `mfn.inference.decode` is the one
place that reads cells. A network of one face takes crops of one size and gives parameters, points or a position map (see `mfn.inference.single_face`).
Weights are stored as float16 (half the file) and computed with in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mfn.structures.cells import CELL_SIZE
from mfn.structures.crop_geometry import CROP_SIZE
from retarget.io.files import atomic_write

OPSET = 17
LARGE = 256  # tensors of fewer numbers stay float32: biases, shapes


class FromPixels(nn.Module):
    """A network behind the door that pictures come through: (B, H, W, 3) uint8 RGB -> what the network gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> cells (B, A, D), or what a network of one face gives, float32"""
        return self.network(image.permute(0, 3, 1, 2).float())


def read_twice(network: nn.Module) -> nn.Module:
    """The multi-face network, reading the largest faces in mirror, too."""
    from mfn.models.mfn import MFN
    from mfn.structures.flip import cell_flip
    from mfn.structures.head_model import HeadModel

    if not isinstance(network, MFN):
        raise ValueError(f"--mirror: expected the multi-face network MFN, got {type(network).__name__}")
    network.read_twice(cell_flip(HeadModel.load().identity_mirror))
    return network


def look_again(network: nn.Module, looks: int) -> None:
    """From now on the multi-face network looks at found faces so many times again."""
    from mfn.models.mfn import MFN

    if not isinstance(network, MFN) or network.refiner is None:
        raise ValueError(f"--looks: expected the multi-face network MFN with a second look, got {type(network).__name__} without")
    if not 1 <= looks <= 9:
        raise ValueError(f"--looks: expected 1 to 9, got {looks}")
    network.refiner.looks = looks


def load_network(configs: Sequence[Path], checkpoint: Path) -> nn.Module:
    """The network of a configuration (of several: each over those before it) with the (averaged) weights of a checkpoint.

    Nothing in the checkpoint is executed.
    """
    from lightning.pytorch.cli import LightningCLI

    from mfn.training.multi_face import read_state

    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; `mfn fit` writes them below trainer.default_root_dir")
    cli = LightningCLI(run=False, args=[a for config in configs for a in ("--config", str(config))], save_config_callback=None)
    state = read_state(checkpoint)
    network: nn.Module = cli.model.network
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        names = ", ".join(str(c) for c in configs)
        raise ValueError(f"{checkpoint}: not the weights of the network of {names}; give every --config it was trained with") from error
    return network.eval()


def write_onnx(network: nn.Module, path: Path) -> None:
    """Writes the network (in eval mode) whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: _write_onnx(network, temporary))


def _write_onnx(network: nn.Module, path: Path) -> None:
    import onnx

    name, side = what_it_gives(network)
    axes: dict[str, dict[int, str]] = {"image": {0: "B"}, name: {0: "B"}}
    if name == "cells":
        axes = {"image": {0: "B", 1: "H", 2: "W"}, name: {0: "B", 1: "A"}}
    torch.onnx.export(
        FromPixels(network).eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(1, side, side, 3, dtype=torch.uint8),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=[name],
        dynamic_axes=axes,
    )
    model = onnx.load(str(path))
    store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@torch.no_grad()
def what_it_gives(network: nn.Module) -> tuple[str, int]:
    """The name of a network's output, and the side of a picture it can take: told by the output's shape for one crop."""
    given = network(torch.zeros(1, 3, CROP_SIZE, CROP_SIZE))
    if given.ndim == 3 and given.shape[2] == CELL_SIZE:
        return "cells", 384
    names = {2: "parameters", 3: "points", 4: "position_map"}
    return names[given.ndim], CROP_SIZE


def store_half(model: Any) -> None:
    """Turns large float32 constants of an ONNX model into float16 ones behind a Cast, in place. ONNX Runtime casts once, when it loads."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < LARGE:
            continue
        if np.abs(value).max() > np.finfo(np.float16).max:
            raise ValueError(f"{tensor.name}: a weight of {np.abs(value).max():.3g} does not fit float16")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for i, node in enumerate(casts):
        graph.node.insert(i, node)


def main(args: Sequence[str]) -> None:
    """`mfn export --config C --checkpoint K [--mirror] [--looks N] [--out F]`"""
    from argparse import HelpFormatter

    from jsonargparse import ArgumentParser

    parser: Any = ArgumentParser(
        prog="mfn export",
        usage="mfn export --config FILE.yaml --checkpoint FILE.ckpt [--mirror] [--looks N] [--out mfn.onnx]",
        description="A trained network as an ONNX file.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--config", type=str, action="append", required=True, metavar="FILE", help="the YAML it was trained with; all, in their order"
    )
    parser.add_argument("--checkpoint", type=str, required=True, metavar="FILE", help="Lightning's, of that training")
    parser.add_argument("--mirror", action="store_true", help="MFN: reads large faces twice, once in mirror, and gives the mean")
    parser.add_argument("--looks", type=int, metavar="N", help="MFN: look at found faces N times again (default: as the YAML says)")
    parser.add_argument("--out", type=str, default="mfn.onnx", metavar="FILE", help="file to write (default: %(default)s)")
    options = parser.parse_args(list(args))
    configs, checkpoint, out = [Path(c) for c in options.config], Path(options.checkpoint), Path(options.out)
    for config in configs:
        if not config.is_file():
            raise FileNotFoundError(f"{config}: no such configuration")
    network = load_network(configs, checkpoint)
    if options.looks is not None:
        look_again(network, options.looks)
    write_onnx(read_twice(network) if options.mirror else network, out)
    print(f"wrote {out}")
