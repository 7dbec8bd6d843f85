"""Reports to a real archive and back, over both protocols."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pydicom
import pytest
from dicom_reports import PATIENT_ID, report_of
from orthanc import PASSWORD, TITLE, USER, encrypted_port, running, stored

from LungNoduleAILib.report import dicom_server
from LungNoduleAILib.report.dicom_archive import DicomNode, DicomWebServer, FoundSeries, file_name
from LungNoduleAILib.report.dicom_prior import read_prior
from LungNoduleAILib.report.dicom_seg import write_seg
from LungNoduleAILib.report.dicom_sr import write_sr
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with running(tmp_path_factory.mktemp("orthanc")) as one:
        yield one


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report, and all its files: SEG, SR and the CT's."""
    folder = tmp_path_factory.mktemp("report")
    content = report_of(folder / "ct")
    seg = write_seg(content, folder / "ct", folder / "seg.dcm")
    sr = write_sr(content, folder / "ct", folder / "sr.dcm", seg)
    return content, (seg, sr, *sorted((folder / "ct").iterdir()))


def servers_of(one) -> dict[str, DicomNode | DicomWebServer]:
    return {
        "DICOM": DicomNode("localhost", one.dicom_port, TITLE),
        "DICOMweb": DicomWebServer(one.url, USER, PASSWORD),
    }


@pytest.mark.parametrize("back", ["DICOM", "DICOMweb"])
@pytest.mark.parametrize("there", ["DICOM", "DICOMweb"])
def test_what_is_sent_comes_back(archive, report, tmp_path, there, back):
    content, files = report
    servers = servers_of(archive)
    dicom_server.check(servers[there])
    dicom_server.send(servers[there], files)
    found = dicom_server.find(servers[back], PATIENT_ID)
    assert sorted(one.modality for one in found) == ["CT", "SEG", "SR"]
    got = {path.stem: path for one in found for path in dicom_server.fetch(servers[back], one, tmp_path)}
    assert len(got) == len(files) == stored(archive)
    for path in files:
        sent = pydicom.dcmread(path)
        received = pydicom.dcmread(got[sent.SOPInstanceUID])
        assert received == sent
        assert received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert read_prior(tmp_path).uids == {one.nodule.id: one.uid for one in content.kept}


@pytest.mark.parametrize("name", ["DICOM", "DICOMweb"])
def test_only_the_patients_own_series_are_listed(archive, report, tmp_path, name):
    server = servers_of(archive)[name]
    another = f"{PATIENT_ID}{name}"
    other = report_of(tmp_path / "ct", places=(), PatientID=another, StudyDate="20200101")
    dicom_server.send(server, sorted((tmp_path / "ct").iterdir()))
    dicom_server.send(server, report[1])
    listed = dicom_server.find(server, PATIENT_ID)
    assert other.volume.source.series_instance_uid not in {one.series_uid for one in listed}
    [only] = dicom_server.find(server, PATIENT_ID, "SR")
    assert (only.modality, only.description, only.date) == ("SR", "Lung nodules, research use", "20260301")
    [older] = dicom_server.find(server, another)
    assert older.series_uid == other.volume.source.series_instance_uid
    for wild in ("*", "Thorax*", "", "A\\B", "?"):
        with pytest.raises(InputError, match="whole patient ID"):
            dicom_server.find(server, wild)
    assert dicom_server.find(server, "nobody") == ()


@pytest.mark.parametrize("name", ["DICOM", "DICOMweb"])
def test_a_series_that_is_not_there_is_said(archive, tmp_path, name):
    missing = FoundSeries("1.2.3.4", "1.2.3.4.5", "SR", "", "")
    with pytest.raises(InputError, match=r"no such series|refused the series"):
        dicom_server.fetch(servers_of(archive)[name], missing, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["DICOM", "DICOMweb"])
def test_cancelling_ends_it(archive, report, tmp_path, name):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        dicom_server.send(servers_of(archive)[name], report[1], Progress(cancel=token))


