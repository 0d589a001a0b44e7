"""Reading of trained weights: safetensors files and Lightning checkpoints. Nothing in a file is executed."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retarget.io.files import atomic_write

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

RUN_OPTIONS = {"ckpt_path", "weights_only", "verbose", "return_predictions"}  # of `fit`, `validate`, `test` and `predict`
BASE_FILE, BASE_TENSORS = "base", "base_tensors"  # notes of a safetensors file: the base's name, and a JSON list of the tensors it gives
NO_TRAINER = ("--seed_everything=false", *(f"--trainer.{name}=null" for name in ("logger", "callbacks", "plugins", "profiler")))
NETWORK_PREFIX = "network."  # of the names in a checkpoint of a training system, which also holds other modules


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the weights of a network.

    Args:
        path: A safetensors file, or a Lightning checkpoint (.ckpt) of a training system with a module `network`. A safetensors file that
            `write_state` wrote with a base holds some of the tensors; the others come from the base, in the same folder.

    Returns:
        Name of each tensor in the network -> tensor; floating-point tensors are float32.

    Raises:
        FileNotFoundError: No such file, or its base is missing.
        ValueError: The file is damaged or of another kind, or its base lacks a tensor.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected weights to start from, a .safetensors or .ckpt file; no such file")
    state = _read_checkpoint(path) if path.suffix == ".ckpt" else _read_safetensors(path)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the module `network` in a Lightning checkpoint."""
    state = _read_system(path)
    return {name.removeprefix(NETWORK_PREFIX): value for name, value in state.items() if name.startswith(NETWORK_PREFIX)}


