"""The HTTP port: STOW-RS, how the service is, its jobs, and a study that is to be taken for complete."""

from __future__ import annotations

import hashlib
import hmac
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from stenograde.errors import ConfigError, JobError
from stenograde.pacs.database import UNAVAILABLE, Database
from stenograde.pacs.http_bounds import BoundedListener, BoundedRequests, in_time
from stenograde.pacs.intake import Intake
from stenograde.pacs.jobs import Job
from stenograde.pacs.metrics import Metrics
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import HttpSettings
from stenograde.pacs.store import Store
from stenograde.pacs.stow import (
    MalformedRequestError,
    MediaTypeError,
    TooManyPartsError,
    boundary_of,
    stow_request,
)
from stenograde.pacs.tls import server_context

_OPEN: Final = frozenset({"/health", "/ready"})
"""What may be asked without a token: it tells nothing of any study."""

_SHORTEST_TOKEN: Final = 16

_REQUESTS: Final = 64
"""Most requests at once; further ones are answered with 503."""

_CONNECTIONS: Final = 2 * _REQUESTS
"""Most connections at once; further ones are closed."""

PATIENCE_S: Final = 60.0
"""How long a body may keep us waiting beyond what its length explains, and an answer wait to be taken, s."""

HEADER_S: Final = 20.0
"""How long the header of a request may take to come, s."""

_DICOM_JSON: Final = "application/dicom+json"


@dataclass(frozen=True)
class HttpParts:
    """What the HTTP port works with."""

    database: Database
    store: Store
    queue: Queue
    intake: Intake
    metrics: Metrics
    largest_bytes: int
    """Largest object that is taken."""


def http_app(parts: HttpParts, tokens: tuple[str, ...] = (), *, patience_s: float = PATIENCE_S) -> ASGIApp:
    """Return the application; without tokens everyone who can connect may use it.

    Parameters
    ----------
    parts : HttpParts
    tokens : tuple of str
        A request must carry one of them.
    patience_s : float
        How long a body may keep us waiting, s.
    """
    views = _Views(parts, patience_s)
    app = Starlette(
        routes=[
            Route("/health", views.health),
            Route("/ready", views.ready),
            Route("/metrics", views.metrics),
            Route("/jobs", views.jobs),
            Route("/studies/{uid}/complete", views.complete, methods=["POST"]),
            Route("/dicom-web/studies", views.store, methods=["POST"]),
            Route("/dicom-web/studies/{uid}", views.store, methods=["POST"]),
        ]
    )
    return _Guard(app, tokens) if tokens else app


