"""The whole recipe as stages: their order, going on, the time that is left; and, slowly, all of it."""

import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
from experiments.reproduce import (  # noqa: E402
    Stage,
    continued,
    is_done,
    left_minutes,
    main,
    parse_arguments,
    run_all,
    sources_of,
    stages_of,
)


def echo(name: str, text: str, minutes: float = 1) -> Stage:
    """A stage that writes a text into a file of its name."""
    code = f"open({name!r}, 'a').write({text!r})"
    return Stage(name, f"the file {name}", ((sys.executable, "-c", code),), minutes)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_stages_that_are_done_are_skipped_until_their_commands_change(tmp_path, capsys):
    run_all([echo("a", "1"), echo("b", "1")], tmp_path)
    run_all([echo("a", "1"), echo("b", "2")], tmp_path)
    assert (tmp_path / "a").read_text() == "1" and (tmp_path / "b").read_text() == "12"
    assert "[1/2] a: the file a - done before" in capsys.readouterr().out


def test_a_stage_that_fails_says_why_and_is_done_again(tmp_path):
    bad = Stage("bad", "nothing", ((sys.executable, "-c", "raise SystemExit('no disk')"),), 1)
    with pytest.raises(SystemExit, match=r"no disk\nbad failed; all of its output is in .*bad\.log"):
        run_all([echo("a", "1"), bad], tmp_path)
    assert is_done(echo("a", "1"), tmp_path) and not is_done(bad, tmp_path)


def test_the_time_that_is_left_follows_this_machine():
    stages = [echo("a", "", 10), echo("b", "", 30), echo("c", "", 20)]
    assert left_minutes(stages, {}, stages) == 60
    assert left_minutes(stages[1:], {"a": 5.0}, stages) == 25


def test_a_training_goes_on_from_its_checkpoint(tmp_path):
    command = ("mfn", "fit", f"--trainer.logger.save_dir={tmp_path}", "--trainer.logger.name=scenes", "--trainer.logger.version=run")
    assert continued(command) == command
    last = tmp_path / "scenes" / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"")
    assert continued(command)[-1] == f"--ckpt_path={last}" and continued(("mfn", "export")) == ("mfn", "export")


def test_stages_use_the_folders_that_are_given(capsys):
    options = parse_arguments(["--data", "D", "--out", "O", "--eval", "E"])
    stages = {stage.name: stage for stage in stages_of(options)}
    assert list(stages)[:2] == ["labels", "profiles"] and list(stages)[-3:] == ["export", "quantization", "tables"]
    packs = sources_of("mfn/crowds.yaml", options)
    assert {"D/scenes/scenes", "O/profiles/profiles", "lfw"} <= packs.keys() and not any(name.startswith("runs") for name in packs)
    assert any("experiments.accuracy.benchmarks" in command for command in stages["tables"].commands)
    weights = [part for command in stages["candidates"].commands for part in command if part.startswith("--model.weights=")]
    assert weights == ["--model.weights=O/reader/run/checkpoints/last.ckpt"]
    assert any("O/candidates/run/config.yaml" in command for command in stages["export"].commands)
    assert "candidates" not in [stage.name for stage in stages_of(parse_arguments(["--quick"]))]
    main(["--quick", "--list"])
    assert "simulated" not in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--from: expected one of data, labels"):
        main(["--quick", "--from", "nonsense"])


@pytest.mark.slow
def test_the_whole_recipe_quickly(tmp_path, capsys):
    main(["--quick"])
    made = tmp_path / "runs" / "quick"
    assert all((made / name).is_file() for name in ("mfn.onnx", "reader.onnx", "eyes.onnx"))
    main(["--quick"])
    assert capsys.readouterr().out.count("done before") == len(stages_of(parse_arguments(["--quick"])))
