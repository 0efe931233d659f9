"""Fuzzes the DICOM port and the HTTP port of a running service; tells crashes, leaks, and files outside the store.

    python benchmarks/port_fuzz.py --minutes 60 --seed 1

Starts ``stenograde serve`` and sends it, over real sockets, associations, P-DATA and STOW-RS requests that are right
but for something, see ``port_requests.py``; both kinds at once, while some clients send their bytes one by one. Every
so often a right object must still be taken in. At the end nothing may lie outside the store, every file in it must have
its row, and the log must tell of no fault and of no part that ended. Printed: the answers, and resident memory, open
files and threads of each process over time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from port_requests import PLACEHOLDER, TOKEN, DicomRequests, Objects, StowRequests, post
from tests.dicom_files import STUDY, mr_dataset, picture, save
from tests.dicom_peers import ACCEPTED, associate_request, peer
from tests.receiving import check_whole, stripped

import stenograde
from stenograde.pacs.opening import open_queue
from stenograde.pacs.settings import read_settings

_EVERY = 50
"""After so many requests a right one must be taken in."""

_CLIENTS = 3
"""Of each kind at once."""

_LATER = frozenset({"PDU 3", "0xa700", "503"})
"""Answers that ask a sender to come again: no room for an association, a database that is busy for long."""

_SAMPLE_S = 60.0

_GUARD_S = 600.0
"""A guard against hanging, also where others keep the machine busy, s."""

_IMPATIENT_S = 0.1
"""How long an answer to what is not whole is waited for: the port may wait for the rest, s."""

_SOURCE = str(Path(stenograde.__file__).parents[1])

_CONFIG = """
store = "{folder}/store"
free_mb = 0
[dicom]
port = 0
[http]
port = 0
tokens_file = "{folder}/tokens"
[study]
quiet_s = 1e9
longest_s = 1e9
"""


@dataclass
class Service:
    """A service that runs, and what its log has told."""

    process: subprocess.Popen[bytes]
    log: Path
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    def wait(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + _GUARD_S
        while len(self.ports) < 2:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the service must listen"
            time.sleep(0.1)
            for line in self.lines():
                if line["event"] == "listening":
                    self.ports[str(line["what"])] = int(str(line["port"]))
                elif line["event"] == "part started":
                    self.pids[str(line["part"])] = int(str(line["pid"]))

    def lines(self) -> Iterator[dict[str, object]]:
        """Give the lines of its log; each must be a JSON object."""
        with self.log.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """Run a service whose temporary files and working directory are in a folder; it must end well."""
    (folder / "serve.toml").write_text(_CONFIG.format(folder=folder))
    (folder / "tokens").write_bytes(TOKEN)
    (folder / "tmp").mkdir()
    words = [sys.executable, "-m", "stenograde", "serve", "--config", str(folder / "serve.toml")]
    with (folder / "log").open("wb") as log:
        environment = os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": _SOURCE}
        process = subprocess.Popen(
            words, stderr=log, cwd=folder / "tmp", env=environment, start_new_session=True
        )
    service = Service(process, folder / "log")
    try:
        service.wait()
        yield service
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(_GUARD_S) == 0, "the service must end well"
    except BaseException:
        print((folder / "log").read_text()[-5000:], file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def fuzz_dicom(
    port: int, requests: DicomRequests, numbers: Iterator[int], rng: random.Random
) -> Counter[str]:
    """Send associations and objects; return how the port answered."""
    answers: Counter[str] = Counter()
    for number in numbers:
        if number % _EVERY == 0:
            answers[_taken(partial(_stored, port, requests.right(number)), "0x0")] += 1
            continue
        with peer(port, _GUARD_S) as one:
            request, stored = requests.odd(number, rng)
            one.send(request)
            answer = one.pdu() if stored else b""
            answer = one.send(stored if answer and answer[0] == ACCEPTED else b"").last_pdu()
            kind = "P-DATA" if stored else "association"
            answers[f"{kind}: {f'PDU {answer[0]}' if answer else 'closed'}"] += 1
    return answers


def _taken(send: Callable[[], str], kept: str) -> str:
    """Send a right object, again while there is no room for it or the database is busy; tell how it was taken."""
    answer, deadline = f"right: {kept}", time.monotonic() + _GUARD_S
    while (status := send()) != kept:
        assert status in _LATER, f"a right object must be taken, got {status}"
        assert time.monotonic() < deadline, "a right object must be taken in the end"
        answer = f"right: {kept} after a wait"
        time.sleep(0.5)
    return answer


def _stored(port: int, stored: bytes) -> str:
    """Send a C-STORE on an association of its own; return its status."""
    with peer(port, _GUARD_S) as one:
        answer = one.send(associate_request()).pdu()
        if answer[:1] != bytes([ACCEPTED]):
            return f"PDU {answer[0]}" if answer else "closed"
        return hex(one.send(stored).status())


def fuzz_stow(port: int, requests: StowRequests, numbers: Iterator[int], rng: random.Random) -> Counter[str]:
    """Send requests of HTTP; return how the port answered."""
    answers: Counter[str] = Counter()
    for number in numbers:
        if number % _EVERY == 0:
            send = partial(_status, port, requests.right(number), pieces=1, timeout_s=_GUARD_S)
            answers[_taken(send, "200")] += 1
            continue
        one = requests.odd(number, rng)
        timeout_s = _GUARD_S if one.is_whole else _IMPATIENT_S
        status = _status(port, one.data, pieces=one.pieces, timeout_s=timeout_s)
        assert status != "500", f"request {number} must be understood or refused, got 500"
        assert status != "waits" or not one.is_whole, f"request {number} must be answered ({one.kind})"
        answers[f"{one.kind}: {status}"] += 1
    return answers


def _status(port: int, data: bytes, *, pieces: int, timeout_s: float) -> str:
    """Send a request; return the status of its answer, ``closed`` where there is none, ``waits`` where it is late."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_GUARD_S) as connection:
        n = -(-len(data) // pieces)
        with suppress(ConnectionError):
            for at in range(0, len(data), n):
                connection.sendall(data[at : at + n])
                time.sleep(0.001 if pieces > 1 else 0)
        connection.settimeout(timeout_s)
        try:
            while len(answer) < 12 and (got := connection.recv(4096)):
                answer += got
        except ConnectionError:
            pass
        except TimeoutError:
            return "waits"
    return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "closed"


@dataclass
class Drips:
    """Clients that send a byte now and then, until the port hangs up; others must not notice."""

    closed: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def send(self, kind: str, port: int, data: bytes, stop: threading.Event) -> None:
        """Send bytes until told to stop, on a new connection whenever the port closes one."""
        while not stop.is_set():
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", port)) as connection, suppress(ConnectionError):
                for byte in itertools.chain(data, itertools.repeat(0x78)):
                    connection.sendall(bytes([byte]))
                    if stop.wait(0.2):
                        return
                    connection.setblocking(False)
                    with suppress(BlockingIOError):
                        if not connection.recv(4096):
                            break
                    connection.setblocking(True)
            self.closed[kind] += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)


