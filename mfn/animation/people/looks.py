"""Find out how the people of a photo or clip look, and give each of them a character of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.animation.people.face_colors import face_colors, mean_colors
from mfn.animation.people.rig_likeness import ROLES, Colors, load_likeness, personalize
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.video.reader import read_frames
from retarget.io.images import Image
from retarget.rig.rig import Rig

_FRAMES_PER_PERSON = 9


class Person(NamedTuple):
    """How one person looks. identity: (I,) in standard deviations."""

    identity: NDArray[np.float32]
    colors: Colors


class PersonalRigs(NamedTuple):
    """One character for each person, in the order of the people, and one line for each thing that the user should know."""

    rigs: list[Rig]
    notes: list[str]


def people_of_image(image: Image, faces: Faces) -> list[Person]:
    """Return how the people of a picture look, one for each row of `faces`."""
    colors = face_colors(image, faces, default_head_model())
    return [Person(identity, own) for identity, own in zip(faces.identity, colors, strict=True)]


def people_of_clip(source: str, faces: Faces, start_s: float = 0.0, end_s: float | None = None) -> list[Person]:
    """Return how the tracked people of a clip look, in ascending order of their tracks.

    Args:
        source: The clip; it is read once more, up to the last frame that is needed.
        faces: Faces with tracks; `image` is the number of the frame.
        start_s: Where frame 0 lies, seconds.
        end_s: Where the part of the clip ends, seconds. None: its end.

    The identity is the mean over all frames of a person. The colors are medians over the frames in which the face is large.
    """
    chosen = {int(track): _best_rows(faces, track) for track in np.unique(faces.track)}
    wanted = np.unique(faces.image[np.concatenate([*chosen.values(), np.zeros(0, np.int64)]).astype(np.int64)])
    colors: dict[int, list[Colors]] = {track: [] for track in chosen}
    if len(wanted):
        for number, (_, image) in enumerate(read_frames(source, start_s, end_s)):
            if number in wanted:
                rows = [(track, row) for track, own in chosen.items() for row in own if faces.image[row] == number]
                found = face_colors(image, faces[[row for _, row in rows]], default_head_model())
                for (track, _), own_colors in zip(rows, found, strict=True):
                    colors[track].append(own_colors)
            if number >= wanted[-1]:
                break
    return [Person(faces.identity[faces.track == track].mean(0), mean_colors(found)) for track, found in colors.items()]


def _best_rows(faces: Faces, track: Any) -> NDArray[np.int64]:
    """Return rows of one person: of the larger half of the faces a few, spread over time."""
    rows = np.flatnonzero(faces.track == track)
    large = rows[faces.scale[rows] >= np.median(faces.scale[rows])]
    places = np.unique(np.linspace(0, len(large) - 1, _FRAMES_PER_PERSON).round().astype(np.int64))
    return np.asarray(large[places], np.int64)


def personal_rigs(rigs: Sequence[Rig], people: Sequence[Person], amount: float) -> PersonalRigs:
    """Give each person a character that looks like them.

    Args:
        rigs: The characters; people take them in turn.
        people: How the people look, in the order of the actors.
        amount: 0 to 1.

    Characters without a likeness file stay as they are; a note says so.
    """
    likenesses = [load_likeness(rig) for rig in rigs]
    result, used = [], []
    for number, person in enumerate(people):
        rig, likeness = rigs[number % len(rigs)], likenesses[number % len(rigs)]
        if likeness is not None:
            rig = personalize(rig, likeness, person.identity, person.colors, amount)
            used.append(person)
        result.append(rig)
    notes = [f"{rig.name}: cannot look like a person; our characters can" for rig, own in zip(rigs, likenesses, strict=True) if own is None]
    if used:
        seen = ", ".join(f"{role} of {sum(p.colors[k] is not None for p in used)}" for k, role in enumerate(ROLES))
        notes.insert(0, f"likeness {amount:g}: the head's form of {len(used)} people; the colors of {seen}")
    return PersonalRigs(result, notes)
