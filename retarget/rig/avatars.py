"""Find the characters that ship with the project. Both commands take them by name: `--avatar robot`."""

from __future__ import annotations

from pathlib import Path

from retarget.io.suggest import did_you_mean

DEFAULT_AVATAR = "robot"
AVATAR_NAMES = ("robot", "lion", "person", "monster")


def avatar_folder() -> Path:
    """Return the folder of the characters: inside the installed `mfn` package, or at the root of a checkout."""
    root = Path(__file__).parents[2]
    installed = root / "mfn" / "avatars"
    return installed if installed.is_dir() else root / "avatars"


def find_avatar(name: str | Path | None = None) -> Path:
    """Return the file of a character.

    Args:
        name: Path of a .glb, .gltf or .vrm file; or the name of one of our characters, such as `robot`; or None
            for `robot`.

    Raises:
        FileNotFoundError: There is neither such a file nor such a character.
    """
    if name is not None and Path(name).is_file():
        return Path(name)
    wanted = str(name or DEFAULT_AVATAR)
    file = avatar_folder() / f"{wanted}.glb"
    if wanted in AVATAR_NAMES and file.is_file():
        return file
    if wanted in AVATAR_NAMES:
        raise FileNotFoundError(f"{file}: this character is missing from the installation; give the path of a .glb or .vrm file")
    hint = did_you_mean(wanted, AVATAR_NAMES)
    raise FileNotFoundError(f"{wanted}: no such file, and none of our characters ({', '.join(AVATAR_NAMES)}){hint}")


def character_path(name: str | Path) -> Path:
    """Return a character's file from its path or name, for a reader of files.

    Args:
        name: As in `find_avatar`. A path with a suffix, or of a folder that has none of our names, is returned unchecked: readers
            report what is wrong with it.

    Raises:
        FileNotFoundError: A name without a suffix is neither a file nor one of our characters.
    """
    path = Path(name)
    is_folder = path.is_dir() and str(name) not in AVATAR_NAMES
    return path if path.suffix or is_folder else find_avatar(name)
