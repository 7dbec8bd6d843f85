"""The catalogue in the panel: finding a model, reading its licence, fetching it, choosing structures, running it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import slicer
from model_server import Served
from nnunet_models import plans, write_model
from panels import click, during_run, findings_in, open_panel, small_ct, tick
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QMessageBox
from test_nnunet import CLASSES, our_network
from tiny_models import CONTENT, LICENCE, entry_of, sha256, weights, zipped

from SegmentationAILib import catalog
from SegmentationAILib.catalog import listing, running
from SegmentationAILib.catalog.entry import NNUNET, ModelFile
from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import add_volume, volume_from_node
from SegmentationAILib.segmentation import METHODS

pytestmark = pytest.mark.usefixtures("models", "direct")

IDS = {1: "aorta", 2: "heart", 3: "liver", 4: "spleen"}


@pytest.fixture
def listed(monkeypatch):
    """Adds models to the shipped catalogue."""

    def add(*entries):
        shipped = listing._shipped()
        held = listing.Catalog((*shipped.entries, *entries), shipped.structures)
        monkeypatch.setattr(listing, "_shipped", lambda: held)

    return add


@pytest.fixture
def ct(slicer_host):
    slicer.mrmlScene.Clear()
    return add_volume(small_ct(shape=(24, 32, 40)))


@pytest.fixture
def opened(slicer_host, ct):
    """Opens the panel on the CT, tall enough that all of it takes clicks."""
    panels = []

    def open_it():
        panel = open_panel(slicer_host, "SegmentationAI")
        panels.append(panel)
        panel._window.resize(350, 2200)
        panel.ui.inputSelector.setCurrentNode(ct)
        panel.ui.wantedCollapsibleButton.setChecked(True)
        slicer_host.process_events()
        return panel

    yield open_it
    for panel in panels:
        panel.close()


@pytest.fixture
def panel(opened):
    return opened()


def tiny_network(tmp_path) -> bytes:
    """The zip of an nnU-Net model that finds four structures."""
    held = plans(spacing=(5.0, 5.0, 5.0))
    home = write_model(tmp_path / "publisher", held, CLASSES, lambda fold: our_network(held, fold))
    return zipped({f"net/{path.relative_to(home)}": path.read_bytes() for path in home.rglob("*") if path.is_file()})


def network_entry(url: str, content: bytes):
    known = catalog.load().structures
    file = ModelFile("net.zip", url + "net.zip", len(content), sha256(content), unpack=True)
    return entry_of(
        file,
        id="tiny",
        folder="tiny",
        title="Tiny network",
        kind=NNUNET,
        labels={value: known[key] for value, key in IDS.items()},
        label_ids=IDS,
        settings={"parts": [{"folder": "net", "folds": None, "labels": {str(value): value for value in IDS}}]},
    )


def weights_entry(server, **changes):
    known = catalog.load().structures
    return entry_of(
        weights(server),
        title="Lungs by weights",
        labels={1: known["lung_right"]},
        label_ids={1: "lung_right"},
        **changes,
    )


def type_words(widget, words: str) -> None:
    widget.setFocus()
    QTest.keyClicks(widget, words)


def rows(panel) -> list[str]:
    widget = panel.ui.modelsList
    return [widget.item(row).text().split("\n")[0] for row in range(widget.count)]


def click_item(widget, text: str) -> None:
    """A click on the row that begins so."""
    [item] = [one for one in (widget.item(row) for row in range(widget.count)) if one.text().startswith(text)]
    widget.scrollToItem(item)
    QTest.mouseClick(widget.viewport(), Qt.LeftButton, Qt.NoModifier, widget.visualItemRect(item).center())


def tick_item(widget, text: str) -> None:
    """As who ticks with the keyboard: the space bar turns the row's box."""
    [item] = [one for one in (widget.item(row) for row in range(widget.count)) if one.text() == text]
    widget.setCurrentItem(item)
    QTest.keyClick(widget, Qt.Key_Space)


def choose(panel, title: str) -> None:
    type_words(panel.ui.modelSearchEdit, title)
    click_item(panel.ui.modelsList, title)


def parameters(panel):
    return panel.widget.logic.getParameterNode()


def agree(panel) -> None:
    """Open the licence, tick, go on."""
    click(panel.ui.modelFetchButton)
    dialog = panel.top_level("Licence of a model")
    tick(panel.child(dialog, "agreeCheckBox"))
    click(panel.child(dialog, "acceptButton"))


