import argparse

import pytest

from retarget.io.command_line import CommandParser, color, number_in, one_of, run_command, whole_number


def parser() -> CommandParser:
    made = CommandParser(prog="tool run")
    made.add_argument("--color", type=one_of("red", "green"))
    made.add_argument("--size", type=number_in(0, 1, above=True))
    made.add_argument("--count", type=whole_number(1, 5))
    made.add_argument("--background", type=color)
    return made


def test_good_values_are_parsed():
    options = parser().parse_args(["--color", "red", "--size", "0.5", "--count", "3"])
    assert (options.color, options.size, options.count) == ("red", 0.5, 3)
    assert [parser().parse_args(["--background", text]).background for text in ("00ff01", "#FF8000")] == [(0, 255, 1), (255, 128, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour", "red"], "unrecognized arguments: --colour red; did you mean '--color'?"),
        (["--colour=red"], "did you mean '--color'?"),
        (["--col", "red"], "unrecognized arguments: --col red"),
        (["extra"], "unrecognized arguments: extra"),
        (["--color", "rad"], "'rad': expected red or green; did you mean 'red'?"),
        (["--size", "0"], "0: expected a number, above 0, at most 1"),
        (["--size", "inf"], "inf: expected a number"),
        (["--size", "nan"], "nan: expected a number"),
        (["--size", "big"], "'big': expected a number"),
        (["--count", "9"], "9: expected a whole number, 1 to 5"),
        (["--background", "green"], "'green': expected a color of six hexadecimal digits, such as 00ff00 for green"),
        (["--background", "00ff0é"], "expected a color of six hexadecimal digits"),
        (["--count", "1.5"], "'1.5': expected a whole number, 1 to 5"),
    ],
)
def test_wrong_usage_is_2_and_says_what_was_expected(arguments, message, capsys):
    assert run_command("tool", lambda: parser().parse_args(arguments)) == 2
    out, err = capsys.readouterr()
    usage, line = err.split("tool run: ", 1)[0], err.splitlines()[-1]
    assert (
        usage.startswith("usage: tool run") and message in line and line.endswith("(see tool run --help)") and not out
    )


@pytest.mark.parametrize(
    ("check", "text", "message"),
    [
        (one_of("only"), "x", "'x': expected only"),
        (number_in(0, 1, below=True), "1", "0 or more, below 1"),
        (whole_number(0), "-1", "-1: expected a whole number, 0 or more"),
    ],
)
def test_limits_are_named(check, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        check(text)


def fail(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("a.png:\n bad"), 1, "tool: a.png: bad\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "tool: x: No such file or directory\n"),
        (ImportError("needs av"), 1, "tool: needs av\n"),
        (MemoryError(), 1, "tool: not enough memory for this input\n"),
        (KeyboardInterrupt(), 130, "\ntool: stopped\n"),
        (SystemExit(2), 2, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("text"), 1, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, line, capsys):
    assert run_command("tool", lambda: fail(error)) == code
    assert capsys.readouterr().err == line


def test_a_reader_who_leaves_is_no_error(monkeypatch):
    closed = []
    monkeypatch.setattr("sys.stderr", type("Stream", (), {"close": lambda self: closed.append(True)})())
    assert run_command("tool", lambda: fail(BrokenPipeError())) == 0 and closed == [True]


def test_what_the_call_returns_is_the_exit_code():
    assert run_command("tool", lambda: 7) == 7
