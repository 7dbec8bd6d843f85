"""Models over a real connection: broken, truncated, swapped, lied about, cancelled; what is refused leaves no trace."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from dataclasses import replace

import filelock
import pytest
from model_server import Served
from tiny_models import CONTENT, entry_of, filling_disk, left, sha256, weights, zipped

from SegmentationAILib import catalog
from SegmentationAILib.catalog import fetching, pins
from SegmentationAILib.catalog.entry import Hash, ModelFile
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError

pytestmark = pytest.mark.usefixtures("models", "direct")


def test_a_model_lands_with_its_record(server, models):
    server.files["w.pth"] = Served(CONTENT)
    shown, fractions = [], []
    entry = entry_of(weights(server))
    assert catalog.installed(entry) is None
    folder = catalog.fetch(
        entry,
        accept_licence=lambda text: not shown.append(text),
        progress=Progress(lambda fraction, text: fractions.append(fraction)),
    )
    assert folder == catalog.installed(entry) == models / "net"
    assert (folder / "w.pth").read_bytes() == CONTENT
    assert "Creative Commons" in shown[0]
    assert "commercial use allowed" in shown[0]
    assert "Somebody 2020" in shown[0]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    record = catalog.record_of(entry)
    assert record.licence["name"] == "Creative Commons"
    assert record.citation == ("Somebody 2020",)
    assert [(file.path, file.bytes, file.sha256) for file in record.files] == [
        ("w.pth", len(CONTENT), sha256(CONTENT).value)
    ]
    assert record.origins[0].by == "publisher"
    assert left(models) == ["net/model.json", "net/w.pth"]
    catalog.fetch(entry)  # there already: neither asked nor fetched again
    assert len(server.requests) == 1


def test_zips_are_unpacked(server, models):
    content = zipped({"net/plans": b"plans", "__MACOSX/net/._plans": b"clutter"})
    server.files["n.zip"] = Served(content)
    file = ModelFile("n.zip", server.url + "n.zip", len(content), sha256(content), unpack=True)
    catalog.fetch(entry_of(file), accept_licence=True)
    assert left(models) == ["net/model.json", "net/net/plans"]


@pytest.mark.parametrize("answer", [False, lambda text: False])
def test_nothing_is_asked_of_the_server_without_the_licence(server, models, answer):
    server.files["w.pth"] = Served(CONTENT)
    with pytest.raises(InputError, match="was not accepted"):
        catalog.fetch(entry_of(weights(server)), accept_licence=answer)
    assert not server.requests
    assert not models.exists()


def test_a_dropped_connection_goes_on_where_it_broke(server, models):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000, 200_000])
    catalog.fetch(entry_of(weights(server)), accept_licence=True)
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-") or 0) for _, wanted in server.requests]
    assert len(starts) == 3
    assert starts[0] == 0
    assert 0 < starts[1] <= 300_000
    assert starts[1] < starts[2] <= 500_000


def test_a_server_without_ranges_starts_again(server):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000], ranges=False)
    folder = catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == CONTENT


def test_a_server_that_starts_elsewhere_than_asked_is_asked_for_all(server):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000], shift=7)
    folder = catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == CONTENT
    assert server.requests[-1] == ("/w.pth", "")


def test_a_file_that_got_shorter_meanwhile_starts_again(server):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000, 0, 0, 0, 0])
    with pytest.raises(InputError, match="breaks off"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    short = CONTENT[:1000]
    server.files["w.pth"] = Served(short)
    folder = catalog.fetch(entry_of(weights(server, short)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == short


def test_a_file_that_changed_meanwhile_starts_again(server, models):
    new = CONTENT[::-1]
    server.files["w.pth"] = Served(CONTENT, drops=[300_000, 0, 0, 0, 0])
    with pytest.raises(InputError, match="breaks off"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert any(name.endswith(".part") for name in left(models))
    server.files["w.pth"] = Served(new, etag='"two"')
    folder = catalog.fetch(entry_of(weights(server, new)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == new
    assert left(models) == ["net/model.json", "net/w.pth"]


def test_a_file_without_etag_is_not_pieced_together(server, models):
    server.files["w.pth"] = Served(CONTENT, etag="", drops=[300_000] * 9)
    with pytest.raises(InputError, match="breaks off"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert {wanted for _, wanted in server.requests} == {""}
    assert left(models) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_a_swapped_file_is_refused_with_its_name_and_both_hashes(server, models, algorithm):
    bad = CONTENT[:-1] + b"!"
    server.files["w.pth"] = Served(bad)
    digests = [hashlib.new(algorithm, content).hexdigest() for content in (CONTENT, bad)]
    file = weights(server, hash=Hash(algorithm, digests[0]))
    with pytest.raises(InputError, match=r"w\.pth.*refused") as caught:
        catalog.fetch(entry_of(file), accept_licence=True)
    assert all(digest in str(caught.value) for digest in digests)
    assert left(models) == []


def test_a_file_that_the_server_cuts_short_is_refused(server, models):
    server.files["w.pth"] = Served(CONTENT[:1000])
    with pytest.raises(InputError, match=r"w\.pth.*refused") as caught:
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert sha256(CONTENT).value in str(caught.value)
    assert sha256(CONTENT[:1000]).value in str(caught.value)
    assert left(models) == []


def test_a_short_file_without_hash_is_refused_by_its_size(server, models):
    server.files["w.pth"] = Served(CONTENT[:1000])
    with pytest.raises(InputError, match=r"has 1,000 bytes and must have 1,048,576"):
        catalog.fetch(entry_of(weights(server, hash=None)), accept_licence=True)
    assert left(models) == []


def test_a_file_that_does_not_end_is_stopped(server, models):
    server.files["w.pth"] = Served(CONTENT * 3)
    with pytest.raises(InputError, match="more than the 1,048,576 bytes"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert left(models) == []


def test_a_length_that_is_too_long_does_not_matter_if_the_file_is_right(server):
    server.files["w.pth"] = Served(CONTENT, claim=len(CONTENT) + 5000)
    folder = catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == CONTENT


def test_a_length_that_is_too_short_is_noticed(server, models):
    server.files["w.pth"] = Served(CONTENT, claim=5000)
    with pytest.raises(InputError, match=r"w\.pth"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert left(models) == []


def test_what_came_outlives_a_server_that_is_busy(server, models):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000, 0, 0, 0, 0])
    with pytest.raises(InputError, match="breaks off"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    server.files["w.pth"] = Served(status=503)
    with pytest.raises(InputError, match="503"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    server.files["w.pth"] = Served(CONTENT)
    catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert server.requests[-1][1].startswith("bytes=")
    assert left(models) == ["net/model.json", "net/w.pth"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_named(server, models, status):
    server.files["w.pth"] = Served(status=status)
    with pytest.raises(InputError, match=rf"127\.0\.0\.1.*w\.pth.*{status}"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert left(models) == []


def test_a_server_that_is_not_there_is_named(models):
    file = ModelFile("w.pth", "http://127.0.0.1:1/w.pth", 5, sha256(b"12345"))
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*could not be reached"):
        catalog.fetch(entry_of(file), accept_licence=True)
    assert left(models) == []


def test_cancel_does_not_wait_for_a_silent_server(server):
    server.files["w.pth"] = Served(CONTENT, stall_after=400_000)
    token = CancelToken()

    def cancel_in_silence() -> None:
        while not server.silent:
            time.sleep(0.01)
        token.cancel()

    def cancel_soon(fraction: float, text: str) -> None:
        if "0.4 MB" in text or "0.3 MB" in text:
            threading.Thread(target=cancel_in_silence, daemon=True).start()

    with pytest.raises(Cancelled):
        catalog.fetch(entry_of(weights(server)), accept_licence=True, progress=Progress(cancel_soon, token))
    assert server.silent == 1
    assert catalog.installed(entry_of(weights(server))) is None
    server.files["w.pth"] = Served(CONTENT)
    folder = catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert (folder / "w.pth").read_bytes() == CONTENT
    assert server.requests[-1][1].startswith("bytes=")


def test_proxy_of_the_environment_is_used(server, monkeypatch):
    server.files["w.pth"] = Served(CONTENT)
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    file = replace(weights(server), url="http://models.invalid/w.pth")
    catalog.fetch(entry_of(file), accept_licence=True)
    assert server.requests == [("http://models.invalid/w.pth", "")]


def test_a_full_disk_is_noticed_before_anything_is_fetched(server, models, monkeypatch):
    server.files["w.pth"] = Served(CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(InputError, match=r"needs 1\.0 MB .* 0\.0 MB free"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert not server.requests
    assert not models.exists()


def test_a_length_that_only_the_server_knows_is_held_against_the_disk(server, models, monkeypatch):
    server.files["w.pth"] = Served(CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(InputError, match="free some space"):
        catalog.fetch(entry_of(weights(server, size=None)), accept_licence=True)
    assert left(models) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(server, models):
    server.files["w.pth"] = Served(CONTENT)
    with filling_disk(), pytest.raises(InputError, match=r"w\.pth.*could not be written"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert left(models) == []


def test_a_hash_is_noted_on_first_use_and_held_to(server, models):
    server.files["w.pth"] = Served(CONTENT)
    entry = entry_of(weights(server, hash=None, size=None, no_hash="GitHub names none"))
    catalog.fetch(entry, accept_licence=True)
    assert catalog.record_of(entry).origins[0].by == "first use"
    catalog.remove(entry)
    new = CONTENT[::-1]
    server.files["w.pth"] = Served(new)
    with pytest.raises(InputError, match="not the file that was first fetched") as caught:
        catalog.fetch(entry, accept_licence=True)
    assert sha256(CONTENT).value in str(caught.value)
    assert sha256(new).value in str(caught.value)
    assert left(models) == ["first-use-hashes.json"]
    catalog.fetch(entry, accept_licence=True, trust_new=True)
    assert json.loads((models / "first-use-hashes.json").read_text()) == {entry.files[0].url: sha256(new).value}


def test_nothing_is_fetched_by_notes_of_hashes_that_are_damaged(server, models):
    server.files["w.pth"] = Served(CONTENT)
    entry = entry_of(weights(server, hash=None, size=None, no_hash="GitHub names none"))
    models.mkdir()
    for damaged in (b"{", b"[]", b"\xff"):
        (models / "first-use-hashes.json").write_bytes(damaged)
        with pytest.raises(InputError, match="as they were first fetched, cannot be read"):
            catalog.fetch(entry, accept_licence=True)
        assert left(models) == ["first-use-hashes.json"]
        assert not pins.is_noted(entry)


def test_weights_inside_a_zip_are_held_to_their_own_hash(server, models):
    content = zipped({"net/model": b"other weights"})
    server.files["n.zip"] = Served(content)
    file = ModelFile("n.zip", server.url + "n.zip", unpack=True, no_hash="none")
    entry = entry_of(file, contains={"net/model": sha256(b"the weights")})
    with pytest.raises(InputError, match="net/model") as caught:
        catalog.fetch(entry, accept_licence=True)
    assert sha256(b"the weights").value in str(caught.value)
    assert sha256(b"other weights").value in str(caught.value)
    assert left(models) == []


def test_entries_that_share_a_download_are_installed_together(server, models, monkeypatch):
    server.files["w.pth"] = Served(CONTENT)
    both = [entry_of(weights(server), id=name, folder="shared") for name in ("a", "b")]
    monkeypatch.setattr(fetching, "load", lambda: catalog.Catalog(both, {}))
    catalog.fetch(both[0], accept_licence=True)
    assert catalog.installed(both[1]) == models / "shared"
    assert catalog.record_of(both[1]).ids == ("a", "b")


def test_what_a_killed_program_left_is_not_taken_for_the_model(server, models):
    stale = models / ".work" / "net" / "made" / "stale"
    stale.parent.mkdir(parents=True)
    stale.write_text("half a model")
    server.files["w.pth"] = Served(CONTENT)
    catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert left(models) == ["net/model.json", "net/w.pth"]


def test_two_programs_do_not_fetch_one_model_at_once(server, models):
    server.files["w.pth"] = Served(CONTENT)
    (models / ".work").mkdir(parents=True)
    with filelock.FileLock(models / ".work" / "net.lock"), pytest.raises(InputError, match="by another program"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert not server.requests


def test_a_model_that_needs_a_licence_number_is_never_fetched(models):
    entry = catalog.entry("totalsegmentator-heartchambers-highres")
    with pytest.raises(InputError, match="licence number") as caught:
        catalog.fetch(entry, accept_licence=True)
    assert "thoraxai models import --as totalsegmentator-heartchambers-highres" in str(caught.value)
    assert not models.exists()


def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(InputError, match="THORAXAI_MODELS"):
        catalog.fetch(entry_of(weights(server)), accept_licence=True)
    assert not server.requests
