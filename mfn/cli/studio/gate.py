"""What stands before the server: a bound on what may be sent, and a header that keeps the page from asking other servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mfn.cli.studio.limits import MEGABYTE
from mfn.cli.studio.sessions import Sessions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; base-uri 'self'; form-action 'self'; "
    "object-src 'none'; frame-ancestors 'self'"
)
_TOO_MUCH, _NO_LENGTH = 413, 411


class Gate:
    """Refuse requests that are too large, and forbid the page to load anything from elsewhere."""

    def __init__(self, app: App, sessions: Sessions) -> None:
        """Stand before an ASGI app.

        Args:
            app: The app.
            sessions: Its users, what they may send, and their uploads.
        """
        self._app, self._sessions, self._limits = app, sessions, sessions.limits

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            status, text = refusal
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text.encode()})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        """Return the status and the text of the answer to a request that is refused, None for all others."""
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return None
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return _NO_LENGTH, "expected a request that states its length"
        if int(length) > self._limits.max_bytes + MEGABYTE:
            return _TOO_MUCH, f"{int(length) / MEGABYTE:.0f} MB is more than the limit of {self._limits.max_mb:g} MB (see --max-mb)"
        if scope["path"].endswith("/upload") and not self._sessions.has_room():
            return _TOO_MUCH, "expected fewer uploads at a time; try again later (see --max-files and --max-users)"
        return None