def _read_system(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the training system in a Lightning checkpoint."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged files
        refused = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        if refused:
            what = f"Python objects of {refused[1]}, which are not read because they could run code"
            remedy = "save the weights alone, or give `mfn fit` --weights_only false"
            raise ValueError(f"{path}: expected numbers and texts beside the weights, got {what}; {remedy}") from None
        raise ValueError(f"{path}: not a checkpoint that can be read (damaged or cut off? {type(error).__name__})") from None
    if not isinstance(saved, dict) or not isinstance(saved.get("state_dict"), dict):
        raise ValueError(f"{path}: expected a checkpoint that `mfn fit` wrote, got a file without state_dict")
    state: dict[str, Tensor] = saved["state_dict"]
    return state


def check_checkpoint(path: Path, system: LightningModule) -> None:
    """Check that a training system can go on from a checkpoint, or be measured with it.

    Args:
        path: The checkpoint.
        system: The training system.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, of another kind, or of another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; `mfn fit` writes them below trainer.default_root_dir")
    if path.suffix == ".safetensors":
        raise ValueError(f"{path}: expected a checkpoint (.ckpt), got weights alone; start from them with --model.weights {path}")
    states = (_read_system(path), system.state_dict())
    kept, own = ({name: getattr(value, "shape", None) for name, value in state.items()} for state in states)  # not all are tensors
    if system.strict_loading and kept != own:
        raise ValueError(f"{path}: expected a checkpoint of the network of this configuration, got that of another one")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file and those that its base gives."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no dictionary
        shared = json.loads(note.get(BASE_TENSORS, "[]"))
    except (SafetensorError, ValueError) as error:
        detail = " ".join(str(error).split())[:80]
        raise ValueError(f"{path}: not a .safetensors file that can be read (damaged or cut off? {detail})") from None
    if BASE_FILE in note:
        base = read_state(path.with_name(note[BASE_FILE]))
        missing = [name for name in shared if name not in base]
        if missing:
            raise ValueError(f"{path}: expected the tensor {missing[0]} in its base {note[BASE_FILE]}, which is another file now")
        state |= {name: base[name] for name in shared}
    return state


def write_state(path: Path, state: dict[str, Tensor], base: Path | None = None) -> int:
    """Write the weights of a network as a safetensors file, in float16.

    Args:
        path: The file.
        state: Name -> tensor.
        base: A state in the same folder, such as that of the network whose layers were kept. Tensors that it has too are left out.

    Returns:
        The number of tensors in the file.
    """
    from safetensors.torch import save

    small = {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state.items()}
    known = read_state(base) if base else {}
    same = [name for name, value in small.items() if name in known and torch.equal(known[name], value.to(known[name].dtype))]
    own = {name: value for name, value in small.items() if name not in same}
    note = {BASE_FILE: base.name, BASE_TENSORS: json.dumps(same)} if base else None
    atomic_write(path, save(own, note))
    return len(own)


def load_matching(network: nn.Module, state: dict[str, Tensor]) -> int:
    """Copy the tensors that have the same name and shape in a network.

    Args:
        network: The network to copy into.
        state: Name -> tensor, of any network.

    Returns:
        The number of tensors copied.

    Raises:
        ValueError: No tensor matches.
    """
    own = network.state_dict()
    shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not any(value.is_floating_point() for value in shared.values()):  # counters of batches have the same name in any network
        name = type(network).__name__
        raise ValueError(f"weights: expected tensors with names and shapes of {name}'s {len(own)}, got none among {len(state)}")
    network.load_state_dict(own | shared)
    return len(shared)


def start_from(network: nn.Module, path: Path) -> None:
    """Copy the tensors of a file that have the same name and shape in a network, and print a line if some of the network's are not there.

    Args:
        network: The network to copy into.
        path: Weights that `read_state` reads.

    Raises:
        FileNotFoundError, ValueError: See `read_state` and `load_matching`.
    """
    state, own = read_state(path), network.state_dict()
    taken = load_matching(network, state)
    if taken < len(own):
        missing = {name.split(".")[0]: None for name, value in own.items() if name not in state or state[name].shape != value.shape}
        print(f"{taken} of {len(own)} tensors taken from {path}; these layers begin anew: {', '.join(missing)}")


def load_network(configs: Sequence[Path], checkpoint: Path) -> nn.Module:
    """Build the network of a configuration and load its trained weights.

    Args:
        configs: YAML files of the training, each merged over those before it.
        checkpoint: Weights that `read_state` reads. Those of a checkpoint with weight averaging are the averaged ones.

    Returns:
        The network in evaluation mode.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The weights are not those of this network, or a file is damaged.
    """
    from lightning.pytorch.cli import LightningCLI

    class ModelOnly(LightningCLI):
        """Builds no trainer: that of the configuration may need a GPU, several processes, or packages that are not here."""

        def instantiate_trainer(self, **_: Any) -> Any:
            return None

    for config in configs:
        if not config.is_file():
            raise FileNotFoundError(f"{config}: expected a YAML configuration, such as configs/mfn/default.yaml; no such file")
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; `mfn fit` writes them below trainer.default_root_dir")
    with TemporaryDirectory() as folder:
        args = [part for config in configs for part in ("--config", str(_without_run_options(config, Path(folder))))]
        if any(map(_names_weights, configs)):
            args.append("--model.weights=null")  # what the training started from, which may be gone by now
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # it is correct: sys.argv has our own verb
            network: nn.Module = ModelOnly(run=False, args=[*args, *NO_TRAINER], save_config_callback=None).model.network
    state = read_state(checkpoint)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        names = ", ".join(str(config) for config in configs)
        raise ValueError(f"{checkpoint}: expected weights of the network of {names}; give every --config of that training") from error
    return network.eval()


def _names_weights(config: Path) -> bool:
    """Return whether a configuration names weights to start from. A training system of one's own may have no such option."""
    import yaml

    model = (yaml.safe_load(config.read_text(encoding="utf-8")) or {}).get("model")
    return isinstance(model, dict) and "weights" in (model.get("init_args") or model)


def _without_run_options(config: Path, folder: Path) -> Path:
    """Copy a configuration without the options of a run, such as `ckpt_path`, which Lightning saves but does not accept without a run.

    Paths in a configuration that name other files are relative to it, so a file without such options is used where it lies.
    """
    import yaml

    text = config.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())[-100:]
        raise ValueError(f"{config}: not a YAML configuration that can be read (…{detail})") from None
    if values is not None and not isinstance(values, dict):
        raise ValueError(f"{config}: expected a YAML configuration with `model` and `data`, got a {type(values).__name__}")
    if not values or not RUN_OPTIONS & values.keys():
        return config
    copy = folder / f"{len(list(folder.iterdir()))}.yaml"
    copy.write_text(yaml.safe_dump({name: value for name, value in values.items() if name not in RUN_OPTIONS}, sort_keys=False))
    return copy
