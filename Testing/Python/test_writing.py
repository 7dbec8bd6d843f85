"""Files that are there as a whole or not at all."""

from __future__ import annotations

import pytest

from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import atomic_write, written_together


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_come_together_over_those_of_their_names(tmp_path):
    output = tmp_path / "deep" / "out"
    for text in ("first", "second"):
        with written_together(output) as folder:
            (folder / "a.csv").write_text(text)
            (folder / "b.json").write_text(text)
            assert not output.exists() or (output / "a.csv").read_text() == "first"
    assert names(output) == ["a.csv", "b.json"]
    assert {path.read_text() for path in output.iterdir()} == {"second"}
    assert names(tmp_path / "deep") == ["out"]


def test_nothing_comes_of_a_block_that_fails(tmp_path):
    def fail() -> None:
        with written_together(tmp_path / "out") as folder:
            (folder / "a.csv").write_text("text")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []


def test_where_one_file_cannot_be_replaced_none_is(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "b.json").mkdir()
    (tmp_path / "b.json" / "mine.txt").write_text("mine")

    def write() -> None:
        with written_together(tmp_path) as folder:
            for name in ("a.csv", "b.json", "c.txt"):
                (folder / name).write_text("new")

    with pytest.raises(InputError, match=r"could not be written to .* no other program has the files open"):
        write()
    assert names(tmp_path) == ["a.csv", "b.json"]
    assert (tmp_path / "a.csv").read_text() == "old"
    assert (tmp_path / "b.json" / "mine.txt").read_text() == "mine"


def test_a_message_names_the_folder_that_the_user_knows(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(InputError) as told, written_together(output) as folder, atomic_write(folder / "a.csv"):
        raise OSError
    assert f"'a.csv' could not be written to '{output}'" in str(told.value)
    assert names(tmp_path) == []
