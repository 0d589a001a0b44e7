"""What each user of the page holds: a folder with their files, and their photo, clip, characters and live stream.

A session begins with the first upload and ends when the page is closed. Then its folder and its uploads are deleted. An upload of which
no session knows, because its page was closed too early or was never open, is deleted when its place is needed.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mfn.cli.studio.limits import Limits, check_upload
from retarget.io.images import Image, write_image
from retarget.io.suggest import did_you_mean
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR, find_avatar
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig

if TYPE_CHECKING:
    from mfn.animation.photo import Photo
    from mfn.cli.studio.clip import FoundClip
    from mfn.cli.studio.live import Stream

GRACE_S = 30.0
"""How long the files of a closed page are kept: a phone that sleeps for a moment closes the connection, too."""
UNCLAIMED_S = 3600.0
"""How long an upload may belong to nobody: it waits for its turn while clips of others are worked on."""
KEPT_RESULTS = 2
"""Newest results of each tab that are kept: the one that the page shows, and the one before, which may be on its way to the user."""
KEPT_PICTURES = 30
"""Newest frames and previews that are kept: a browser with a slow connection asks for them some seconds later."""
_UPLOAD_FOLDER = re.compile(r"[0-9a-f]{64}")  # Gradio names the folder of an upload by the digest of its content
_SHARED_RIGS: dict[str, Rig] = {}  # our characters, which all users share
_RIGS_LOCK = threading.Lock()


class Shown(NamedTuple):
    """The newest choice of a character on the tab Rig: its number (see `Session.next_number`), and the name."""

    number: int
    character: str


@dataclass(eq=False)
class Session:
    """What one user holds. `lock` is held while the photo, the clip or a character is worked on."""

    folder: Path
    limits: Limits
    lock: threading.RLock = field(default_factory=threading.RLock)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to stop the clip that is being worked on."""
    photo: Photo | None = None
    clip: FoundClip | None = None
    stream: Stream | None = None
    rigs: dict[str, Rig] = field(default_factory=dict)
    """The user's own characters by file name."""
    shown: Shown = field(default_factory=lambda: Shown(0, ""))
    """What the tab Rig is to show. Requests run side by side: an answer to an older one that comes last must not be shown."""
    closed: bool = False
    uploads: set[Path] = field(default_factory=set)
    """Where the server put the uploads of this user."""
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _results: dict[str, list[Path]] = field(default_factory=dict)
    _choosing: threading.Lock = field(default_factory=threading.Lock)

    def next_number(self) -> int:
        """Return a number for a request that begins now; later requests get larger ones."""
        return next(self._count)

    def show(self, number: int, character: str) -> None:
        """Note that the tab Rig is to show a character, unless a request that began later than this one (`number`) chose another."""
        with self._choosing:
            if number > self.shown.number:
                self.shown = Shown(number, character)

    def take_upload(self, upload: str, replaces: bool = False) -> Path:
        """Keep an uploaded file in the folder of the session, under its own name.

        Args:
            upload: The file.
            replaces: Whether it takes the place of a file that the user holds.

        Raises:
            ValueError: It is too large, or the user holds too many files.
            FileNotFoundError: It has been deleted meanwhile.
        """
        source = Path(upload)
        gone = f"{source.name}: the server no longer has this file; send it again"
        self.uploads.add(source)
        try:
            check_upload(source, self.limits)
        except FileNotFoundError:
            raise FileNotFoundError(gone) from None
        held = len(self.rigs) + (self.photo is not None) + (self.clip is not None) - replaces
        if held >= self.limits.max_files:
            raise ValueError(f"{source.name}: expected at most {self.limits.max_files} files at a time; reload the page to begin anew")
        target = self.new_folder("upload") / source.name
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            try:
                shutil.copyfile(source, target)
            except FileNotFoundError:
                self.drop_folder(target)
                raise FileNotFoundError(gone) from None
        return target

    def new_folder(self, what: str) -> Path:
        """Make an empty folder."""
        folder = self.folder / f"{what}-{next(self._count)}"
        folder.mkdir()
        return folder

    @contextmanager
    def result_folder(self, what: str, keep: int = KEPT_RESULTS) -> Iterator[Path]:
        """Make an empty folder for a result, in a `with` statement. At its end older results of this kind are deleted.

        Args:
            what: The kind, which begins the name of the folder.
            keep: How many of the newest results stay.

        After an error this folder is deleted instead, because the page goes on showing the result before.
        """
        folder = self.new_folder(what)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        results = self._results.setdefault(what, [])
        results.append(folder)
        while len(results) > keep:
            shutil.rmtree(results.pop(0), ignore_errors=True)

    def keep_picture(self, what: str, picture: Image) -> str:
        """Write a picture that the page shows until the next one of its kind comes, and return its path.

        Args:
            what: Its kind.
            picture: (H, W, 3) uint8 RGB.

        Gradio would keep every picture that it gets as an array until the command ends.
        """
        with self.result_folder(what, KEPT_PICTURES) as folder:
            write_image(folder / "picture.jpg", picture)
        return str(folder / "picture.jpg")

    def drop_folder(self, file: Path) -> None:
        """Delete the folder of a file of this session."""
        if self.folder in file.parents:
            shutil.rmtree(file.parent, ignore_errors=True)

    def character_names(self) -> list[str]:
        """Return what the user can choose from: our characters, then their own."""
        return [*AVATAR_NAMES, *self.rigs]

    def rig(self, name: str) -> Rig:
        """Return a character by its name.

        Raises:
            FileNotFoundError: There is no such character.
        """
        if name in self.rigs:
            return self.rigs[name]
        if name not in AVATAR_NAMES:
            hint = did_you_mean(name, self.character_names())
            raise FileNotFoundError(f"{name}: no such character; drop its file on the tab Rig again{hint}")
        with _RIGS_LOCK:
            if name not in _SHARED_RIGS:
                _SHARED_RIGS[name] = load_rig(find_avatar(name))
            return _SHARED_RIGS[name]

    def chosen_rigs(self, names: list[str] | None) -> list[Rig]:
        """Return the characters of these names; our robot for none."""
        return [self.rig(name) for name in names or [DEFAULT_AVATAR]]


