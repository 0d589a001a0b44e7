import time
from pathlib import Path

import numpy as np
import pytest

from mfn.cli.studio.limits import Limits
from mfn.cli.studio.sessions import KEPT_PICTURES, Session, Sessions


def upload(sessions: Sessions, name: str, content: bytes = b"data", folder: str = "hash") -> str:
    """Put a file where the server puts uploads."""
    path = sessions.root.parent / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def sessions(tmp_path) -> Sessions:
    return Sessions(tmp_path / "sessions", Limits(max_users=2, max_files=1), grace_s=0)


def wait_until_closed(sessions: Sessions, count: int) -> None:
    for _ in range(200):
        if len(sessions) == count:
            return
        time.sleep(0.02)
    pytest.fail("the session is still open")


def test_a_session_and_its_uploads_are_deleted_when_it_is_closed(sessions):
    session = sessions.get("a")
    first = session.take_upload(upload(sessions, "my photo.jpg"))
    assert first.name == "my photo.jpg" and first.read_bytes() == b"data" and session.folder in first.parents
    assert sessions.get("a") is session
    sessions.close("a")
    wait_until_closed(sessions, 0)
    session.lock.acquire()
    for _ in range(200):
        if not (sessions.root.parent / "hash").exists():
            break
        time.sleep(0.02)
    assert not session.folder.exists() and not (sessions.root.parent / "hash").exists()
    assert session.closed and session.stop.is_set()


def test_an_upload_that_two_hold_stays_until_both_are_gone(sessions):
    path = upload(sessions, "same.jpg")
    for key in "ab":
        sessions.get(key).take_upload(path)
    sessions.close("a")
    wait_until_closed(sessions, 1)
    assert (sessions.root.parent / "hash" / "same.jpg").exists()
    sessions.close_all()
    assert not (sessions.root.parent / "hash").exists() and not len(sessions)


def test_a_user_who_comes_back_in_time_keeps_everything(tmp_path):
    sessions = Sessions(tmp_path / "sessions", Limits(), grace_s=0.3)
    session = sessions.get("a")
    sessions.close("a")
    sessions.close("a")
    assert sessions.get("a") is session
    time.sleep(0.5)
    assert sessions.get("a") is session and session.folder.is_dir()
    sessions.close("nobody")


def test_users_and_files_are_bounded(sessions):
    session = sessions.get("a")
    sessions.get("b")
    with pytest.raises(ValueError, match="2 people use this page already"):
        sessions.get("c")
    session.rigs["mine.glb"] = session.rig("robot")
    with pytest.raises(ValueError, match=r"^more.glb: expected at most 1 files at a time"):
        session.take_upload(upload(sessions, "more.glb"))


def test_a_file_that_replaces_another_takes_no_place(sessions):
    session = sessions.get("a")
    session.rigs["mine.glb"] = session.rig("robot")
    assert session.take_upload(upload(sessions, "mine.glb"), replaces=True).is_file()


def test_an_upload_that_may_wait_for_its_turn_stays(sessions):
    """A user without a place sends the same file as one whose call is queued: both have one path."""
    path = upload(sessions, "same.jpg", folder=64 * "a")
    for key in "ab":
        sessions.get(key)
    with pytest.raises(ValueError, match="2 people use this page already"):
        sessions.get_for_upload("c", path)
    assert sessions.get_for_upload("a", path).take_upload(path).is_file()


def test_an_upload_that_has_gone_is_one_line(sessions, monkeypatch):
    path = Path(upload(sessions, "photo.jpg"))
    path.unlink()
    for _ in range(2):  # before and after it is checked
        with pytest.raises(FileNotFoundError, match=r"^photo\.jpg: the server no longer has this file; send it again$"):
            sessions.get("a").take_upload(str(path))
        monkeypatch.setattr("mfn.cli.studio.sessions.check_upload", lambda path, limits: None)
    assert not any(sessions.get("a").folder.iterdir())


def test_an_upload_without_a_place_for_its_user_is_deleted(sessions):
    sessions.unclaimed_s = 0
    for key in "ab":
        sessions.get(key)
    sessions.get("b").take_upload(upload(sessions, "same.jpg", folder=64 * "b"))
    for letter in "ab":
        with pytest.raises(ValueError, match="2 people use this page already"):
            sessions.get_for_upload("c", upload(sessions, "same.jpg", folder=64 * letter))
    assert [(sessions.root.parent / (64 * letter)).exists() for letter in "ab"] == [False, True], "b holds the other one"
    outside = Path(upload(sessions, "a file.jpg", folder="elsewhere"))
    with pytest.raises(ValueError, match="2 people use this page already"):
        sessions.get_for_upload("c", str(outside))
    assert outside.is_file()


def test_uploads_of_nobody_make_room(sessions):
    """They are deleted when the room is needed, unless they may still wait for their turn."""
    session = sessions.get("a")
    session.take_upload(upload(sessions, "photo.jpg", folder=64 * "a"))
    assert sessions.has_room()
    folder = Path(upload(sessions, "photo.jpg", folder=64 * "b")).parent
    assert not sessions.has_room() and folder.is_dir(), "it may wait for its turn"
    sessions.unclaimed_s = 0
    assert sessions.has_room() and not folder.exists()
    assert (sessions.root.parent / (64 * "a") / "photo.jpg").is_file()


def test_characters(session: Session):
    assert session.rig("robot") is session.rig("robot")
    assert [rig.name for rig in session.chosen_rigs(None)] == ["robot"]
    assert [rig.name for rig in session.chosen_rigs(["lion", "robot"])] == ["lion", "robot"]
    with pytest.raises(FileNotFoundError, match=r"^robott: no such character.*did you mean 'robot'"):
        session.rig("robott")
    with pytest.raises(FileNotFoundError, match="no such character"):
        session.rig("/etc/passwd")


def folders(session: Session) -> list[str]:
    return sorted(path.name for path in session.folder.iterdir())


def test_old_results_are_deleted(session: Session):
    for _ in range(5):
        with session.result_folder("photo") as folder:
            (folder / "face.glb").write_bytes(b"glb")
    with session.result_folder("clip"):
        pass
    assert folders(session) == ["clip-6", "photo-4", "photo-5"], "what is shown, and what may be on its way"


def test_a_result_that_fails_leaves_the_one_before(session: Session):
    for _ in range(2):
        with session.result_folder("photo"):
            pass
    for _ in range(3):
        with pytest.raises(ValueError, match="no"), session.result_folder("photo") as folder:
            (folder / "half.glb").write_bytes(b"glb")
            raise ValueError("no")
    assert folders(session) == ["photo-1", "photo-2"]


def test_pictures_are_kept_for_a_moment(session: Session):
    paths = [session.keep_picture("live", np.full((8, 8, 3), k, np.uint8)) for k in range(KEPT_PICTURES + 5)]
    assert [Path(path).is_file() for path in paths] == [False] * 5 + [True] * KEPT_PICTURES
    assert len(folders(session)) == KEPT_PICTURES
