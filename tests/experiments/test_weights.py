"""States of networks: the mean of two, and sharper expressions."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from experiments.weights import mean_state, sharpen_expression  # noqa: E402
from mfn.training.checkpoints import read_state, write_state  # noqa: E402


def run(monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["mean_state", *map(str, args)])
    mean_state.main()


def test_the_mean_of_a_state_and_a_checkpoint_is_written(tmp_path, monkeypatch, capsys):
    before, after, out = tmp_path / "before.safetensors", tmp_path / "last.ckpt", tmp_path / "mean.safetensors"
    write_state(before, {"w": torch.tensor([1.0, 2.0]), "steps": torch.tensor(3)})
    torch.save({"state_dict": {"network.w": torch.tensor([3.0, 0.0]), "network.steps": torch.tensor(7), "loss.w": torch.ones(1)}}, after)
    run(monkeypatch, before, after, "--share", "0.75", "--out", out)
    state = read_state(out)
    assert state["w"].tolist() == [1.5, 1.5] and state["steps"] == 7 and set(state) == {"w", "steps"}
    assert f"{out}: 2 tensors, 0.75 of {before}" in capsys.readouterr().out


@pytest.mark.parametrize("other", [{"w": torch.ones(3)}, {"v": torch.ones(2)}, {"w": torch.ones(2), "v": torch.ones(2)}])
def test_states_of_two_networks_have_no_mean(other):
    with pytest.raises(ValueError, match=r"expected two states of one network; [wv] differs"):
        mean_state.mean_state({"w": torch.ones(2)}, other, 0.5)


@pytest.mark.parametrize(("share", "message"), [("1.2", "--share: expected a number from 0 to 1"), ("0.5", "no such file")])
def test_wrong_arguments_are_one_line(tmp_path, monkeypatch, capsys, share, message):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, tmp_path / "a.safetensors", tmp_path / "b.ckpt", "--share", share, "--out", tmp_path / "c.safetensors")
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_sharper_expressions_keep_the_pivot(tmp_path, monkeypatch):
    from mfn.models.readers.face_reader import FaceReader

    torch.manual_seed(0)
    network, out = FaceReader(widths=(8, 8, 8, 8), branch=8, hidden=8).eval(), tmp_path / "sharp.safetensors"
    torch.nn.init.normal_(network.expression[3].weight)
    write_state(tmp_path / "state.safetensors", network.state_dict())
    crops = 255 * torch.rand(6, 3, 64, 64)
    before = network(crops)
    monkeypatch.setattr("sys.argv", ["sharpen", str(tmp_path / "state.safetensors"), "--factor=1.5", "--pivot=0.25", f"--out={out}"])
    sharpen_expression.main()
    network.load_state_dict(read_state(out))
    after = network(crops)
    torch.testing.assert_close(after[:, :-51], before[:, :-51], rtol=1e-2, atol=1e-2)  # box, pose and identity stay
    pivot = torch.logit(torch.tensor(0.25))
    torch.testing.assert_close(after[:, -51:], pivot + 1.5 * (before[:, -51:] - pivot), rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("args", "message"), [(["--pivot=1"], "between 0 and 1"), (["--factor=0"], "positive"), ([], "without expression.3.weight")]
)
def test_what_cannot_be_sharpened_is_one_line(tmp_path, monkeypatch, capsys, args, message):
    write_state(tmp_path / "other.safetensors", {"w": torch.ones(2)})
    monkeypatch.setattr("sys.argv", ["sharpen", str(tmp_path / "other.safetensors"), f"--out={tmp_path / 'out.safetensors'}", *args])
    with pytest.raises(SystemExit) as stop:
        sharpen_expression.main()
    assert stop.value.code == 2 and message in capsys.readouterr().err