class Sessions:
    """The sessions of all users, by the key that the browser sends."""

    def __init__(self, root: Path, limits: Limits, grace_s: float = GRACE_S, unclaimed_s: float = UNCLAIMED_S) -> None:
        """Begin without users.

        Args:
            root: Folder for the files of all users. The server puts uploads beside it.
            limits: What is accepted.
            grace_s: How long the files of a closed page are kept, seconds.
            unclaimed_s: How long an upload may belong to nobody, seconds.
        """
        self.root, self.limits, self.grace_s, self.unclaimed_s = root, limits, grace_s, unclaimed_s
        self._open: dict[str, Session] = {}
        self._closing: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Session:
        """Return the session of a key. It is begun if there is none.

        Raises:
            ValueError: Too many people use the page.
        """
        with self._lock:
            timer = self._closing.pop(key, None)
            if timer is not None:
                timer.cancel()
            if key not in self._open:
                if len(self._open) >= self.limits.max_users:
                    raise ValueError(f"{len(self._open)} people use this page already; try again later (see --max-users)")
                folder = self.root / secrets.token_hex(16)
                folder.mkdir(parents=True)
                self._open[key] = Session(folder, self.limits)
            return self._open[key]

    def get_for_upload(self, key: str, upload: str) -> Session:
        """Return the session of a key, for a file that its user sent.

        Raises:
            ValueError: Too many people use the page. The file is deleted, unless it is new: another user who sent the same one may wait
                for their turn. `has_room` deletes it later.
        """
        try:
            return self.get(key)
        except ValueError:
            with self._lock:
                folder = Path(upload).parent
                if folder in self._upload_folders() and Path(upload) not in self._owned() and self._is_unclaimed(folder):
                    _delete_upload(Path(upload))
            raise

    def has_room(self) -> bool:
        """Return whether one more upload is accepted. If there are too many, those that belong to nobody are deleted first."""
        most = self.limits.max_files * self.limits.max_users
        if len(self._upload_folders()) < most:
            return True
        with self._lock:
            owned = {upload.parent for upload in self._owned()}
            for folder in self._upload_folders():
                if folder not in owned and self._is_unclaimed(folder):
                    shutil.rmtree(folder, ignore_errors=True)
        return len(self._upload_folders()) < most

    def close(self, key: str) -> None:
        """End a session after a while, unless the user comes back before. Nothing happens if there is none."""
        with self._lock:
            if key not in self._open or key in self._closing:
                return
            timer = threading.Timer(self.grace_s, self._close_now, [key])
            timer.daemon = True
            self._closing[key] = timer
        timer.start()

    def close_all(self) -> None:
        """End all sessions at once."""
        for key in list(self._open):
            self._close_now(key)

    def __len__(self) -> int:
        return len(self._open)

    def _upload_folders(self) -> list[Path]:
        """Return the folders of all uploads."""
        return [path for path in self.root.parent.iterdir() if _UPLOAD_FOLDER.fullmatch(path.name)]

    def _is_unclaimed(self, folder: Path) -> bool:
        """Return whether the folder of an upload is so old that nobody waits for it."""
        with suppress(FileNotFoundError):  # a session that ends deletes its uploads meanwhile
            return time.time() - folder.stat().st_mtime >= self.unclaimed_s
        return False

    def _owned(self) -> set[Path]:
        """Return the uploads that belong to a session."""
        return {upload for session in self._open.values() for upload in session.uploads.copy()}

    def _close_now(self, key: str) -> None:
        with self._lock:
            timer = self._closing.pop(key, None)
            if timer is not None:
                timer.cancel()
            session = self._open.pop(key, None)
            if session is None:
                return
            shared = self._owned()
        session.closed = True
        session.stop.set()
        with session.lock:  # wait for work that is going on
            shutil.rmtree(session.folder, ignore_errors=True)
        for upload in session.uploads - shared:
            _delete_upload(upload)


def _delete_upload(upload: Path) -> None:
    """Delete an uploaded file, and its folder if nothing else is in it."""
    upload.unlink(missing_ok=True)
    if upload.parent.is_dir() and not any(upload.parent.iterdir()):
        upload.parent.rmdir()
