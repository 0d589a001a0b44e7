"""Parts that both commands, `mfn` and `retarget`, share: the argument parser, value checks and exit codes.

Exit codes: 0 done, 1 bad input (one clear line on stderr), 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import string
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

from retarget.io.files import one_line_error
from retarget.io.suggest import did_you_mean

EXIT_DONE, EXIT_BAD_INPUT, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


class CommandParser(argparse.ArgumentParser):
    """Parse the arguments of one command and suggest the option that was probably meant.

    Options cannot be abbreviated, so that a new option never changes the meaning of an old script.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def parse_args(  # type: ignore[override]  # typeshed has overloads for the type of the namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Parse arguments. An unknown one ends the program with exit code 2 and a suggestion."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            wrong = next((word for word in unknown if word.startswith("-")), "")
            self.error(f"unrecognized arguments: {' '.join(unknown)}{did_you_mean(wrong.partition('=')[0], known)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line, then exit with code 2."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser of an option's value that accepts these words and suggests the one that was probably meant."""

    def parse(text: str) -> str:
        if text not in choices:
            expected = f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else choices[0]
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}{did_you_mean(text, choices)}")
        return text

    return parse


def number_in(
    low: float, high: float = math.inf, *, above: bool = False, below: bool = False
) -> Callable[[str], float]:
    """Return a parser of an option's value that accepts the numbers of a range.

    Args:
        low: The smallest number accepted.
        high: The largest number accepted; infinity itself is never accepted.
        above: Whether the number has to be larger than `low`.
        below: Whether the number has to be smaller than `high`.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a number") from None
        if not low <= value <= high or math.isinf(value) or (above and value == low) or (below and value == high):
            lower = f"above {_plain(low)}" if above else f"{_plain(low)} or more"
            upper = "" if math.isinf(high) else f", below {_plain(high)}" if below else f", at most {_plain(high)}"
            limits = lower + upper if above or below or math.isinf(high) else f"{_plain(low)} to {_plain(high)}"
            raise argparse.ArgumentTypeError(f"{text}: expected a number, {limits}")
        return value

    return parse


def _plain(number: float) -> str:
    """A number without an exponent, such as 1000000."""
    return f"{number:.0f}" if number == round(number) else f"{number:g}"


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser of an option's value that accepts the whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        limits = f"{low} or more" if high is None else f"{low} to {high}"
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, {limits}") from None
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{text}: expected a whole number, {limits}")
        return value

    return parse


def numbers(text: str) -> list[int]:
    """Return the whole numbers of an option's value, separated by commas."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [-1]
    if min(values) < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected whole numbers from 0, separated by commas, such as 0,3")
    return values


def color(text: str) -> tuple[int, int, int]:
    """Return the red, green and blue of an option's value, 0 to 255 each: six hexadecimal digits, with # or without."""
    digits = text.removeprefix("#")
    if len(digits) != 2 * 3 or not all(digit in string.hexdigits for digit in digits):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a color of six hexadecimal digits, such as 00ff00 for green")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def seconds(text: str) -> float:
    """Return the seconds of an option's value: seconds, minutes:seconds or hours:minutes:seconds."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    value = sum(part * 60.0**power for power, part in enumerate(reversed(parts)))
    if not 1 <= len(parts) <= 3 or not all(part >= 0 for part in parts) or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time, as seconds or minutes:seconds, such as 83.5 or 1:23.5")
    return float(value)


def run_command(program: str, call: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    Args:
        program: Name of the command, which begins every message.
        call: Does the work and returns the exit code.

    What the user did wrong is printed as one line, never as a traceback.
    """
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold characters that this terminal lacks
    try:
        return call()
    except KeyboardInterrupt:
        print(f"\n{program}: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader has gone: `mfn detect ... | head`
        sys.stderr.close()
        return EXIT_DONE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (ValueError, OSError, ImportError) as error:
        print(f"{program}: {one_line_error(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except MemoryError:
        print(f"{program}: not enough memory for this input", file=sys.stderr)
        return EXIT_BAD_INPUT
