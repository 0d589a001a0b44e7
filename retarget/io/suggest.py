"""Suggest the word that a user probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Build the hint for a misspelled word.

    Args:
        word: What the user typed. Upper and lower case are treated alike.
        choices: The words that would have been accepted.

    Returns:
        `"; did you mean 'robot'?"`, to be added to an error message, or `""` where no choice is similar.
    """
    known = {choice.lower(): choice for choice in choices}
    similar = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {known[similar[0]]!r}?" if similar else ""