def more(panel, text: str):
    [action] = [one for one in panel.ui.modelMoreButton.menu().actions() if one.text == text]
    return action


def choose_more(panel, text: str) -> None:
    """Open the menu of the button and choose an entry with the keys."""
    action, menu = more(panel, text), panel.ui.modelMoreButton.menu()
    assert action.enabled

    def go_to_it() -> None:
        for _ in menu.actions():
            if menu.activeAction() != action:
                QTest.keyClick(menu, Qt.Key_Down)
        QTest.keyClick(menu, Qt.Key_Return)

    # Before the click, since some of Qt's versions handle events in it until an entry was chosen.
    during_run(go_to_it)
    click(panel.ui.modelMoreButton)
    panel.wait_for(lambda: not menu.isVisible())


def test_all_models_are_listed_and_what_is_built_in_is_first(panel):
    assert rows(panel)[:2] == ["Lungs and airway", "Lungs, spinal cord, bone and liver"]
    assert len(rows(panel)) == len([one for one in catalog.load() if one.task == "segmentation" and one.labels])
    assert panel.ui.modelsList.currentItem().text().startswith("Lungs and airway")
    assert "comes with ThoraxAI" in panel.ui.modelCardLabel.text
    assert not panel.ui.modelFetchButton.isVisible()


def test_typing_a_structure_lists_the_models_that_find_it(panel):
    type_words(panel.ui.modelSearchEdit, "aorta")
    expected = {one.id for one in catalog.load() if "aorta" in one.label_ids.values() and one.task == "segmentation"}
    assert set(panel.widget.models._list.shown) == expected
    assert all("aorta" in panel.ui.modelsList.item(row).text() for row in range(panel.ui.modelsList.count))
    QTest.keyClick(panel.ui.modelSearchEdit, Qt.Key_Return)
    assert parameters(panel).task == panel.widget.models._list.shown[0]


def test_no_answer_is_said_and_cannot_be_chosen(panel):
    type_words(panel.ui.modelSearchEdit, "unicorn")
    assert rows(panel) == ["No model finds 'unicorn'."]
    QTest.keyClick(panel.ui.modelSearchEdit, Qt.Key_Return)
    click_item(panel.ui.modelsList, "No model")
    assert parameters(panel).task == "lungs"


def test_choosing_shows_licence_citation_size_and_why_it_cannot_run(panel):
    type_words(panel.ui.modelSearchEdit, "3 mm")
    click_item(panel.ui.modelsList, "TotalSegmentator, 3 mm")
    assert parameters(panel).task == "totalsegmentator-total-3mm"
    card = panel.ui.modelCardLabel.text
    for words in ("Apache License 2.0", "commercial use allowed", "Wasserthal", "135 MB", "at 3 mm", "first run"):
        assert words in card
    assert not panel.ui.runButton.enabled
    assert "is not on this computer yet" in panel.ui.runButton.toolTip


def test_structures_are_picked_by_filter_all_and_none(panel):
    type_words(panel.ui.modelSearchEdit, "3 mm")
    click_item(panel.ui.modelsList, "TotalSegmentator, 3 mm")
    assert panel.ui.wantedCollapsibleButton.property("text") == "Structures: all 117"
    assert parameters(panel).wantedStructures == "*"
    click(panel.ui.wantNoneButton)
    assert parameters(panel).wantedStructures == ""
    assert "Tick at least one structure." in panel.ui.runButton.toolTip
    type_words(panel.ui.wantedFilterEdit, "kidney l")
    click(panel.ui.wantAllButton)
    assert parameters(panel).wantedStructures == "kidney_cyst_left,kidney_left"
    tick_item(panel.ui.wantedList, "left kidney cyst")
    assert parameters(panel).wantedStructures == "kidney_left"
    assert panel.ui.wantedCollapsibleButton.property("text") == "Structures: 1 of 117"
    click_item(panel.ui.modelsList, "MONAI whole body, 3 mm")
    assert parameters(panel).wantedStructures == "*"


