"""Reading of weights: the shipped states fit their configurations, and wrong files are reported."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("safetensors")

from lightning.pytorch import LightningModule  # noqa: E402

from mfn.training.checkpoints import load_matching, load_network, read_state, start_from, write_state  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402

ROOT = Path(__file__).parents[3]
SHIPPED = {
    "mfn": "configs/mfn/default.yaml",
    "sfn": "configs/sfn/default.yaml",
    "tddfa/tddfa": "configs/tddfa/branches.yaml",
    "prnet": "configs/others/prnet.yaml",
    "dense520": "configs/others/dense520_branches.yaml",
    "mobileface/state": "configs/others/mobileface.yaml",
    "single_shot": "configs/others/single_shot.yaml",
    "face_reader": "configs/others/face_reader.yaml",
    "eye_reader": "configs/others/eye_reader.yaml",
    "free/mfn": "configs/free/mfn.yaml",
    "free/face_reader": "configs/free/face_reader.yaml",
    "free/eye_reader": "configs/free/eye_reader.yaml",
    "free/portrait_reader": "configs/free/portrait_reader.yaml",
}


def module(outputs: int = 2) -> torch.nn.Module:
    return torch.nn.ModuleDict({"first": torch.nn.Linear(3, 4), "out": torch.nn.Linear(4, outputs)})


@pytest.mark.parametrize("name", list(SHIPPED))
def test_the_shipped_weights_load_into_their_configured_network(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = ROOT / "experiments" / "weights" / f"{name}.safetensors"
    network = load_network([Path(SHIPPED[name])], path)
    state = read_state(path)
    assert not network.training and set(state) == set(network.state_dict())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value.float(), state[key].float(), rtol=0, atol=0)


def test_a_checkpoint_gives_the_weights_of_its_network(tmp_path):
    weights = {f"network.{k}": v.half() for k, v in module().state_dict().items()}
    torch.save({"state_dict": {**weights, "loss.basis": torch.zeros(3)}}, tmp_path / "w.ckpt")
    state = read_state(tmp_path / "w.ckpt")
    assert set(state) == set(module().state_dict()) and all(v.dtype == torch.float32 for v in state.values())


def test_a_state_leaves_out_what_its_base_has(tmp_path):
    base, network = module(), module()
    network["first"].load_state_dict(base["first"].state_dict())
    write_state(tmp_path / "base.safetensors", base.state_dict())
    assert write_state(tmp_path / "own.safetensors", network.state_dict(), tmp_path / "base.safetensors") == 2
    state = read_state(tmp_path / "own.safetensors")
    assert set(state) == set(network.state_dict())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(state[name], value.half().float(), rtol=0, atol=0)
    (tmp_path / "base.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"base\.safetensors"):
        read_state(tmp_path / "own.safetensors")


def test_matching_tensors_are_copied():
    network, other = module(2), module(5)
    assert load_matching(network, other.state_dict()) == 2
    torch.testing.assert_close(network["first"].weight, other["first"].weight)
    with pytest.raises(ValueError, match="expected tensors with names and shapes of ModuleDict's 4, got none among 1"):
        load_matching(network, {"x": torch.zeros(1)})


def test_a_partial_match_is_told(tmp_path, capsys):
    network, other = module(2), module(5)
    write_state(tmp_path / "other.safetensors", other.state_dict())
    start_from(network, tmp_path / "other.safetensors")
    assert capsys.readouterr().out == f"2 of 4 tensors taken from {tmp_path / 'other.safetensors'}; these layers begin anew: out\n"
    torch.testing.assert_close(network["first"].weight, other["first"].weight.half().float())
    start_from(other, tmp_path / "other.safetensors")
    assert not capsys.readouterr().out, "all were taken"


def test_counters_of_batches_are_no_weights():
    normalized = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm1d(4)})
    with pytest.raises(ValueError, match="expected tensors with names and shapes of ModuleDict's 5, got none among 1"):
        load_matching(normalized, {"norm.num_batches_tracked": torch.tensor(7)})


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt: expected weights to start from"):
        read_state(tmp_path / "none.ckpt")
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: expected a YAML configuration"):
        load_network([tmp_path / "none.yaml"], tmp_path / "none.ckpt")
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt: no such checkpoint"):
        load_network([ROOT / "configs/mfn/default.yaml"], tmp_path / "none.ckpt")


def test_objects_beside_the_weights_are_named(tmp_path):
    torch.save({"state_dict": {"network.x": torch.zeros(3)}, "hyper_parameters": {"schedule": OneCycle()}}, tmp_path / "own.ckpt")
    with pytest.raises(ValueError, match=r"own\.ckpt: expected numbers .* got Python objects of mfn\.training\.optimizer\.OneCycle"):
        read_state(tmp_path / "own.ckpt")


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    whole = tmp_path / "whole.ckpt"
    torch.save({"state_dict": {"network.x": torch.zeros(1000)}}, whole)
    for name, content in (("cut", whole.read_bytes()[:900]), ("empty", b""), ("text", b"no checkpoint")):
        (tmp_path / f"{name}.ckpt").write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.ckpt: not a checkpoint that can be read"):
            read_state(tmp_path / f"{name}.ckpt")
    torch.save({"weights": 1}, whole)
    with pytest.raises(ValueError, match=r"whole\.ckpt: expected a checkpoint that `mfn fit` wrote, got a file without state_dict"):
        read_state(whole)


def test_damaged_safetensors_are_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    write_state(path, module().state_dict())
    for content in (path.read_bytes()[:100], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.safetensors: not a \.safetensors file that can be read"):
            read_state(path)


def test_a_base_that_is_another_file_now_is_named(tmp_path):
    base = module()
    write_state(tmp_path / "base.safetensors", base.state_dict())
    write_state(tmp_path / "own.safetensors", base.state_dict(), tmp_path / "base.safetensors")
    write_state(tmp_path / "base.safetensors", {"other": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"own\.safetensors: expected the tensor .* in its base base\.safetensors"):
        read_state(tmp_path / "own.safetensors")


def test_a_damaged_checkpoint_is_not_called_that_of_another_network(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"cut\.ckpt: not a checkpoint that can be read"):
        load_network([Path("configs/sfn/default.yaml")], tmp_path / "cut.ckpt")


def test_a_broken_configuration_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("model: [1, 2\ndata: }")
    (tmp_path / "a.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"broken\.yaml: not a YAML configuration that can be read"):
        load_network([tmp_path / "broken.yaml"], tmp_path / "a.ckpt")


@pytest.mark.parametrize("text", ["- a\n- b\n", "only text\n"])
def test_a_configuration_of_another_form_is_named(text, tmp_path):
    (tmp_path / "list.yaml").write_text(text)
    (tmp_path / "a.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"list\.yaml: expected a YAML configuration with `model` and `data`, got a (list|str)"):
        load_network([tmp_path / "list.yaml"], tmp_path / "a.ckpt")


def test_the_network_of_a_training_on_gpus_is_loaded_without_them(tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(ROOT)
    machine = tmp_path / "machine.yaml"
    logger = "{class_path: lightning.pytorch.loggers.CometLogger}"
    machine.write_text(f"trainer: {{accelerator: gpu, devices: 4, strategy: ddp, logger: {logger}}}\n")
    assert load_network([Path("configs/sfn/default.yaml"), machine], ROOT / "experiments/weights/sfn.safetensors")
    assert capfd.readouterr() == ("", "") and not [warning for warning in recwarn if "LightningCLI" in str(warning.message)]


def test_weights_of_another_network_are_refused(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="expected weights of the network of configs"):
        load_network([Path("configs/sfn/default.yaml")], ROOT / "experiments/weights/mfn.safetensors")


def test_a_configuration_that_lightning_saved_builds_the_network(tmp_path, monkeypatch):
    yaml = pytest.importorskip("yaml")
    monkeypatch.chdir(ROOT)
    values = yaml.safe_load(Path(SHIPPED["sfn"]).read_text())
    for part in ("trainer", "data"):  # Lightning saves the values of a file, not its path
        values[part] = yaml.safe_load((ROOT / "configs" / "sfn" / values[part]).read_text())
    saved = tmp_path / "config.yaml"
    saved.write_text(yaml.safe_dump(values | {"ckpt_path": None, "weights_only": None}))
    state = ROOT / "experiments" / "weights" / "sfn.safetensors"
    assert set(load_network([saved], state).state_dict()) == set(read_state(state))


def test_counters_of_batches_are_no_shared_weights():
    counters = {"norm.num_batches_tracked": torch.tensor(3)}
    network = torch.nn.ModuleDict({"norm": torch.nn.BatchNorm2d(2)})
    with pytest.raises(ValueError, match="got none among 1"):
        load_matching(network, counters)


class OwnSystem(LightningModule):
    """A training system without the option `weights`."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Linear(3, 2)


def test_a_system_without_the_option_weights_is_loaded(tmp_path):
    torch.save({"state_dict": {"network.weight": torch.ones(2, 3), "network.bias": torch.ones(2)}}, tmp_path / "a.ckpt")
    (tmp_path / "own.yaml").write_text(f"model:\n  class_path: {__name__}.OwnSystem\n")
    assert load_network([tmp_path / "own.yaml"], tmp_path / "a.ckpt").weight.sum() == 6
