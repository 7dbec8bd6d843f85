"""Saving: whole or not at all; folders that cannot be written to are found before the work."""

from __future__ import annotations

import signal
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from child_process import become_nobody, in_a_child, posix_only

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import WRITABLE, load, save
from SegmentationAILib.volume import Grid, Volume
from SegmentationAILib.writing import atomic_write, check_writable

VOLUME = Volume(
    np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16), Grid((20, 30, 40), np.eye(4))
)


@pytest.fixture
def read_only_folder():
    """A folder that everybody may enter and nobody but root may write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    yield folder
    folder.chmod(0o755)
    assert list(folder.iterdir()) == []
    folder.rmdir()


@posix_only
def test_a_read_only_folder_is_refused(read_only_folder):
    def work():
        become_nobody()
        for folder in (read_only_folder, read_only_folder / "new" / "results"):
            with pytest.raises(InputError, match=r"The folder '.*' cannot be written to; choose another output folder"):
                check_writable(folder)
            with pytest.raises(InputError, match="cannot be written to"):
                save(VOLUME, folder / "x.nrrd")

    in_a_child(work)


@posix_only
def test_a_folder_of_ones_own_is_accepted_by_the_same_user():
    """The test above refuses for the folder's sake, not for the user's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)

        def work():
            become_nobody()
            check_writable(folder)
            check_writable(Path(folder, "new", "results"))

        in_a_child(work)
        assert list(Path(folder).iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs the proc file system")
def test_a_file_system_without_room_for_files_is_refused_even_to_root():
    with pytest.raises(InputError, match="cannot be written to"):
        check_writable("/proc/self")


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "results"):
        with pytest.raises(InputError, match="cannot be written to"):
            check_writable(folder)
        with pytest.raises(InputError, match="cannot be written to"):
            save(VOLUME, folder / "x.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "x"


def test_checking_leaves_no_trace(tmp_path, monkeypatch):
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    check_writable("results")
    check_writable("")
    assert list(tmp_path.iterdir()) == []


@posix_only
@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("room", [0.0, 0.02, 0.5, -4])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, suffix, room):
    """A limit on file size stands for the full disk: write() fails in the same way, at any byte."""
    import resource  # noqa: PLC0415 - POSIX only

    path = tmp_path / f"x{suffix}"
    path.write_text("what was there before")
    whole = save(VOLUME, tmp_path / "measure" / f"x{suffix}").stat().st_size
    limit = whole + room if room < 0 else int(whole * room)

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(
            InputError, match=r"could not be written to .*; check that the disk has room|cannot be written to"
        ):
            save(VOLUME, path)

    in_a_child(work)
    assert path.read_text() == "what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["measure", path.name]


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "nodules.csv"
    path.write_text("old")

    def interrupted():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["nodules.csv"]


def test_an_atomic_write_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "nodules.csv"
    for text in ("first", "second"):
        with atomic_write(path) as partial:
            partial.write_text(text)
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["nodules.csv"]


def test_a_name_taken_by_a_folder_is_refused(tmp_path):
    (tmp_path / "x.nrrd").mkdir()
    with pytest.raises(InputError, match=r"'x.nrrd' could not be written"):
        save(VOLUME, tmp_path / "x.nrrd")
    assert [p.name for p in tmp_path.iterdir()] == ["x.nrrd"]
    assert list((tmp_path / "x.nrrd").iterdir()) == []


@pytest.mark.parametrize("name", ["x.dcm", "x", "x.gz", "x.png"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=rf"'{name}' cannot be written; choose a name that ends in .nrrd"):
        save(VOLUME, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", WRITABLE)
def test_the_same_volume_gives_the_same_bytes(tmp_path, suffix):
    one, two = (save(VOLUME, tmp_path / folder / f"x{suffix}").read_bytes() for folder in "ab")
    assert one == two


def test_saving_overwrites(tmp_path):
    save(VOLUME, tmp_path / "x.nrrd")
    save(VOLUME.with_array(VOLUME.array + 1), tmp_path / "x.nrrd")
    assert np.array_equal(load(tmp_path / "x.nrrd").array, VOLUME.array + 1)
