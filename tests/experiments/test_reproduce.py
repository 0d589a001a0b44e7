"""The whole recipe as stages: their order, going on, the time that is left; and, slowly, all of it."""

import json
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")
from experiments.reproduce.__main__ import main, parse_arguments  # noqa: E402
from experiments.reproduce.free import free_stages  # noqa: E402
from experiments.reproduce.research import research_stages, sources_of  # noqa: E402
from experiments.reproduce.stages import Stage, forget, is_done, left_minutes, record_of, run_all  # noqa: E402


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


TRAINING = """
import sys
from pathlib import Path
last = Path("reader_net/run/checkpoints/last.ckpt")
last.parent.mkdir(parents=True, exist_ok=True)
old = ", ".join(path.name for path in last.parent.iterdir())
with open("calls", "a") as file:
    file.write("went on\\n" if f"--ckpt_path={last}" in sys.argv else f"began with {old}\\n")
last.write_bytes(b"state")
sys.exit(Path("stop").exists())
"""


def training(*more: str) -> Stage:
    """A stage named `reader` whose training is named `reader_net`. It ends before its time where a file `stop` lies."""
    folder = ("--trainer.logger.save_dir=.", "--trainer.logger.name=reader_net", "--trainer.logger.version=run")
    return Stage("reader", "a network", ((sys.executable, "-c", TRAINING, *folder, *more),), 1)


def run(stage: Stage, folder: Path, stop: bool = False) -> str:
    """Run a stage and return what its training did, if it ran."""
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    if stop:
        (folder / "stop").touch()
        with pytest.raises(SystemExit):
            run_all([stage], Path())
        (folder / "stop").unlink()
    else:
        run_all([stage], Path())
    return calls.read_text().strip() if calls.exists() else "nothing"


def test_a_stopped_training_goes_on_and_a_finished_one_begins_anew(tmp_path):
    assert run(training(), tmp_path, stop=True) == "began with"
    assert run(training(), tmp_path, stop=True) == "went on" and not is_done(training(), Path())
    assert run(training(), tmp_path) == "went on" and run(training(), tmp_path) == "nothing"
    forget(training(), Path())
    assert run(training(), tmp_path) == "began with", "the old checkpoint is gone"


