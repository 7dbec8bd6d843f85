"""Hostile zips: names that lead elsewhere, links, bombs, lies."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import left, zipped

from SegmentationAILib import catalog
from SegmentationAILib.catalog import archive
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

pytestmark = pytest.mark.usefixtures("models")


def hostile(name: str, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped_up:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        zipped_up.writestr(member, b"content")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "C:evil", "..\\evil", "a\\..\\..\\evil", "\\\\host\\evil"],
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, models, name):
    path = tmp_path / "x.zip"
    path.write_bytes(hostile(name))
    with pytest.raises(InputError, match="leads out of its folder"):
        catalog.import_local(None, path)
    assert not [path for path in tmp_path.rglob("*evil*") if path.is_file()]
    assert left(models) == []


@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "a", "b", "", "C:", "~", "con", "x y", "/", "\\", "../..", "é"]), max_size=6
    )
)
def test_no_name_writes_outside(tmp_path_factory, parts):
    """Whatever a zip's names are, they are refused or land in the folder."""
    root = tmp_path_factory.mktemp("zip")
    path = root / "x.zip"
    path.write_bytes(hostile("/".join([*parts, "evil"])))
    inner = root / "outer" / "inner"
    inner.mkdir(parents=True)
    try:
        archive.unpack(path, inner, lambda size: 10 * size, Progress())
    except InputError:
        assert not list(root.rglob("evil"))
    else:
        assert all(found.is_relative_to(inner) for found in root.rglob("evil"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, models, mode):
    path = tmp_path / "x.zip"
    path.write_bytes(hostile("link", mode))
    with pytest.raises(InputError, match="a link or a device"):
        catalog.import_local(None, path)
    assert left(models) == []


def test_a_bomb_is_refused_before_it_unpacks(tmp_path, models):
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"plans.json": bytes(10**7)}))
    with pytest.raises(InputError, match=r"unpacks to 10\.0 MB"):
        catalog.import_local(None, path)
    assert left(models) == []


def test_a_bomb_that_lies_about_its_size_is_stopped(tmp_path):
    """The size in the zip's directory is changed to 100 bytes; what comes out is counted."""
    content = zipped({"plans.json": bytes(10**6)})
    forged = content.replace((10**6).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert forged != content
    path = tmp_path / "x.zip"
    path.write_bytes(forged)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="refused"):
        archive.unpack(path, tmp_path / "out", lambda size: size, Progress())
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= len(forged)


def test_damaged_zip_is_refused(tmp_path, models):
    content = bytearray(zipped({"plans.json": bytes(range(256)) * 4}))
    content[60] ^= 0xFF
    path = tmp_path / "x.zip"
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="refused"):
        catalog.import_local(None, path)
    assert left(models) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_whatever_byte_is_damaged_is_unpacked_or_refused_as_damaged(tmp_path, method):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as whole:
        whole.writestr("häuser/plans.json", bytes(range(100)) * 4)
    content = path.read_bytes()
    told = set()
    for place in range(0, len(content), 2):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x95]) + content[place + 1 :])
        try:
            archive.unpack(path, tmp_path / f"{place}", lambda size: 10 * size, Progress())
        except InputError as error:
            told.add(str(error))
    assert any("it is no zip, or damaged" in one for one in told)
    assert [one for one in told if "check that the disk has room" in one] == []


def test_names_that_differ_in_nothing_are_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as twice:
        twice.writestr("same", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            twice.writestr("same", b"2")
    with pytest.raises(InputError, match="'same' twice"):
        archive.unpack(path, tmp_path / "out", lambda size: size, Progress())
