"""What uvicorn trusts of a client, bounded: connections at once, and how long a request and its answer may take."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_SLOWEST_BYTES_S: Final = 1000.0
"""Below that a body is given up once its patience is spent, bytes/s (Apache's mod_reqtimeout by default: 500)."""


class BoundedListener(socket.socket):
    """A socket that listens, and closes at once what connects beyond a number, also before any handshake of TLS.

    Parameters
    ----------
    listener : socket
        Taken over.
    most : int
        Connections at once.
    patience_s : float
        How long an answer may wait for its client to take it, s.
    """

    def __init__(self, listener: socket.socket, *, most: int, patience_s: float) -> None:
        super().__init__(fileno=listener.detach())
        self._most, self._patience_ms = most, max(int(patience_s * 1000), 1)
        self._accepted: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises
        ------
        ConnectionAbortedError
            If there are enough already; the event loop then goes on with the next.
        """
        connection, address = super().accept()
        if sum(one.fileno() != -1 for one in self._accepted) >= self._most:
            connection.close()
            raise ConnectionAbortedError
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # (Linux)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._patience_ms)
        self._accepted.add(connection)
        return connection, address


class BoundedRequests(H11Protocol):
    """Ends a connection whose next request has not begun, with all of its header, in time; drips do not count.

    A request that turns out not to be one is answered at most once: where the application has answered, the connection
    ends; where it is still at work, its answer goes nowhere.

    Parameters
    ----------
    patience_s : float
        From the connection, or from the answer to the request before, s.
    **given
        See :class:`uvicorn.protocols.http.h11_impl.H11Protocol`.
    """

    def __init__(self, *, patience_s: float, **given: Any) -> None:
        super().__init__(**given)
        self._patience_s = patience_s
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Look at what has come."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        """Wait for the next request, also where the rest of this one is still to come."""
        super().on_response_complete()
        if self.cycle.response_complete:  # (the next one may have begun)
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # (what the application still says goes nowhere)
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _wait(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(self._patience_s, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


class Patience:
    """How long a body may still keep us waiting: waiting spends time, bytes earn it.

    Examples
    --------
    >>> patience = Patience(60.0)
    >>> patience.spend(50.0, n_bytes=1000)
    >>> patience.left_s
    11.0
    >>> patience.spend(1.0, n_bytes=1_000_000)
    >>> patience.left_s
    60.0
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = self.left_s = most_s

    def spend(self, waited_s: float, n_bytes: int) -> None:
        """Count how long some bytes were waited for."""
        self.left_s = min(self.left_s - waited_s + n_bytes / _SLOWEST_BYTES_S, self._most_s)


async def in_time(chunks: AsyncIterator[bytes], patience_s: float) -> AsyncIterator[bytes]:
    """Give chunks as they come; what is done with each costs no patience.

    Raises
    ------
    TimeoutError
        If they come too slowly.
    """
    patience, clock = Patience(patience_s), asyncio.get_running_loop().time
    while True:
        began = clock()
        chunk = await asyncio.wait_for(anext(chunks, None), patience.left_s)
        if chunk is None:
            return
        patience.spend(clock() - began, len(chunk))
        yield chunk
