"""The `retarget` command: one module a verb. A verb's module is imported only when the verb is used."""

from __future__ import annotations

from collections.abc import Sequence

from retarget.cli.program import PROGRAM


def main(argv: Sequence[str] | None = None) -> int:
    """Run `retarget` and return the exit code.

    Args:
        argv: The arguments without the program's name. None: those of this process.
    """
    return PROGRAM.main(argv)
