"""Fuzzes the DICOM port and STOW-RS with mutated requests; tells crashes, leaks, and files outside the store.

    python benchmarks/port_fuzz.py --requests 100000 --seed 1

Associations, P-DATA and multiparts that are right are mutated (bytes changed, taken out, put in, repeated, cut off) and
sent over real sockets; every so often a right object must still be taken in. Printed: answers, and open files,
threads and resident memory at the start and the end.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.dicom_files import STUDY
from tests.dicom_peers import associate_request, peer, store_request
from tests.receiving import Receiving, mr_file, open_files, receiving, stripped, threads

from stenograde.pacs.scp import dicom_port
from stenograde.pacs.settings import DicomSettings
from stenograde.pacs.stow import MalformedRequestError, MediaTypeError, TooManyPartsError, stow_request

_EVERY = 50
"""After so many requests a right one must be taken in."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with up to four changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, n = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 64))
        match rng.randrange(5):
            case 0:
                changed[at : at + n] = rng.randbytes(n)
            case 1:
                del changed[at : at + n]
            case 2:
                changed[at:at] = rng.randbytes(n)
            case 3:
                changed[at:at] = changed[at : at + n]
            case 4:
                changed[at : at + n] = bytes([rng.choice((0, 1, 0x7F, 0xFF))]) * n
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.2 else changed)


def fuzz_dicom(port: int, n_requests: int, right: bytes, rng: random.Random) -> Counter[str]:
    """Send mutated associations and objects; return how the port answered."""
    answers: Counter[str] = Counter()
    request, object_bytes = associate_request(), store_request(right, sop_uid=f"{STUDY}.1.1")
    for number in range(n_requests):
        is_right = number % _EVERY == 0
        with peer(port) as one:
            if is_right or rng.random() < 0.7:
                one.associated().send(object_bytes if is_right else mutated(object_bytes, rng))
            else:
                one.send(mutated(request, rng))
            if is_right:
                status = one.status()
                assert status == 0, f"a right object must be taken after {number} others, got {status:#x}"
                answers["right"] += 1
                continue
            with suppress(OSError):
                one.socket.shutdown(1)  # (what is cut off would be waited for)
            answer = one.pdu()
            answers[f"PDU {answer[0]}" if answer else "closed"] += 1
    return answers


def fuzz_stow(kept: Receiving, n_requests: int, right: bytes, rng: random.Random) -> Counter[str]:
    """Feed mutated multiparts in pieces; return what became of them."""
    answers: Counter[str] = Counter()
    head = b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
    body = head + right + b"\r\n" + head + right + b"\r\n--XX--\r\n"
    for number in range(n_requests):
        data = body if number % _EVERY == 0 else mutated(body, rng)
        with stow_request(b"XX", kept.intake, kept.incoming, at_most=1 << 20, sender="fuzz") as stow:
            try:
                while data:
                    n = rng.randint(1, 2000)
                    stow.feed(data[:n])
                    data = data[n:]
                answers[str(stow.finish().http_status)] += 1
            except (MalformedRequestError, MediaTypeError, TooManyPartsError) as exc:
                answers[type(exc).__name__] += 1
        assert number % _EVERY or not data
    return answers


def resident_mb() -> float:
    """Return the resident memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def fuzz(folder: Path, n_requests: int, seed: int) -> dict[str, object]:
    """Fuzz both ports in a folder; raise where something is not as it must be."""
    rng = random.Random(seed)
    with receiving(folder) as kept:
        path = mr_file(folder / "right")
        before = set(folder.iterdir())
        with dicom_port(DicomSettings(port=0), kept.intake, kept.incoming, patience_s=30.0) as port:
            fuzz_dicom(port.port, min(n_requests, _EVERY), stripped(path), rng)  # (what is loaded once)
            start = (open_files(), resident_mb())
            dicom = fuzz_dicom(port.port, n_requests, stripped(path), rng)
            stow = fuzz_stow(kept, n_requests, path.read_bytes(), rng)
        kept.check_whole()
        assert set(folder.iterdir()) == before, "nothing must lie outside the store"
        return {
            "dicom": dict(dicom),
            "stow": dict(stow),
            "kept": len(kept.rows()),
            "open files": [start[0], open_files()],
            "threads after": threads(),
            "resident MB": [round(start[1]), round(resident_mb())],
        }


def main() -> None:
    """Parse, fuzz, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    logging.getLogger("stenograde").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(fuzz(Path(folder), told.requests, told.seed), indent=1))


if __name__ == "__main__":
    main()