def sampled(pids: dict[str, int]) -> dict[str, tuple[int, int, int]]:
    """Return resident memory in MB, open files and threads of processes."""
    found = {}
    for name, pid in pids.items():
        place = Path(f"/proc/{pid}")
        resident = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        of_kind = (len(os.listdir(place / kind)) for kind in ("fd", "task"))  # noqa: PTH208
        n_files, n_threads = of_kind
        found[name] = (round(resident / 1e6), n_files, n_threads)
    return found


def fuzz(folder: Path, n_requests: int, minutes: float, seed: int) -> dict[str, object]:
    """Fuzz both ports of a service in a folder; raise where something is not as it must be.

    Parameters
    ----------
    folder : Path
        Empty.
    n_requests : int
        Of each client, of which there are three of each kind; fewer where the time is over.
    minutes : float
    seed : int
    """
    home = folder.joinpath("1", "2", "3", "4", "5", "6")  # (deep, so that what climbs out is still seen)
    home.mkdir(parents=True)
    for name in ("serve.toml", "tokens", "log"):
        (home / name).touch()
    objects, n_head = _objects(home)
    before = _files(folder)
    over, drips = threading.Event(), Drips()

    def numbers(first: int) -> Iterator[int]:
        for number in range(n_requests):
            if over.is_set() or time.monotonic() > began + 60 * minutes:
                return
            yield first + number

    with served(home) as service, ThreadPoolExecutor(32) as threads:
        dicom, http = service.ports["dicom"], service.ports["http"]
        began = time.monotonic()
        samples = defaultdict(list)

        def sample() -> None:
            for name, one in sampled(service.pids | {"service": service.process.pid}).items():
                samples[name].append(one)

        try:
            for port, kind, data in (
                (http, "header", b"GET /health HTTP/1.1\r\nA: "),
                (http, "body", post(b"", framing=b"Content-Length: 999999") + b"--XX\r\n\r\n"),
                (dicom, "PDU", associate_request()[:60]),
            ):
                threads.submit(drips.send, kind, port, data, over)
            makers = (
                (fuzz_dicom, dicom, DicomRequests(objects, n_head)),
                (fuzz_stow, http, StowRequests(objects)),
            )
            work = [
                threads.submit(
                    send, port, requests, numbers(client * 1_000_000), random.Random(seed + client)
                )
                for client, (send, port, requests) in enumerate(makers * _CLIENTS)
            ]
            while not all(one.done() for one in work) and not any(map(_failed, work)):
                sample()
                wait(work, timeout=_SAMPLE_S, return_when=FIRST_EXCEPTION)
            sample()
        finally:
            over.set()
        answers = [
            dict(sorted(sum((one.result() for one in work[kind::2]), Counter[str]()).items()))
            for kind in range(2)
        ]
    kept = _check(home, service)
    outside = {path for path in _files(folder) - before if not path.is_relative_to(home / "store")}
    assert not outside, f"nothing must lie outside the store, got {outside}"
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "requests": [sum(one.values()) for one in answers],
        "dicom": answers[0],
        "http": answers[1],
        "drips closed": dict(drips.closed),
        "longest drip, s": round(drips.longest_s, 1),
        "kept, left over": kept,
        "resident MB, open files, threads": {name: _thinned(found) for name, found in samples.items()},
    }


