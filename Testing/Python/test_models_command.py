"""The command ``thoraxai models``, run as a user runs it."""

from __future__ import annotations

import hashlib

import pytest
from click.testing import CliRunner
from model_server import Served, model_server
from tiny_models import CONTENT, entry_of, weights

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT, EXIT_FAILED
from SegmentationAILib import catalog

pytestmark = pytest.mark.usefixtures("models", "direct")


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *arguments, **more: runner.invoke(cli.main, ["models", *map(str, arguments)], **more)


def test_list_tells_what_is_there(run):
    result = run("list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert set(lines) == {entry.id for entry in catalog.load()}
    assert "built in" in lines["organs"]
    assert "to fetch" in lines["totalsegmentator-total-3mm"]
    assert "135 MB" in lines["totalsegmentator-total-3mm"]
    assert "needs licence" in lines["totalsegmentator-heartchambers-highres"]
    assert "(NC)" in lines["totalsegmentator-heartchambers-highres"]
    assert set(run("list", "--installed").stdout.split()) >= {"organs", "nodules"}
    assert "heartchambers" not in run("list", "--commercial").stdout


def test_commands_from_fetch_to_remove(run, monkeypatch, models):
    with model_server() as server:
        server.files["w.pth"] = Served(CONTENT)
        entry = entry_of(weights(server, hash=None, no_hash="none"))
        monkeypatch.setattr(catalog, "load", lambda: catalog.Catalog([entry], {}))
        monkeypatch.setattr(catalog, "entry", lambda name: catalog.Catalog([entry], {}).entry(name))
        declined = run("fetch", "net", input="n\n")
        assert declined.exit_code == EXIT_BAD_INPUT
        assert "Creative Commons" in declined.stdout
        assert "Somebody 2020" in declined.stdout
        assert not server.requests
        fetched = run("fetch", "net", input="y\n")
        assert fetched.exit_code == 0, fetched.output
        assert f"sha256:{hashlib.sha256(CONTENT).hexdigest()}" in fetched.stdout
        assert "is there already" in run("fetch", "net", "--accept-licence").stdout
    assert "installed" in run("list").stdout
    assert run("verify").stdout == "net: as it should be\n"
    (models / "net" / "w.pth").write_bytes(CONTENT[::-1])
    damaged = run("verify", "net")
    assert damaged.exit_code == EXIT_FAILED
    assert hashlib.sha256(CONTENT).hexdigest() in damaged.stdout
    (models / "net" / "w.pth").write_bytes(b"short")
    assert "damaged" in run("list").stdout
    assert "removed" in run("remove", "net").stdout
    assert run("remove", "net").exit_code == EXIT_BAD_INPUT
    assert "no model 'other'" in run("fetch", "other").stderr


def test_command_never_fetches_what_needs_a_licence_number(run):
    result = run("fetch", "totalsegmentator-heartchambers-highres", "--accept-licence")
    assert result.exit_code == EXIT_BAD_INPUT
    assert "licence number" in result.stderr


def test_command_imports_a_licensed_model_and_removes_it(run, tmp_path):
    network = tmp_path / "Dataset301_heart_highres_1559subj" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (network / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
        (network / name).write_text("{}")
    entry = "totalsegmentator-heartchambers-highres"
    imported = run("import", network.parent, "--as", entry)
    assert imported.exit_code == 0, imported.output
    assert "no commercial use" in imported.stdout
    assert "was not compared" in imported.stdout
    assert "installed" in run("list", "--installed").stdout
    strange = catalog.models_folder() / entry / "notes.txt"
    strange.write_text("mine")
    assert str(strange) in run("remove", entry).stdout


def test_command_refuses_other_files(run, tmp_path):
    (tmp_path / "w.pth").write_bytes(CONTENT)
    refused = run("import", tmp_path / "w.pth", "--as", "lungmask-r231")
    assert refused.exit_code == EXIT_BAD_INPUT
    assert "1,048,576 bytes" in refused.stderr
    assert run("import", tmp_path / "w.pth").exit_code == EXIT_BAD_INPUT
