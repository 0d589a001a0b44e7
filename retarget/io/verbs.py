"""A command line with several verbs, such as `retarget animate`: its help, its version, and how a verb is found and run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from retarget.io.command_line import EXIT_DONE, EXIT_USAGE, CommandParser, run_command
from retarget.io.suggest import did_you_mean

DISTRIBUTION = "mfn-retarget"
_SUMMARY_COLUMN = 24


class Verb(NamedTuple):
    """One command of a program.

    Attributes:
        arguments: Its positional arguments, as the help shows them.
        summary: What it does, in a few words.
        module: The module with its `main(verb, arguments) -> exit code`. It is imported only when the verb is used.
        extra: The extra that has to be installed for it, or "".
    """

    arguments: str
    summary: str
    module: str
    extra: str = ""


@dataclass(frozen=True)
class Program:
    """A program with verbs.

    Attributes:
        name: The command, such as "retarget".
        description: What it does, one line a sentence.
        verbs: Its verbs by name, in the order of the help.
        old_names: Former names of verbs, which keep working.
        other_programs: Verbs that people may look for here, and the program that has them.
    """

    name: str
    description: str
    verbs: Mapping[str, Verb]
    old_names: Mapping[str, str]
    other_programs: Mapping[str, str]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run a command line (None: that of this process) and return the exit code."""
        arguments = list(sys.argv[1:] if argv is None else argv)
        return run_command(self.name, lambda: self._run(arguments))

    def version(self) -> str:
        """Return "NAME VERSION", the version being that of the installed distribution."""
        from importlib.metadata import PackageNotFoundError, version  # here, because it takes longer than all the rest

        try:
            return f"{self.name} {version(DISTRIBUTION)}"
        except PackageNotFoundError:
            return f"{self.name} (unknown version: {DISTRIBUTION} is not installed)"

    def help_text(self) -> str:
        """Return the help, made from the verbs."""
        lines = [f"usage: {self.name} COMMAND [options]", "", self.description, ""]
        for name, verb in self.verbs.items():
            extra = f'  (pip install ".[{verb.extra}]")' if verb.extra else ""
            command = f"{name} {verb.arguments}".strip()
            is_long = len(command) > _SUMMARY_COLUMN - 2
            gap = f"\n{' ' * (_SUMMARY_COLUMN + 2)}" if is_long else " " * (_SUMMARY_COLUMN - len(command))
            lines.append(f"  {command}{gap}{verb.summary}{extra}")
        lines += [
            "",
            f"{self.name} COMMAND --help explains a command. {self.name} --version prints the version.",
            "Exit codes: 0 done, 1 bad input, 2 wrong usage, 130 stopped by Ctrl-C.",
        ]
        return "\n".join(lines) + "\n"

    def parser(self, verb: str, description: str, epilog: str | None = None) -> CommandParser:
        """Return a parser for a verb's options.

        Args:
            verb: Name of the verb.
            description: What it does.
            epilog: Text after the list of options.

        Its usage line shows positional arguments before the options, because an option that takes several values would
        swallow a positional argument behind it.
        """
        usage = " ".join(part for part in (self.name, verb, self.verbs[verb].arguments, "[options]") if part)
        parser = CommandParser(prog=f"{self.name} {verb}", usage=usage, description=description, epilog=epilog)
        parser.add_argument("--version", action="version", version=self.version(), help="print the version and exit")
        return parser

    def _run(self, arguments: list[str]) -> int:
        first = arguments[0] if arguments else ""
        if first in ("-h", "--help", "help"):
            print(self.help_text(), end="")
            return EXIT_DONE
        if first == "--version":
            print(self.version())
            return EXIT_DONE
        verb = self.old_names.get(first, first)
        if verb not in self.verbs:
            print(self.help_text(), file=sys.stderr)
            problem = f"no command {first!r}{self._hint(first)}" if first else "a command is missing"
            print(f"{self.name}: {problem}", file=sys.stderr)
            return EXIT_USAGE
        run: Callable[[str, Sequence[str]], int] = import_module(self.verbs[verb].module).main
        return run(verb, arguments[1:])

    def _hint(self, word: str) -> str:
        """What to type instead of a word that is no verb, or ""."""
        if word in self.other_programs:
            return f"; did you mean `{self.other_programs[word]} {word}`?"
        if Path(word).suffix:
            return f"; the command comes before the file, such as `{self.name} {next(iter(self.verbs))} {word}`"
        return did_you_mean(word, self.verbs)