def _failed(work: Future[Counter[str]]) -> bool:
    return work.done() and work.exception() is not None


def _objects(home: Path) -> tuple[Objects, int]:
    """Return the objects, and how long their heads are."""
    files = []
    for size in (16, 1100):
        ds = mr_dataset(picture(size, size))
        ds.StudyInstanceUID, ds.SOPInstanceUID = f"{STUDY}.{PLACEHOLDER}", f"{STUDY}.1.{PLACEHOLDER}"
        files.append(save(ds, home / "one.dcm"))
        data = files[-1].read_bytes()
        n_head = len(data) - len(stripped(files[-1]))
        files[-1] = data
    evil = (b"../", b"..\\", b"/", f"{home}/evil".encode())
    return Objects(files[0], files[1], evil), n_head


def _files(folder: Path) -> set[Path]:
    """Return what is in a folder and is no folder."""
    return {path for path in folder.rglob("*") if not path.is_dir()}


def _check(home: Path, service: Service) -> tuple[int, int]:
    """Check the log and the store; return how many objects were kept, and how many were left over."""
    events: Counter[object] = Counter()
    faults = []
    for line in service.lines():
        events[line.get("why", line["event"])] += 1
        if line["event"] in {"fault", "part ended"} or "at_line" in line:
            faults.append(line)
    is_cut = events["part killed"] + events["unavailable"]
    assert not faults, json.dumps(faults[:20], indent=1)
    opened = open_queue(read_settings(home / "serve.toml"))
    try:
        return check_whole(opened.store.root, opened.database, may_leave=is_cut > 0)
    finally:
        opened.database.close()


def _thinned(found: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return about seven of the samples, the first and the last among them."""
    step = max(len(found) // 6, 1)
    return [*found[:-1:step], found[-1]]


def main() -> None:
    """Parse, fuzz, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=3_000_000, help="of each kind, at most")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(fuzz(Path(folder), told.requests, told.minutes, told.seed), indent=1))


if __name__ == "__main__":
    main()
