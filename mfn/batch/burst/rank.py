"""Rank the shots of a group by what is wrong with each person in each shot.

Letters: S shots, P people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mfn.batch.attributes.thresholds import Thresholds, default_thresholds
from mfn.batch.burst.people import track_people
from mfn.structures.faces import Faces

PENALTIES: dict[str, float] = {
    "missing": 1.0,
    "eyes closed": 1.0,
    "hidden": 0.8,
    "blurred": 0.8,
    "looks away": 0.4,
    "no smile": 0.2,
}
"""Problem of a person in a shot -> how much it weighs. Unknown weighs nothing."""
_FLAGS = {"eyes_closed": "eyes", "looking_at_camera": "gaze", "smile": "smile"}  # flag -> what is unknown if it is empty
_REGULAR = 0.5  # people in a smaller share of the shots are passers-by and do not count
_RELATIVE_SHARPNESS = 0.7  # of the person's sharpest shot; less is blurred


@dataclass(frozen=True)
class Shot:
    """One shot: its name, its faces, and the columns of the table of faces (see `mfn.batch.tables.columns`) by name, N values each."""

    name: str
    faces: Faces
    columns: Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Appearance:
    """A person in a shot: the row of the face in the shot, -1 if it was not found, what is wrong, and what is unknown."""

    face: int
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    @property
    def penalty(self) -> float:
        """How much the problems weigh together."""
        return sum(PENALTIES[problem] for problem in self.problems)

    @property
    def smiles(self) -> bool:
        """Whether the person was found and smiles; False if this is unknown."""
        return self.face >= 0 and "no smile" not in self.problems and _FLAGS["smile"] not in self.unknown


@dataclass(frozen=True)
class Ranking:
    """Shots of a group, compared.

    Attributes:
        shots: S shots in the order in which they were given.
        people: S lists of P appearances; people are numbered from the left in the best shot.
        order: The numbers of the shots, the best first.
        penalty: S sums over the people; smaller is better.
    """

    shots: Sequence[Shot]
    people: list[list[Appearance]] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)

    def count(self, shot: int, problem: str) -> int:
        """Return how many people of a shot have a problem."""
        return sum(problem in person.problems for person in self.people[shot])

    def better_shots(self, person: int, problem: str) -> list[str]:
        """Return the names of the shots in which a person has not this problem and looks better than in the best shot, the best first."""
        found = ((s, self.people[s][person]) for s in self.order)
        limit = self.people[self.order[0]][person].penalty
        return [self.shots[s].name for s, seen in found if problem not in seen.problems and seen.penalty < limit]


def rank_shots(shots: Sequence[Shot], thresholds: Thresholds | None = None) -> Ranking:
    """Rank shots of one group.

    Args:
        shots: S shots, in the order in which they were taken.
        thresholds: None: those that ship.
    """
    thresholds = thresholds or default_thresholds()
    tracked = track_people([shot.faces for shot in shots])
    rows = _rows(shots, tracked)
    sharpest = {person: max(_number(shots[s], face, "sharpness") for s, face in places.items()) for person, places in rows.items()}
    counted = [person for person, places in rows.items() if len(places) >= _REGULAR * len(shots)]
    found = [
        [_appearance(shot, rows[person].get(s, -1), sharpest[person], thresholds) for person in counted] for s, shot in enumerate(shots)
    ]
    _forgive_serious_people(found)
    penalty = [round(sum(person.penalty for person in people), 6) for people in found]
    sharp = [float(np.mean(shot.columns["sharpness"] or [0.0])) for shot in shots]  # type: ignore[arg-type]  # a column of numbers
    order = sorted(range(len(shots)), key=lambda s: (penalty[s], -sharp[s], s))
    left = _from_left(shots, found, order)
    return Ranking(shots, [[people[p] for p in left] for people in found], order, penalty)


def _rows(shots: Sequence[Shot], tracked: Faces) -> dict[int, dict[int, int]]:
    """Return for each person the row of the face in each shot in which it was found."""
    rows: dict[int, dict[int, int]] = {}
    for s in range(len(shots)):
        for face, person in enumerate(tracked.track[tracked.image == s].tolist()):
            rows.setdefault(person, {})[s] = face
    return rows


def _appearance(shot: Shot, face: int, sharpest: float, thresholds: Thresholds) -> Appearance:
    """Say what is wrong with one person in one shot."""
    if face < 0:
        return Appearance(face, ("missing",))
    sharpness = _number(shot, face, "sharpness")
    states = {
        "eyes closed": shot.columns["eyes_closed"][face] is True,
        "hidden": _number(shot, face, "visible") < min(t.min_visible for t in thresholds.flags.values()),
        "blurred": sharpness < max(thresholds.blurred, _RELATIVE_SHARPNESS * sharpest),
        "looks away": shot.columns["looking_at_camera"][face] is False,
        "no smile": shot.columns["smile"][face] is False,
    }
    unknown = tuple(word for flag, word in _FLAGS.items() if shot.columns[flag][face] is None)
    return Appearance(face, tuple(problem for problem, true in states.items() if true), unknown)


def _forgive_serious_people(found: list[list[Appearance]]) -> None:
    """Drop "no smile" of people who smile in no shot for certain: it does not tell shots apart."""
    for p in range(len(found[0]) if found else 0):
        if not any(people[p].smiles for people in found):
            for people in found:
                people[p] = replace(people[p], problems=tuple(x for x in people[p].problems if x != "no smile"))


def _from_left(shots: Sequence[Shot], found: Sequence[Sequence[Appearance]], order: Sequence[int]) -> list[int]:
    """Return the people from left to right, by the best shot in which each is found."""

    def x(person: int) -> float:
        best = next((s for s in order if found[s][person].face >= 0), -1)
        box = shots[best].faces.box[found[best][person].face]
        return float(box[0] + box[2])

    return sorted(range(len(found[0]) if found else 0), key=x)


def _number(shot: Shot, face: int, column: str) -> float:
    return float(shot.columns[column][face])  # type: ignore[arg-type]  # a column of numbers
