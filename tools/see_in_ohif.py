"""Show in the viewer OHIF what nightread sends: `python tools/see_in_ohif.py DIST OUT`.

The tool writes two phantoms, analyses them, stores them and their reports in a private Orthanc, and serves OHIF on a
loopback port. It opens each series of one study with a finding in Chromium, and writes one screenshot per series to
OUT.

DIST is the folder `package/dist` of the npm package @ohif/app (`npm pack @ohif/app@3.13.2`, then unpack it). Orthanc
with its DICOMweb plugin and Chromium come from Debian (orthanc, orthanc-dicomweb, chromium), playwright from PyPI.
"""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import requests

from models.phantoms.dicom import PhantomStyle, write_phantoms

_PLUGINS = sorted(Path("/usr/lib/orthanc").glob("libOrthancDicomWeb.so*"))
_START_SECONDS = 30
_DRAWING_SECONDS = 5
_THUMBNAILS = '[data-cy="study-browser-thumbnail"],[data-cy="study-browser-thumbnail-no-image"]'
_TOUR = ".shepherd-modal-overlay-container,.shepherd-element"
_CHROMIUM = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_CONFIGURATION = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "orthanc",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "orthanc",
            "configuration": {
                "friendlyName": "Orthanc",
                **dict.fromkeys(("wadoUriRoot", "qidoRoot", "wadoRoot"), "/dicom-web"),
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}


def main() -> None:
    """Analyse two phantoms, send the results, and write screenshots of the first study with a finding."""
    dist, out = (Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        orthanc = stack.enter_context(_orthanc(Path(folder)))
        _fill(Path(folder), orthanc)
        website = stack.enter_context(_ohif(dist, orthanc))
        for study in _json(f"{orthanc}/studies"):
            described = _json(f"{orthanc}/studies/{study}")
            if len(described["Series"]) > 2:  # noqa: PLR2004 - only film and report: no finding
                _look(website, described["MainDicomTags"]["StudyInstanceUID"], out)
                return


def _fill(folder: Path, orthanc: str) -> None:
    """Store two phantoms in Orthanc, analyse them, and send the results to it."""
    scans = folder / "scans"
    write_phantoms(scans, count=2, seed=3, style=PhantomStyle(size=512, nodule_share=1.0))
    for scan in scans.iterdir():
        requests.post(f"{orthanc}/instances", scan.read_bytes(), timeout=_START_SECONDS).raise_for_status()
    settings = folder / "night.toml"
    settings.write_text(
        f'state_dir = "{folder / "state"}"\n[[destinations]]\nname = "pacs"\nkind = "stow"\n'
        f'url = "{orthanc}/dicom-web"\nobjects = ["report", "regions", "key_image"]\n'
    )
    nightread = [sys.executable, "-m", "cli"]
    subprocess.run([*nightread, "run", scans, "--model", "phantom", "--config", settings], check=True)
    for study in _json(f"{orthanc}/studies"):
        uid = _json(f"{orthanc}/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
        subprocess.run([*nightread, "send-results", "--study", uid, "--config", settings], check=True)


def _look(website: str, study: str, out: Path) -> None:
    """Open each series of the study, and write a screenshot of each."""
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("console", lambda line: print("console:", line.text[:200]) if line.type == "error" else None)
        page.goto(f"{website}/viewer?StudyInstanceUIDs={study}")
        page.wait_for_selector(_THUMBNAILS, timeout=_START_SECONDS * 1000)
        page.wait_for_timeout(_DRAWING_SECONDS * 1000)
        page.evaluate(f"document.querySelectorAll('{_TOUR}').forEach(element => element.remove())")
        for number in range(page.locator(_THUMBNAILS).count()):
            thumbnail = page.locator(_THUMBNAILS).nth(number)
            thumbnail.dblclick()
            page.wait_for_timeout(_DRAWING_SECONDS * 1000)
            path = out / f"ohif-{number}.png"
            page.screenshot(path=path)
            print(path, " ".join(thumbnail.inner_text().split()))
        browser.close()


@contextmanager
def _orthanc(folder: Path) -> Iterator[str]:
    """Run an Orthanc with its storage in `folder`; yield its URL."""
    port = _free_port()
    settings = {
        **dict.fromkeys(("StorageDirectory", "IndexDirectory"), str(folder / "orthanc")),
        "Plugins": [str(_PLUGINS[0])],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/system")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the files of OHIF, its configuration, and Orthanc's DICOMweb, all below one address."""

    dist: ClassVar[Path]
    orthanc: ClassVar[str]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(self.dist))

    def do_GET(self) -> None:
        """Answer one request; unknown paths are pages of OHIF."""
        path = self.path.partition("?")[0]
        if path.startswith("/dicom-web"):
            accept = self.headers["Accept"] or "*/*"
            answer = requests.get(self.orthanc + self.path, headers={"Accept": accept}, timeout=_START_SECONDS)
            self._answer(answer.status_code, answer.headers.get("Content-Type", "text/plain"), answer.content)
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", f"window.config = {json.dumps(_CONFIGURATION)};".encode())
        else:
            self.path = self.path if (self.dist / path.lstrip("/")).is_file() else "/index.html"
            super().do_GET()

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Add the headers without which a browser gives OHIF no threads."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _ohif(dist: Path, orthanc: str) -> Iterator[str]:
    """Serve OHIF for this Orthanc; yield the URL."""
    _Handler.dist, _Handler.orthanc = dist, orthanc
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _wait_for(url: str) -> None:
    for _ in range(_START_SECONDS * 10):
        try:
            _json(url)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{url} does not answer.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _json(url: str) -> Any:
    answer = requests.get(url, timeout=_START_SECONDS)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    main()