def test_a_wrong_password_is_said(archive, report):
    wrong = DicomWebServer(archive.url, USER, "wrong")
    for act in (dicom_server.check, lambda one: dicom_server.send(one, report[1])):
        with pytest.raises(InputError, match="refused user, password or token"):
            act(wrong)
    assert "wrong" not in repr(wrong)


def test_a_token_is_sent_as_one(archive):
    with pytest.raises(InputError, match="refused user, password or token"):
        dicom_server.check(DicomWebServer(archive.url, token="abc"))
    basic = "cmVhZGVyOnNlY3JldA=="
    assert "abc" not in repr(DicomWebServer(archive.url, token=basic))


def test_wrong_titles_are_said(archive):
    stranger = DicomNode("localhost", archive.dicom_port, "ANOTHER")
    # The archive hangs up as soon as it has rejected: who is first differs from time to time.
    for _ in range(20):
        with pytest.raises(InputError, match="refused the connection"):
            dicom_server.check(stranger)


def test_an_archive_that_is_not_there_is_said(archive):
    nowhere = (
        DicomNode("localhost", 1, TITLE, timeout_s=2),
        DicomWebServer("http://localhost:1/dicom-web", timeout_s=2),
        DicomNode("localhost", archive.http_port, TITLE, timeout_s=2),
        DicomWebServer(f"http://localhost:{archive.dicom_port}/dicom-web", timeout_s=2),
    )
    for server in nowhere:
        with pytest.raises(InputError, match="does not answer"):
            dicom_server.check(server)


def test_a_file_that_is_no_dicom_stops_all(archive, report, tmp_path):
    before = stored(archive)
    (tmp_path / "text.dcm").write_text("no DICOM")
    for server in servers_of(archive).values():
        with pytest.raises(InputError, match="nothing was sent"):
            dicom_server.send(server, [report[1][0], tmp_path / "text.dcm"])
    assert stored(archive) == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DicomNode("", 104, "A"), "host name"),
        (lambda: DicomNode("host", 0, "A"), "port"),
        (lambda: DicomNode("host", 104, "A" * 17), "no AE title"),
        (lambda: DicomNode("host", 104, " "), "no AE title"),
        (lambda: DicomWebServer("archive.example.org"), "no DICOMweb address"),
        (lambda: DicomWebServer("https://[::1"), "no DICOMweb address"),
        (lambda: DicomWebServer("https://archive.example.org:http"), "no DICOMweb address"),
        (lambda: DicomWebServer("https://a:b@archive.example.org"), "apart from"),
        (lambda: DicomWebServer("http://archive.example.org", "a", "b"), "unencrypted"),
        (lambda: DicomWebServer("http://10.1.2.3/x", token="t"), "unencrypted"),
        (lambda: file_name("../../etc/passwd"), "valid identifier"),
        (lambda: file_name(""), "valid identifier"),
        (lambda: file_name(".."), "valid identifier"),
    ],
)
def test_an_address_that_cannot_be_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, which makes the test's certificate")
    made = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([openssl, *made.split(), *names], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    trusted = str(folder / "cert.pem")
    with running(folder, both) as one, encrypted_port(one.http_port, both) as port:
        yield {
            "DICOM": DicomNode("localhost", one.dicom_port, TITLE, tls=True, ca_file=trusted),
            "DICOMweb": DicomWebServer(f"https://localhost:{port}/dicom-web", USER, PASSWORD, ca_file=trusted),
        }


@pytest.mark.parametrize("name", ["DICOM", "DICOMweb"])
def test_encrypted_to_an_archive_whose_certificate_is_trusted(encrypted, report, tmp_path, name):
    server = encrypted[name]
    dicom_server.send(server, report[1][:2])
    [found] = dicom_server.find(server, PATIENT_ID, "SR")
    assert len(dicom_server.fetch(server, found, tmp_path)) == 1
    stranger = replace(server, ca_file="")
    with pytest.raises(InputError, match=r"not trusted|does not answer"):
        dicom_server.check(stranger)
    with pytest.raises(InputError, match="cannot be read"):
        dicom_server.check(replace(server, ca_file=str(tmp_path / "none.pem")))