def test_the_choice_is_kept_with_the_scene(panel, tmp_path, ct):
    type_words(panel.ui.modelSearchEdit, "3 mm")
    click_item(panel.ui.modelsList, "TotalSegmentator, 3 mm")
    click(panel.ui.wantNoneButton)
    tick_item(panel.ui.wantedList, "liver")
    saved = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(saved))
    assert slicer.mrmlScene.Commit(str(saved))
    slicer.mrmlScene.Clear()
    assert panel.ui.wantedCollapsibleButton.property("text") == "Structures: all 3"
    slicer.mrmlScene.SetURL(str(saved))
    slicer.mrmlScene.Import()
    panel.enter()
    assert parameters(panel).task == "totalsegmentator-total-3mm"
    assert panel.ui.wantedCollapsibleButton.property("text") == "Structures: 1 of 117"
    assert panel.ui.modelsList.currentItem().text().startswith("TotalSegmentator, 3 mm")


def test_a_model_that_is_not_on_this_computer_any_more_is_said(panel):
    parameters(panel).task = "own-liver"
    assert "'own-liver' is not on this computer" in panel.ui.modelCardLabel.text
    assert panel.ui.runButton.toolTip == "Choose a model."


def test_nothing_is_asked_of_the_server_before_the_licence_is_accepted(server, listed, opened):
    server.files["w.pth"] = Served(CONTENT)
    listed(weights_entry(server))
    panel = opened()
    choose(panel, "Lungs by weights")
    click(panel.ui.modelFetchButton)
    dialog = panel.top_level("Licence of a model")
    terms = panel.child(dialog, "termsLabel").text
    for words in (LICENCE.name, LICENCE.terms, "commercial use allowed", "Somebody 2020", "1 MB from 127.0.0.1"):
        assert words in terms
    assert not panel.child(dialog, "acceptButton").enabled
    assert not panel.child(dialog, "trustCheckBox").isVisible()
    tick(panel.child(dialog, "agreeCheckBox"))
    assert panel.child(dialog, "acceptButton").enabled
    click(panel.child(dialog, "declineButton"))
    assert not dialog.isVisible()
    assert server.requests == []


def test_a_download_lands_and_the_model_can_run(server, listed, opened):
    server.files["w.pth"] = Served(CONTENT)
    entry = weights_entry(server)
    listed(entry)
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    assert panel.ui.modelProgressFrame.isVisible()
    panel.wait_for(lambda: not panel.ui.modelProgressFrame.isVisible())
    assert panel.message == "'Lungs by weights' is ready to run."
    assert catalog.installed(entry)
    assert panel.ui.runButton.enabled
    assert "on this computer" in panel.ui.modelCardLabel.text
    assert not panel.ui.modelFetchButton.isVisible()


def test_a_cancelled_download_goes_on_where_it_stopped(server, listed, opened):
    server.files["w.pth"] = Served(CONTENT, stall_after=400_000)
    listed(weights_entry(server))
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.wait_for(lambda: server.silent == 1 and panel.ui.modelProgressBar.value > 0)
    assert not panel.ui.modelFetchButton.enabled
    click(panel.ui.modelCancelButton)
    panel.wait_for(lambda: not panel.ui.modelProgressFrame.isVisible())
    assert panel.message == "Cancelled; a download that is started again goes on where it stopped."
    assert not panel.ui.runButton.enabled
    server.released.set()
    server.files["w.pth"] = Served(CONTENT)
    agree(panel)
    panel.wait_for(lambda: panel.ui.runButton.enabled)
    assert server.requests[-1][1].startswith("bytes=")


def test_a_swapped_file_is_refused_with_both_hashes(server, listed, opened):
    bad = b"x" * len(CONTENT)
    server.files["w.pth"] = Served(bad)
    entry = weights_entry(server)
    listed(entry)
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.wait_for(lambda: bool(panel.message))
    assert "'w.pth' was refused" in panel.message
    assert sha256(bad).value in panel.message
    assert entry.files[0].hash.value in panel.message
    assert catalog.installed(entry) is None
    assert not panel.ui.runButton.enabled


def test_a_file_that_its_publisher_replaced_is_taken_only_if_the_user_says_so(server, listed, opened):
    server.files["w.pth"] = Served(CONTENT)
    [file] = weights_entry(server).files
    entry = replace(weights_entry(server), files=(replace(file, hash=None, size=None, no_hash="not published"),))
    listed(entry)
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.wait_for(lambda: panel.ui.runButton.enabled)
    catalog.remove(entry)
    server.files["w.pth"] = Served(b"new" + CONTENT, etag='"two"')
    panel.leave()
    panel.enter()
    agree(panel)
    panel.wait_for(lambda: "not the file that was first fetched here" in panel.message)
    click(panel.ui.modelFetchButton)
    dialog = panel.top_level("Licence of a model")
    tick(panel.child(dialog, "trustCheckBox"))
    tick(panel.child(dialog, "agreeCheckBox"))
    click(panel.child(dialog, "acceptButton"))
    panel.wait_for(lambda: panel.ui.runButton.enabled)
    assert (catalog.installed(entry) / "w.pth").read_bytes() == b"new" + CONTENT