@contextmanager
def http_port(
    settings: HttpSettings, parts: HttpParts, *, patience_s: float = PATIENCE_S, header_s: float = HEADER_S
) -> Iterator[tuple[str, int]]:
    """Listen for requests while the body runs; give host and port.

    Parameters
    ----------
    settings : HttpSettings
        Port 0 takes one that is free.
    parts : HttpParts
    patience_s, header_s : float
        How long a body, and the header of a request, may keep us waiting, s.

    Raises
    ------
    ConfigError
        If the port cannot be opened, or tokens or TLS files cannot be used.
    """
    tokens = read_tokens(settings.tokens_file) if settings.tokens_file else ()
    context = server_context(settings.tls) if settings.tls else None
    protocol: Any = partial(BoundedRequests, patience_s=header_s)
    config = uvicorn.Config(
        http_app(parts, tokens, patience_s=patience_s),
        http=protocol,
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=_REQUESTS,
        timeout_graceful_shutdown=5,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )
    with _listening(settings, patience_s) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http-port")
        thread.start()
        try:
            host, port = listener.getsockname()[:2]
            yield host, port
        finally:
            server.should_exit = True
            thread.join()


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file, one a line.

    Raises
    ------
    ConfigError
        If it cannot be read, holds none, or one that can be guessed.
    """
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "other characters than ASCII"
        msg = f"tokens_file must be a text file with a token a line, got {reason}"
        raise ConfigError(msg) from exc
    tokens = tuple(line for line in lines if line)
    if not tokens or min(map(len, tokens)) < _SHORTEST_TOKEN:
        msg = (
            f"tokens_file must hold tokens of at least {_SHORTEST_TOKEN} characters ('openssl rand -hex 32')"
        )
        raise ConfigError(msg)
    return tokens


class _Guard:
    """Lets requests through that carry a token; how long it looks tells nothing of the tokens."""

    def __init__(self, app: ASGIApp, tokens: tuple[str, ...]) -> None:
        self._app = app
        self._digests = tuple(_digest(token.encode()) for token in tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in _OPEN and not self._is_known(scope):
            answer = Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        given = _digest(token.strip().encode("latin-1"))
        found = [hmac.compare_digest(given, one) for one in self._digests]  # (all of them, whichever it is)
        return kind.lower() == "bearer" and any(found)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class _Views:
    """What each address answers."""

    def __init__(self, parts: HttpParts, patience_s: float) -> None:
        self._parts, self._patience_s = parts, patience_s

    async def health(self, _request: Request) -> Response:
        """Tell that this process answers."""
        return JSONResponse({"status": "up"})

    async def ready(self, _request: Request) -> Response:
        """Tell whether objects are taken in now."""
        found = await run_in_threadpool(self._readiness)
        return JSONResponse(found, 200 if all(found.values()) else 503)

    async def metrics(self, _request: Request) -> Response:
        """Give the numbers for Prometheus."""
        content = await run_in_threadpool(self._parts.metrics.as_text)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    async def jobs(self, _request: Request) -> Response:
        """Give the newest jobs."""
        try:
            found = await run_in_threadpool(self._parts.queue.listed)
        except UNAVAILABLE:
            return _no_database()
        return JSONResponse([_as_plain(job) for job in found])

    async def complete(self, request: Request) -> Response:
        """Take a study for complete."""
        uid, actor = request.path_params["uid"], f"http@{_address(request)}"
        try:
            version = await run_in_threadpool(self._parts.queue.complete, uid, actor=actor)
        except JobError as exc:
            return _told(409, str(exc))
        except UNAVAILABLE:
            return _no_database()
        return JSONResponse({"study_uid": uid, "version": version})

    async def store(self, request: Request) -> Response:
        """Take objects in (STOW-RS, PS3.18 10.5)."""
        parts = self._parts
        try:
            with stow_request(
                boundary_of(request.headers.get("content-type", "")),
                parts.intake,
                parts.store.root / "incoming",
                at_most=parts.largest_bytes,
                sender=f"http@{_address(request)}",
                study_uid=request.path_params.get("uid", ""),
            ) as stow:
                async for chunk in in_time(request.stream(), self._patience_s):
                    await run_in_threadpool(stow.feed, chunk)
                received = stow.finish()
        except MediaTypeError as exc:
            return _told(415, str(exc))
        except MalformedRequestError as exc:
            return _told(400, str(exc))
        except TooManyPartsError as exc:
            return _told(413, str(exc))
        except (ClientDisconnect, TimeoutError):
            return _told(408, "request must come whole and without long pauses")
        status = received.http_status
        again = {"Retry-After": "60"} if status == 503 else None
        return JSONResponse(received.as_json(), status, headers=again, media_type=_DICOM_JSON)

    def _readiness(self) -> dict[str, bool]:
        """Try what taking an object in would need."""
        found = {"database": True, "store": True, "room": True}
        try:
            with self._parts.database.writing() as connection:
                connection.execute(text("SELECT count(*) FROM alembic_version"))
        except UNAVAILABLE:
            found["database"] = False
        try:
            with tempfile.TemporaryFile(dir=self._parts.store.root / "incoming") as file:
                file.write(b"0")
        except OSError:
            found["store"] = False
        try:
            self._parts.store.check_room()
        except OSError:
            found["room"] = False
        return found


def _as_plain(job: Job) -> dict[str, Any]:
    times = ("not_before", "created_at", "touched_at", "changed_at")
    return {
        "id": job.id,
        "study_uid": job.study_uid,
        "version": job.version,
        "state": job.state.value,
        "reason": job.reason,
        "attempts": job.attempts,
    } | {name: getattr(job, name).isoformat(timespec="seconds") for name in times}


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _told(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status)


def _no_database() -> Response:
    return JSONResponse({"error": "database must answer, got none"}, 503, headers={"Retry-After": "60"})


@contextmanager
def _listening(settings: HttpSettings, patience_s: float) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_REQUESTS)
    except OSError as exc:
        msg = f"[http] host and port must be free to listen on, got {settings.host}:{settings.port}, {exc.strerror}"
        raise ConfigError(msg) from exc
    with BoundedListener(listener, most=_CONNECTIONS, patience_s=patience_s) as bounded:
        yield bounded
