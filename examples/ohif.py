"""Serve OHIF's prebuilt viewer beside a DICOMweb server: http://127.0.0.1:3000 shows the studies of, say, Orthanc.

The viewer is the folder ``dist`` of the npm package ``@ohif/app`` (MIT licence); it is fetched once, and checked. The
viewer and the DICOMweb server appear under one address, so that neither needs CORS; the pages may load nothing from
elsewhere. Everything listens on this machine alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

VERSION = "3.13.2"
URL = f"https://registry.npmjs.org/@ohif/app/-/app-{VERSION}.tgz"
SHA512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""As the registry gives it: ``npm view @ohif/app@VERSION dist.integrity``."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stenograde"

WEB = "/dicom-web"
"""Where the DICOMweb server appears beside the viewer."""

SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "dicomweb",
    "configuration": {
        "friendlyName": "DICOMweb beside the viewer",
        "name": "dicomweb",
        "wadoUriRoot": WEB,
        "qidoRoot": WEB,
        "wadoRoot": WEB,
        "qidoSupportsIncludeField": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
        "singlepart": "bulkdata,video",
    },
}
CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 3,
    "defaultDataSourceName": "dicomweb",
    "dataSources": [SOURCE],
}
"""What OHIF's ``app-config.js`` says (https://docs.ohif.org/configuration/configurationFiles)."""

CUSTOMIZATION = """\
window.config.customizationService = [{
  // OHIF 3.13 shows none of a report's groups where one has no place, as that of a level that is not imaged
  onBeforeSRAddMeasurement: { $set: ({ measurement }) => {
    if (!measurement.coords.length) measurement.coords = [{}];
    return measurement;
  } },
}];
"""

HEADERS = [
    # of one origin alone: what a browser asks before it lends SharedArrayBuffer, which volumes are shown with
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    # nothing from, nothing to another machine
    ("Content-Security-Policy", "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:"),
]

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "upgrade", "accept-encoding"}
"""Headers of one connection (RFC 9110 7.6.1), and what is settled with the server."""


def main() -> int:
    """Fetch the viewer where it is missing, and serve it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dicom-web", default=f"http://127.0.0.1:8042{WEB}", help="the server (default: Orthanc's own)"
    )
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument(
        "--package", type=Path, help="the package as a file, where npm's registry is not reached"
    )
    parser.add_argument("--fetch", action="store_true", help="only fetch the viewer")
    asked = parser.parse_args()
    try:
        folder = viewer(asked.package)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"OHIF's viewer cannot be had: {error}", file=sys.stderr)
        print(f"where there is a net, fetch {URL}", file=sys.stderr)
        print(f"(or: npm pack @ohif/app@{VERSION}), and name it: ohif.py --package FILE", file=sys.stderr)
        return 2
    print(f"viewer: {folder}")
    if not asked.fetch:
        print(f"look:   http://127.0.0.1:{asked.port}", flush=True)
        app = application(folder, asked.dicom_web)
        uvicorn.run(app, host="127.0.0.1", port=asked.port, headers=HEADERS, log_level="warning")
    return 0


def viewer(package: Path | None = None) -> Path:
    """Return the folder of the viewer; fetched or unpacked on the first call, whole or not at all.

    Raises
    ------
    OSError
        If the registry is not reached.
    ValueError
        If the package is not the one that was tried here.
    """
    folder = unpacked()
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        if package is None:
            print(f"fetching {URL} (50 MB, once)", flush=True)
            package = Path(scratch, "package.tgz")
            with urllib.request.urlopen(URL, timeout=60) as answer, package.open("wb") as file:
                shutil.copyfileobj(answer, file)
        with package.open("rb") as file:
            found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
        if found != SHA512:
            msg = f"{package.name} must be @ohif/app {VERSION} with SHA-512 {SHA512}, got {found}"
            raise ValueError(msg)
        with tarfile.open(package) as archive:
            archive.extractall(scratch, filter="data")
        Path(scratch, "package", "dist").rename(folder)
    return folder


def unpacked() -> Path:
    """Return where the viewer lies once it was fetched."""
    return CACHE / f"ohif-{VERSION}"


class Viewer(StaticFiles):
    """The viewer's files; any other address is a page that the viewer itself makes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or the viewer."""
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or Path(path).suffix:
                raise
            return await super().get_response("index.html", scope)


def application(folder: Path, dicom_web: str) -> Starlette:
    """Return the viewer and the DICOMweb server as one site."""
    server = httpx.AsyncClient(
        base_url=dicom_web.rstrip("/"),
        headers={"Accept-Encoding": "identity"},  # (not packed between two programs of one machine)
        limits=httpx.Limits(max_keepalive_connections=0),  # (Orthanc may close one just as it is used again)
        timeout=120,
        trust_env=False,
    )
    config = f"window.config = {json.dumps(CONFIG, indent=1)};\n{CUSTOMIZATION}"

    async def app_config(_: Request) -> Response:
        return Response(config, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    async def passed_on(request: Request) -> Response:
        """Ask the server, under the address that the viewer used: it goes into the links of the answer."""
        path = request.url.path.removeprefix(WEB) + (f"?{request.url.query}" if request.url.query else "")
        asked = server.build_request(
            request.method, path, headers=_kept(request.headers.items()), content=await request.body()
        )
        try:
            answer = await server.send(asked, stream=True)
        except httpx.TransportError as error:
            return Response(f"{dicom_web} must answer, got {type(error).__name__}", 502)
        headers = dict(_kept(answer.headers.multi_items()))
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, headers, background=BackgroundTask(answer.aclose)
        )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server:
            yield

    routes = [
        Route("/app-config.js", app_config),
        Route(WEB + "/{path:path}", passed_on, methods=["GET", "POST"]),
        Mount("/", Viewer(directory=folder, html=True)),
    ]
    # (of no other name: a page from elsewhere cannot make a browser ask here)
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts], lifespan=lifespan)


def _kept(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _NOT_PASSED_ON]


if __name__ == "__main__":
    sys.exit(main())
