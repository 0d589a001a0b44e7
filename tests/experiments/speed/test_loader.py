"""The speed of the data and of a training step, and the table of its operators."""

import json
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from experiments.speed import loader  # noqa: E402
from tests.mfn.training.run.runs import fewer_backgrounds  # noqa: E402


def test_scenes_crops_and_steps_are_measured(tmp_path, monkeypatch, capsys):
    fewer_backgrounds(monkeypatch)
    for name, value in {"SIZE": 128, "BATCH": 2, "CROP_PX": 32, "CROPS": 3}.items():
        monkeypatch.setattr(loader, name, value)
    options = ["--device", "cpu", "--seconds", "0", "--profile", "1", "--heads", "24"]
    places = ["--out", str(tmp_path / "loader.json"), "--rendered", str(tmp_path / "rendered")]
    monkeypatch.setattr(sys, "argv", ["loader", *options, *places])
    threads = torch.get_num_threads()
    loader.main()
    torch.set_num_threads(threads)
    figures = json.loads((tmp_path / "loader.json").read_text())
    names = [f"{what}_per_second" for what in ("scenes", "planned_scenes", "planned_crops", "trained_scenes")]
    assert all(figures[name] > 0 for name in names) and "device" not in figures
    assert "aten::convolution_backward" in capsys.readouterr().out


def test_the_first_call_is_not_counted():
    calls = []
    assert loader.per_second(lambda: calls.append(sum(range(10000))), 3, 0.0, torch.device("cpu")) > 0 and len(calls) == 2