def test_closing_the_panel_stops_a_download(server, listed, opened):
    server.files["w.pth"] = Served(CONTENT, stall_after=400_000)
    listed(weights_entry(server))
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.wait_for(lambda: server.silent == 1)
    panel.widget.models.close()
    panel.wait_for(lambda: panel.widget.models._store._transfer._thread.poll())


@pytest.mark.parametrize("away", ["another module", "scene closed"])
def test_a_download_lands_while_the_user_is_elsewhere(server, listed, opened, away):
    server.files["w.pth"] = Served(CONTENT, drops=[300_000])
    entry = weights_entry(server)
    listed(entry)
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.leave()
    if away == "scene closed":
        slicer.mrmlScene.Clear()
    panel.wait_for(lambda: catalog.installed(entry) is not None)
    panel.wait_for(lambda: not panel.ui.modelProgressFrame.isVisible())
    panel.enter()
    parameters(panel).task = entry.id
    assert "on this computer" in panel.ui.modelCardLabel.text
    assert panel.ui.modelMoreButton.enabled


def test_a_run_with_another_model_goes_on_beside_a_download(server, listed, opened, monkeypatch):
    monkeypatch.setitem(METHODS, "lungs", lambda volume, *, device, progress: findings_in(volume).lungs)
    server.files["w.pth"] = Served(CONTENT, stall_after=400_000)
    listed(weights_entry(server))
    panel = opened()
    choose(panel, "Lungs by weights")
    agree(panel)
    panel.wait_for(lambda: server.silent == 1)
    panel.ui.modelSearchEdit.clear()
    click_item(panel.ui.modelsList, "Lungs and airway")
    click(panel.ui.runButton)
    panel.wait_for(lambda: panel.message.startswith("Done"))
    assert panel.ui.modelProgressFrame.isVisible()
    click(panel.ui.modelCancelButton)
    panel.wait_for(lambda: not panel.ui.modelProgressFrame.isVisible())
    assert parameters(panel).task == "lungs"


def test_a_catalogue_that_is_missing_is_one_sentence(opened, monkeypatch):
    def missing():
        raise InputError("The list of models is missing from this installation; install ThoraxAI again.")

    monkeypatch.setattr(listing, "_shipped", missing)
    panel = opened()
    assert panel.message == "The list of models is missing from this installation; install ThoraxAI again."
    assert panel.ui.runButton.toolTip == "Choose a model."


def test_a_model_that_needs_a_licence_number_is_never_fetched(panel, monkeypatch, tmp_path):
    choose(panel, "TotalSegmentator heart chambers")
    assert panel.ui.modelFetchButton.text == "Import..."
    assert "no commercial use" in panel.ui.modelCardLabel.text
    assert "licence number of your own" in panel.ui.modelCardLabel.text
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "empty"))
    agree(panel)
    panel.wait_for(lambda: bool(panel.message))
    assert "holds no nnU-Net networks" in panel.message
    assert not panel.ui.runButton.enabled


def test_a_model_is_imported_and_removed(server, listed, opened, monkeypatch, tmp_path):
    entry = weights_entry(server)
    listed(entry)
    (tmp_path / "w.pth").write_bytes(CONTENT)
    panel = opened()
    choose(panel, "Lungs by weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "w.pth"), ""))
    choose_more(panel, "Import this model from a file...")
    dialog = panel.top_level("Licence of a model")
    tick(panel.child(dialog, "agreeCheckBox"))
    click(panel.child(dialog, "acceptButton"))
    panel.wait_for(lambda: panel.ui.runButton.enabled)
    assert server.requests == []
    choose_more(panel, "Check its files")
    panel.wait_for(lambda: "as they should be" in panel.message)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.No)
    choose_more(panel, "Remove it from this computer...")
    assert catalog.installed(entry)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.Yes)
    choose_more(panel, "Remove it from this computer...")
    assert catalog.installed(entry) is None
    assert panel.ui.modelFetchButton.isVisible()
    assert not more(panel, "Remove it from this computer...").enabled


