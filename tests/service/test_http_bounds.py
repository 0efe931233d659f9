"""A request that turns out not to be one while it is being answered, over real sockets."""

from __future__ import annotations

import asyncio
import logging

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from stenograde.pacs.http_bounds import BoundedRequests

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_CHUNK = b"no length\r\n"


class Application:
    """Answers at once, or only when its connection is about to be closed."""

    def __init__(self, *, is_late: bool) -> None:
        self._is_late = is_late
        self.protocol: BoundedRequests
        self.said: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while self._is_late and not self.protocol.transport.is_closing():
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.said.append("answered")
        self.said.append((await receive())["type"])


async def answers_to(application: Application, *pieces: bytes, answers: int) -> bytes:
    """Send pieces to the application, the last of them after so many answers; return all that it says."""
    config = uvicorn.Config(application, ws="none", log_config=None, access_log=False)
    config.load()

    def made() -> BoundedRequests:
        state = ServerState()
        application.protocol = BoundedRequests(
            config=config, server_state=state, app_state={}, patience_s=60.0
        )
        return application.protocol

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        said = b""
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if answers:
                said += await reader.readuntil(b"\r\n\r\n")
                answers -= 1
        said += await reader.read()
        writer.close()
    return said


@pytest.mark.parametrize(
    ("is_late", "expected"), [(True, [b"400"]), (False, [b"204"])], ids=["while it works", "after its answer"]
)
def test_body_that_breaks_the_protocol_is_answered_once(
    caplog: pytest.LogCaptureFixture, is_late: bool, expected: list[bytes]
) -> None:
    application = Application(is_late=is_late)
    pieces = (HEAD + NO_CHUNK,) if is_late else (HEAD, NO_CHUNK)
    said = asyncio.run(answers_to(application, *pieces, answers=not is_late))
    assert [line.split()[1] for line in said.splitlines() if line.startswith(b"HTTP/1.1 ")] == expected
    assert application.said == ["answered", "http.disconnect"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
