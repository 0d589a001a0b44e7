"""The page in a real browser. Each test is one user from the door to the result."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mfn.cli.studio.page import TITLE
from mfn.structures.faces import Faces
from retarget.gltf.document import read_glb, write_glb
from retarget.io.images import write_image
from tests.helpers.characters import make_face

PATIENCE_MS = 60_000
TABS = ("Photo", "Clip", "Live", "Rig")
DESKTOP, PHONE = (1280, 900), (375, 740)

gradio = pytest.importorskip("gradio", reason="needs the extra `studio`")


@contextlib.contextmanager
def visit(browser, studio, size=DESKTOP):
    """Open the page as a new user, and check at the end that it asked no other server for anything."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(studio.url)
    page.get_by_role("heading", name=TITLE).wait_for()
    yield page
    context.close()
    assert asked and not [url for url in asked if not url.startswith((studio.url, "data:", "blob:"))]


def drop(page, tab: str, file: Path) -> None:
    page.set_input_files(f"#{tab}-file input[type=file]", str(file))


def download(page, name: str, folder: Path) -> Path:
    with page.expect_download() as event:
        page.get_by_role("button", name=name).locator("visible=true").click()
    path = folder / event.value.suggested_filename
    event.value.save_as(path)
    return path


def toast(page, text: str) -> None:
    """Wait for a message with this text."""
    page.locator(".toast-body", has_text=text).first.wait_for()


def crowd(path: Path, people: int) -> Path:
    """Write a picture with white spots."""
    picture = np.zeros((768, 1280, 3), np.uint8)
    for k in range(people):
        picture[160:176, 160 + 320 * k : 176 + 320 * k] = 255
    write_image(path, picture)
    return path


def test_a_photo_becomes_pictures_a_table_and_files(browser, studio, tmp_path):
    with visit(browser, studio) as page:
        drop(page, "photo", crowd(tmp_path / "my crowd.png", 2))
        page.locator("#photo-drawn img").wait_for()
        page.get_by_text("1280 x 768 px, 2 faces").wait_for()
        assert page.locator("#photo-overlay img").is_visible()
        page.locator("#photo-table").get_by_text("1.00").nth(1).wait_for()
        view = page.locator("#photo-scene a[href]").get_attribute("href")
        assert view is not None and page.request.get(view).ok
        scene_file = download(page, "3D scene (.glb)", tmp_path)
        assert scene_file.name == "my crowd.glb" and read_glb(scene_file).document["meshes"]
        faces = download(page, "Faces (.json)", tmp_path)
        assert len(Faces.from_json(faces.read_text())) == 2
        first = download(page, "Picture (.png)", tmp_path).read_bytes()
        page.locator("#photo-characters input").click()
        page.get_by_role("option", name="lion").click()
        page.locator("#photo-characters").get_by_text("lion", exact=True).first.wait_for()
        for _ in range(100):
            if download(page, "Picture (.png)", tmp_path).read_bytes() != first:
                break
            page.wait_for_timeout(300)
        else:
            pytest.fail("the picture does not change with the character")


def test_bad_files_are_one_line(browser, studio, tmp_path):
    paper, large = tmp_path / "paper.pdf", tmp_path / "large.png"
    paper.write_bytes(b"%PDF-1.4\n" + b"x" * 500)
    large.write_bytes(b"\x89PNG" + bytes(3 << 20))
    write_image(tmp_path / "nobody.png", np.zeros((300, 400, 3), np.uint8))
    with visit(browser, studio) as page:
        drop(page, "photo", paper)
        toast(page, "paper.pdf: ")
        shown = page.locator("#photo-status, #photo-overlay, #photo-drawn, #photo-scene")
        assert shown.count() == 4 and not shown.get_by_text("Error", exact=True).count()
        drop(page, "photo", large)
        toast(page, "size")
        drop(page, "photo", tmp_path / "nobody.png")
        toast(page, "nobody.png: 400 x 300 px, no face")
        page.get_by_role("tab", name="Rig").click()
        drop(page, "rig", paper)
        toast(page, "glTF")
        lines = page.locator(".toast-body").all_inner_texts()
        assert not [line for line in lines if str(studio.folder) in line or "Traceback" in line]


def is_gone(folder: Path, pattern: str) -> bool:
    """Whether no such file is left. A folder that is deleted while it is searched says nothing yet."""
    try:
        return not list(folder.rglob(pattern))
    except FileNotFoundError:
        return False


def test_two_users_do_not_mix_and_files_go_with_the_page(browser, studio, tmp_path):
    with visit(browser, studio) as one, visit(browser, studio) as two:
        drop(one, "photo", crowd(tmp_path / "one.png", 1))
        drop(two, "photo", crowd(tmp_path / "two.png", 3))
        one.get_by_text("1280 x 768 px, 1 face").wait_for()
        two.get_by_text("1280 x 768 px, 3 faces").wait_for()
        names = {path.name for path in studio.folder.rglob("*.glb")}
        assert {"one.glb", "two.glb"} <= names
        one.context.close()
        until(lambda: is_gone(studio.folder, "one.*"))
        assert download(two, "3D scene (.glb)", tmp_path).name == "two.glb"
    until(lambda: is_gone(studio.folder, "two.*"))