def test_a_model_that_was_changed_on_the_disk_is_told(server, listed, opened, tmp_path):
    entry = weights_entry(server)
    listed(entry)
    (tmp_path / "w.pth").write_bytes(CONTENT)
    folder = catalog.import_local(entry, tmp_path / "w.pth")
    (folder / "w.pth").write_bytes(b"y" * len(CONTENT))
    panel = opened()
    choose(panel, "Lungs by weights")
    choose_more(panel, "Check its files")
    panel.wait_for(lambda: "'w.pth' is sha256:" in panel.message)


def test_a_model_of_the_users_own_is_added_and_chosen(panel, monkeypatch, tmp_path):
    held = plans(spacing=(5.0, 5.0, 5.0))
    home = write_model(tmp_path / "own", held, CLASSES, lambda fold: our_network(held, fold))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(home))
    choose_more(panel, "Add a model of my own from a folder...")
    panel.wait_for(lambda: bool(panel.message))
    assert parameters(panel).task.startswith("own-")
    assert panel.ui.runButton.enabled
    assert "licence not stated" in panel.ui.modelsList.currentItem().text()


def test_what_does_not_suit_the_model_is_told_before_the_run(opened, ct):
    ct.SetSpacing(2.0, 2.0, 4.0)
    panel = opened()
    assert not panel.ui.modelWarningFrame.isVisible()
    ct.SetSpacing(2.0, 2.0, 9.0)
    choose(panel, "TotalSegmentator, 1.5 mm")
    assert "9 mm apart" in panel.ui.modelWarningLabel.text
    assert panel.ui.modelWarningFrame.isVisible()


def test_a_model_of_another_modality_is_told_before_the_run(panel):
    choose(panel, "MONAI whole brain in T1 MRI")
    assert panel.ui.modelWarningLabel.text == "This model reads MR, and the volume is CT: choose another."


def test_from_the_server_to_segments_in_the_scene(server, listed, opened, tmp_path, ct, one_thread):
    content = tiny_network(tmp_path)
    server.files["net.zip"] = Served(content)
    entry = network_entry(server.url, content)
    listed(entry)
    panel = opened()
    choose(panel, "Tiny network")
    agree(panel)
    panel.wait_for(lambda: panel.ui.runButton.enabled)
    whole = running.run(entry, volume_from_node(ct), device="cpu")
    wanted = next(iter(whole.structures))
    name = whole.structures[wanted].name
    absent = [one.name for value, one in entry.labels.items() if value not in whole.structures]
    click(panel.ui.wantNoneButton)
    for one in (name, *absent):
        tick_item(panel.ui.wantedList, one)
    click(panel.ui.runButton)
    panel.wait_for(lambda: panel.message.startswith("Done"))
    assert panel.message == f"Done: chest tiny{'; not found: ' if absent else ''}{', '.join(absent)}"
    [node] = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert list(node.GetSegmentation().GetSegmentIDs()) == [name]
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, ct)
    np.testing.assert_array_equal(array > 0, whole.array == wanted)
    assert node.GetSegmentation().GetSegment(name).GetColor() == pytest.approx(whole.structures[wanted].colour)
    task = json.loads(node.GetAttribute("ThoraxAI.Task"))
    assert task["model"] == "tiny"
    assert set(task["options"]["structures"].split(",")) >= {IDS[wanted]}
    assert "by 1 run here" in panel.ui.modelCardLabel.text


def test_networks_of_structures_that_are_not_wanted_do_not_run(server, listed, opened, tmp_path, ct, one_thread):
    content = tiny_network(tmp_path)
    server.files["net.zip"] = Served(content)
    entry = network_entry(server.url, content)
    parts = [
        {"folder": "net", "folds": None, "labels": {"1": 1, "2": 2}},
        {"folder": "nowhere", "folds": None, "labels": {"3": 3}},
    ]
    fetched = replace(entry, settings={"parts": parts[:1]})
    catalog.fetch(fetched, accept_licence=True)
    listed(replace(entry, settings={"parts": parts}))
    panel = opened()
    choose(panel, "Tiny network")
    click(panel.ui.runButton)
    panel.wait_for(lambda: "nowhere" in panel.message)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []
    tick_item(panel.ui.wantedList, "liver")
    tick_item(panel.ui.wantedList, "spleen")
    click(panel.ui.runButton)
    panel.wait_for(lambda: panel.message.startswith("Done"))
