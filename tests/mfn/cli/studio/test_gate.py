import asyncio

import pytest

from mfn.cli.studio.gate import Gate
from mfn.cli.studio.limits import MEGABYTE, Limits
from mfn.cli.studio.sessions import Sessions


def ask(gate: Gate, method: str, path: str, length: int | None) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send one request. Returns status, headers and body of the answer."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(gate(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def fine(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture
def gate(tmp_path) -> Gate:
    return Gate(fine, Sessions(tmp_path / "sessions", Limits(max_mb=1, max_files=1, max_users=2)))


def test_large_requests_are_refused_before_they_are_read(gate):
    assert ask(gate, "POST", "/gradio_api/upload", MEGABYTE)[0] == 200
    status, _, body = ask(gate, "POST", "/gradio_api/queue/join", 5 * MEGABYTE)
    assert (status, body) == (413, b"5 MB is more than the limit of 1 MB (see --max-mb)")
    assert ask(gate, "POST", "/gradio_api/upload", None)[0] == 411
    assert ask(gate, "GET", "/", None)[0] == 200


def test_the_number_of_uploads_is_bounded(gate, tmp_path):
    (tmp_path / "sessions").mkdir()
    for name in "ab":
        assert ask(gate, "POST", "/gradio_api/upload", 10)[0] == 200, "other folders than those of uploads do not count"
        (tmp_path / (64 * name)).mkdir()
    status, _, body = ask(gate, "POST", "/gradio_api/upload", 10)
    assert status == 413 and b"try again later" in body
    assert ask(gate, "POST", "/gradio_api/queue/join", 10)[0] == 200


def test_answers_forbid_other_servers(gate):
    _, headers, body = ask(gate, "GET", "/", None)
    assert body == b"fine" and headers[b"x"] == b"y"
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'") and b"http" not in headers[b"content-security-policy"]


def test_other_connections_pass(gate):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Gate(app, gate._sessions)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