@pytest.fixture
def interrupts():
    """Let Ctrl-C raise KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_ctrl_c_a_command_may_end_by_itself(tmp_path, interrupts):
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(1); open('kept', 'w')"
    with pytest.raises(SystemExit, match="stopped"):
        run_all([Stage("long", "a file", ((sys.executable, "-c", code),), 1)], tmp_path)
    assert (tmp_path / "kept").exists()


def test_from_does_a_stage_again_whose_training_has_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.reproduce.__main__.free_stages", lambda options: [echo("a", "1"), training()])
    for _ in range(2):
        (tmp_path / "calls").unlink(missing_ok=True)
        main(["--free", "--out", ".", "--from", "reader"])
        assert (tmp_path / "calls").read_text() == "began with \n" and (tmp_path / "a").read_text() == "1"
    run(training("--model.steps=3"), tmp_path, stop=True)
    (tmp_path / "calls").unlink()
    main(["--free", "--out", ".", "--from", "reader"])
    assert (tmp_path / "calls").read_text() == "began with \n", "also one that was stopped"


def test_a_training_begins_anew_when_its_command_or_a_configuration_changes(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "net.yaml").write_text("trainer: parts/trainer.yaml\nmodel: {steps: 3}\n")
    (tmp_path / "parts" / "trainer.yaml").write_text("precision: 32-true\n")
    (tmp_path / "first.ckpt").write_bytes(b"1")
    stage = training("--config", "net.yaml", "--model.weights=first.ckpt")
    changes = {"net.yaml": "trainer: parts/trainer.yaml\nmodel: {steps: 4}\n", "parts/trainer.yaml": "precision: 16\n", "first.ckpt": "2"}
    for name, text in changes.items():
        assert run(stage, tmp_path, stop=True) == "began with" and run(stage, tmp_path, stop=True) == "went on"
        (tmp_path / name).write_text(text)
        assert run(stage, tmp_path) == "began with" and run(stage, tmp_path) == "nothing"
        (tmp_path / name).write_text(f"{text}\n")
        assert not is_done(stage, Path())
    assert run(training("--config", "net.yaml", "--more"), tmp_path) == "began with"
    (tmp_path / "net.yaml").unlink()
    assert is_done(training("--config", "net.yaml", "--more"), Path()), "a file that was deleted later does not count"


def test_what_a_command_writes_is_no_input(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    assert list(record_of(("x", "a.onnx", "--out", "a.onnx"))["files"]) == ["a.onnx"]
    assert not record_of(("x", "--out", "a.onnx"))["files"]


@pytest.mark.parametrize("config", ["mfn/default", "others/face_reader", "others/face_reader_second", "others/eye_reader", "sfn/second"])
def test_a_quick_run_trains_only_on_packs_that_it_makes(config):
    options = parse_arguments(["--quick", "--out", "O"])
    names = [stage.name for stage in research_stages(options)]
    packs = [name for name in sources_of(f"{config}.yaml", options) if name != "photos"]
    assert packs and all(Path(name).parent.name in names for name in packs), packs


def test_stages_use_the_folders_that_are_given(capsys):
    options = parse_arguments(["--data", "D", "--out", "O", "--eval", "E"])
    stages = {stage.name: stage for stage in research_stages(options)}
    assert list(stages)[:2] == ["labels", "profiles"] and list(stages)[-3:] == ["export", "quantization", "tables"]
    packs = sources_of("mfn/crowds.yaml", options)
    assert {"D/scenes/scenes", "O/profiles/profiles", "lfw"} <= packs.keys() and not any(name.startswith("runs") for name in packs)
    benchmark = stages["tables"].commands[-1]
    assert "experiments.accuracy.benchmarks" in benchmark
    assert {"O/mfn.onnx", "O/reader.onnx", "O/eyes.onnx", "O/sfn.onnx"} < set(benchmark), "the new readers, not those that ship"
    weights = [part for command in stages["candidates"].commands for part in command if part.startswith("--model.weights=")]
    assert weights == ["--model.weights=O/branches/run/checkpoints/last.ckpt"]
    option = "--data.sources.weights="
    packs = json.loads(next(part for part in stages["expression"].commands[0] if part.startswith(option)).removeprefix(option))
    made = {command[command.index("--out") + 1] for name in ("rare", "heads", "profiles", "edits") for command in stages[name].commands}
    own = {str(Path(name).parent) for name in packs if name.startswith("O/") and "fairface" not in name}
    assert own == made, "the packs of rare shapes are made before"
    matched = stages["export"].commands[1]
    assert "experiments.labels.match_spread" in matched and "O/candidates/run/checkpoints/last.ckpt" in matched
    assert "O/reader.safetensors" in stages["export"].commands[2]
    starts = [part for part in stages["reader"].commands[0] if part.startswith("--model.weights=")]
    assert starts == ["--model.weights=O/face_reader/run/checkpoints/last.ckpt"]
    assert any('"O/profiles/profiles": 7' in part for part in stages["reader"].commands[0]), "the packs of the second configuration"
    assert any("O/candidates/run/config.yaml" in command for command in stages["export"].commands)
    assert "candidates" not in [stage.name for stage in research_stages(parse_arguments(["--quick"]))]
    main(["--quick", "--list"])
    assert "simulated" not in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--from: expected one of data, labels"):
        main(["--quick", "--from", "nonsense"])


def test_free_networks_are_made_of_nothing_that_is_for_research():
    options = parse_arguments(["--free", "--data", "D", "--landmarker", "T"])
    commands = [part for stage in free_stages(options) for command in stage.commands for part in command]
    assert "--mediapipe-only" in commands and not any("experiments/weights" in part or "lfw" in part for part in commands)
    assert {part for part in commands if part.startswith("D/")} == {"D/faces/fairface.tar"}
    starts = [part for part in commands if part.startswith("--model.weights=")]
    names = ("face_reader", "reader", "expression", "mfn", "rare_reader")
    assert starts == [f"--model.weights=runs/free/{name}/run/checkpoints/last.ckpt" for name in names]
    packs = [part for part in commands if part.startswith("--data.sources.weights=")]
    assert len(packs) == 7 and all('"runs/free/faces/fairface"' in part for part in packs)
    assert "tables" not in [stage.name for stage in free_stages(options)]
    quantized = [command for command in next(s for s in free_stages(options) if s.name == "files").commands if "quantize" in command]
    whole = ["runs/free/widened/widened.tar" in command for command in quantized]
    assert whole == [True, False, False, False], "whole pictures set the ranges of the multi-face network"
    finders = [command[command.index("--weights") + 1] for command in quantized if "--weights" in command]
    assert finders == ["free", "free", "free"], "the free network finds the faces for all readers"
    tables = free_stages(parse_arguments(["--free", "--data", "D", "--out", "O", "--eval", "E"]))[-1]
    assert tables.name == "tables" and {"E", "O/mfn.onnx", "O/reader.onnx", "O/eyes.onnx", "O/sfn.onnx"} < set(tables.commands[-1])
    with pytest.raises(SystemExit):
        parse_arguments(["--free", "--quick"])


@pytest.mark.slow
def test_the_whole_recipe_quickly(tmp_path, capsys):
    main(["--quick"])
    made = tmp_path / "runs" / "quick"
    assert all((made / name).is_file() for name in ("mfn.onnx", "reader.onnx", "eyes.onnx", "sfn.onnx"))
    main(["--quick"])
    assert capsys.readouterr().out.count("done before") == len(research_stages(parse_arguments(["--quick"])))