def until(condition) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_a_phone_is_wide_enough(browser, studio, tmp_path):
    with visit(browser, studio, PHONE) as page:
        drop(page, "photo", crowd(tmp_path / "phone.png", 2))
        page.locator("#photo-drawn img").wait_for()
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            page.locator(f"#{tab.lower()}-file, #{tab.lower()}-camera").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0], tab


@pytest.fixture
def moving_clip(tmp_path) -> Path:
    """Write a clip of one second at 20 frames/s with a white spot that goes to the right."""
    path = tmp_path / "moving.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (640, 384))
    for i in range(20):
        frame = np.full((384, 640, 3), i * 4, np.uint8)
        frame[80:120, 160 + i : 200 + i] = 255
        writer.write(frame)
    writer.release()
    return path


def test_a_clip_becomes_a_video_and_a_scene(browser, studio, moving_clip, tmp_path):
    pytest.importorskip("av", reason="writing a video needs PyAV")
    with visit(browser, studio) as page:
        page.get_by_role("tab", name="Clip").click()
        drop(page, "clip", moving_clip)
        page.get_by_text("2 people found").wait_for()
        for number in (0, 1):
            page.locator(f"#clip-keep-{number} input").uncheck()
        page.locator("#clip-write").click()
        toast(page, "everybody is left out")
        page.locator("#clip-keep-0 input").check()
        page.locator("#clip-as-0 input").click()
        page.get_by_role("option", name="monster").click()
        page.locator("#clip-write").click()
        page.locator("#clip-video video").wait_for()
        video = cv2.VideoCapture(str(download(page, "Video (.mp4)", tmp_path)))
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 20
        scene = read_glb(download(page, "3D scene (.glb)", tmp_path)).document
        assert [node["extras"]["actor"] for node in scene["nodes"] if "actor" in node.get("extras", {})] == [0]
        assert scene["animations"] and any(node.get("name") == "monster 0" for node in scene["nodes"])


def test_a_click_before_the_next_clip_is_shown_makes_nothing_of_it(browser, studio, moving_clip, monkeypatch):
    pytest.importorskip("av", reason="writing a video needs PyAV")
    import mfn.cli.studio.clip as studio_clip

    begun, go_on, find = threading.Event(), threading.Event(), studio_clip.find_people

    def slow(*arguments):
        begun.set()
        assert go_on.wait(30)
        return find(*arguments)

    expect = pytest.importorskip("playwright.sync_api").expect
    with visit(browser, studio) as page:
        page.get_by_role("tab", name="Clip").click()
        drop(page, "clip", moving_clip)
        page.get_by_text("moving.avi: 2 people found").wait_for()
        monkeypatch.setattr(studio_clip, "find_people", slow)
        drop(page, "clip", moving_clip.rename(moving_clip.with_name("next.avi")))
        assert begun.wait(30)
        with page.expect_response("**/queue/join*"):
            page.locator("#clip-write").click()
        go_on.set()
        toast(page, "next.avi: expected choices for its people, got those of an earlier search")
        page.get_by_text("next.avi: 2 people found").wait_for()
        search = page.locator("#clip-search").locator("textarea, input")
        before = search.input_value()
        page.get_by_role("button", name="More").click()
        page.get_by_role("button", name="Find people again").click()
        expect(search).not_to_have_value(before)
        page.locator("#clip-write").click()
        page.locator("#clip-video video").wait_for()


def test_the_webcam_is_drawn(browser, studio):
    with visit(browser, studio) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Click to Access Webcam").click()
        page.locator("#live-camera button", has_text="Record").click()
        page.locator("#live-shown img").wait_for()
        page.locator("#live-line", has_text="latency").wait_for()
        source = page.locator("#live-shown img").get_attribute("src")
        assert "/sessions/" in source and page.request.get(source).ok
        page.wait_for_function("before => document.querySelector('#live-shown img').src != before", arg=source)
        assert not list(studio.folder.glob("*/image.*")), "a frame that Gradio keeps is never deleted"


def test_a_character_is_inspected_moved_and_offered(browser, studio, tmp_path):
    write_glb(make_face(), tmp_path / "mine.glb")
    with visit(browser, studio) as page:
        page.get_by_role("tab", name="Rig").click()
        drop(page, "rig", tmp_path / "mine.glb")
        page.locator("#rig-status", has_text="of 52 have an effect").wait_for()
        page.locator("#rig-effects").get_by_text("skin.jawOpen").wait_for()
        source = page.locator("#rig-picture img").get_attribute("src")
        slider = page.locator("#rig-jawOpen input[type=range]")
        slider.focus()
        slider.press("End")
        slider.dispatch_event("pointerup")
        page.wait_for_function("before => document.querySelector('#rig-picture img').src != before", arg=source)
        page.get_by_role("tab", name="Live").click()
        page.locator("#live-show").get_by_text("mine.glb").wait_for()


