"""States of networks: the mean of two, and expressions that vary as labels do."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from experiments.labels import match_spread  # noqa: E402
from experiments.weights import mean_state  # noqa: E402
from mfn.models.readers.face_reader import FaceReader  # noqa: E402
from mfn.training.checkpoints import read_state, write_state  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402


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


def test_a_matched_shape_has_the_mean_and_the_spread_of_its_labels():
    rng = np.random.default_rng(0)
    label = rng.beta(0.5, 4, 4000)
    weak = 1.4 * np.log(label.clip(1e-3) / (1 - label.clip(1e-3))) * 0.3 - 2 + 0.1 * rng.normal(size=4000)  # follows the label, too weakly
    factor, offset = match_spread.match_shape(weak, label)
    matched = match_spread.sigmoid(factor * weak + offset)
    assert matched.mean() == pytest.approx(label.mean(), abs=1e-6) and matched.std() == pytest.approx(label.std(), rel=0.03)
    assert match_spread.sigmoid(weak).std() < 0.7 * label.std() and factor > 1.2


def test_shapes_that_are_hardly_read_vary_somewhat_more_and_unseen_ones_keep_the_pivot():
    rng = np.random.default_rng(1)
    labels = np.zeros((3000, 51))
    shown = EXPRESSION_NAMES.index("mouthPressLeft")
    labels[:, shown] = labels[:, shown + 1] = rng.beta(0.6, 4, 3000)
    raw = rng.normal(-2, 0.6, labels.shape)
    raw[:, shown] += 1.5 * labels[:, shown]
    raw[:, shown + 1] += 1.5 * labels[:, shown]
    change = match_spread.find_change(raw, labels)
    matched = match_spread.sigmoid(change.factor * raw + change.offset)
    both = [shown, shown + 1]
    assert change.factor[shown] == change.factor[shown + 1]
    assert matched[:, both].std() == pytest.approx(match_spread.MOST_SPREAD * labels[:, both].std(), rel=0.04)
    puff, pivot = EXPRESSION_NAMES.index("cheekPuff"), np.log(match_spread.PIVOT / (1 - match_spread.PIVOT))
    assert change.factor[puff] * pivot + change.offset[puff] == pytest.approx(pivot)
    assert set(match_spread.find_change(raw, labels, few=True).factor) == {match_spread.FACTOR}


def test_a_change_is_measured_on_the_faces_that_did_not_teach_it():
    rng = np.random.default_rng(2)
    labels = np.tile(rng.beta(0.5, 3, (300, 51)), (2, 1))
    raw = 0.5 * np.log(labels.clip(1e-3) / (1 - labels.clip(1e-3))) - 1 + 0.1 * rng.normal(size=labels.shape)
    for sizes in match_spread.check_halves(raw, labels).values():
        assert sizes["before"]["gain"] < 0.8 and sizes["after"]["gain"] == pytest.approx(1, abs=0.1)
        assert sizes["after"]["error"] < sizes["before"]["error"]


def test_only_expressions_change(tmp_path):
    torch.manual_seed(0)
    network = FaceReader().eval()
    torch.nn.init.normal_(network.expression[3].weight, std=0.2)
    crops, rng = 255 * torch.rand(4, 3, 64, 64), np.random.default_rng(0)
    change = match_spread.Change(rng.uniform(1, 2, 51), rng.normal(size=51))
    write_state(tmp_path / "changed.safetensors", match_spread.changed(network.state_dict(), change))
    with torch.no_grad():
        before, after = network(crops), match_spread.load_reader(tmp_path / "changed.safetensors")(crops)
    torch.testing.assert_close(after[:, :-51], before[:, :-51], rtol=1e-2, atol=1e-2)
    wanted = torch.from_numpy(change.factor).float() * before[:, -51:] + torch.from_numpy(change.offset).float()
    torch.testing.assert_close(after[:, -51:], wanted, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize(("state", "message"), [({"w": torch.ones(2)}, "expected the weights of a face reader"), (None, "no such file")])
def test_other_weights_are_refused_in_one_line(tmp_path, monkeypatch, capsys, state, message):
    file = tmp_path / "other.safetensors"
    if state:
        write_state(file, state)
    monkeypatch.setattr("sys.argv", ["match_spread", str(file), "--data=D", "--labels=L", f"--out={tmp_path / 'out.safetensors'}"])
    with pytest.raises(SystemExit) as stop:
        match_spread.main()
    assert stop.value.code == 2 and message in capsys.readouterr().err
