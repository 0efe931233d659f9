"""An archive in a process of its own that takes results and writes down what it was given; it may be killed.

python peer.py --port 11113 --log FILE --lose 0.02 --seed 1

A line for each object: study, SOPInstanceUID, SHA-256 of the data set, and whether it was answered to. Some objects
are kept and not answered to, as when a connection breaks at the wrong moment.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import threading
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt

AE_TITLE = "ARCHIVE"


def main() -> None:
    """Listen until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--lose", type=float, default=0.0, help="share of answers that are lost")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    rng, lock = random.Random(asked.seed), threading.Lock()
    log = os.open(asked.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def store(event: evt.Event) -> int:
        content = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        with lock:
            is_lost = rng.random() < asked.lose
            told = (event.dataset.StudyInstanceUID, event.request.AffectedSOPInstanceUID, content)
            os.write(log, " ".join((*told, "lost" if is_lost else "answered", "\n")).encode())
        if is_lost:
            event.assoc.abort()
        return 0

    entity = AE(ae_title=AE_TITLE)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, context.transfer_syntax)
    entity.start_server(("127.0.0.1", asked.port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
