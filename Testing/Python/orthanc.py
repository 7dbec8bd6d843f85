"""A real Orthanc on free ports of this machine, with nothing in it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

USER, PASSWORD = "reader", "secret"
TITLE = "ORTHANC"
_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_START_S = 120


@dataclass(frozen=True)
class Orthanc:
    """Where it listens."""

    dicom_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.http_port}/dicom-web"


@contextmanager
def running(folder: Path, certificate: Path | None = None) -> Iterator[Orthanc]:
    """Start one, and stop it.

    Args:
        folder: for what is stored.
        certificate: a PEM file with key and certificate; the DICOM protocol is then encrypted. Debian's Orthanc 1.10
            ends at the first request by https, see ``encrypted_port``.
    """
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None or not _DICOMWEB.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    one = Orthanc(*_free_ports(2))
    settings: dict[str, object] = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(_DICOMWEB)],
        "DicomAet": TITLE,
        "DicomPort": one.dicom_port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowGet": True,
        "HttpPort": one.http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomWeb": {"Enable": True},
        "DicomModalities": {"ours": ["THORAXAI", "127.0.0.1", 1]},
    }
    if certificate:
        settings |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(certificate),
            "DicomTlsPrivateKey": str(certificate),
            "DicomTlsTrustedCertificates": str(certificate),
            "DicomTlsRemoteCertificateRequired": False,
        }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = folder / "orthanc.log"
    with log.open("w") as output:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(one, process, log)
        yield one
    finally:
        process.terminate()
        process.wait(timeout=_START_S)


@contextmanager
def encrypted_port(port: int, certificate: Path) -> Iterator[int]:
    """A port by TLS in front of one without, as a reverse proxy has it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # A client that does not trust the certificate ends the handshake.
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", port)) as behind,
            ):
                back = threading.Thread(target=_pump, args=(behind, client), daemon=True)
                back.start()
                _pump(client, behind)
                back.join(_START_S)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _wait_for(one: Orthanc, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        if all(_answers(port) for port in (one.dicom_port, one.http_port)):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    """All held at once, so that no two are the same."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def stored(one: Orthanc) -> int:
    """How many objects it holds, by its own account."""
    request = urllib.request.Request(f"http://localhost:{one.http_port}/statistics")
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, request.full_url, USER, PASSWORD)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(request) as answer:
        return int(json.load(answer)["CountInstances"])
