"""Models from this computer: publishers' files, unpacked folders, users' own; verifying and removing."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import CONTENT, entry_of, filling_disk, left, sha256, zipped

from SegmentationAILib import catalog
from SegmentationAILib.catalog import store
from SegmentationAILib.catalog.entry import Entry, ModelFile
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError

pytestmark = pytest.mark.usefixtures("models")

NETWORK = "Dataset007_Chest/nnUNetTrainer__nnUNetPlans__3d_fullres"


def network(labels: object = None, channels: object = None) -> dict[str, bytes]:
    """The files of one network of nnU-Net."""
    dataset = {
        "labels": {"background": 0, "lung_left": 1, "My Lesion": 2} if labels is None else labels,
        "channel_names": channels or {"0": "CT"},
    }
    return {
        f"{NETWORK}/plans.json": b"{}",
        f"{NETWORK}/dataset.json": json.dumps(dataset).encode(),
        f"{NETWORK}/fold_0/checkpoint_final.pth": b"weights",
    }


def bundle(**changes) -> dict[str, bytes]:
    """The files of one MONAI bundle."""
    pred = {"format": "segmentation", "channel_def": {"0": "background", "1": "spleen"}} | changes
    data = {"inputs": {"image": {"num_channels": 1, "modality": "MR"}}, "outputs": {"pred": pred}}
    return {
        "spleen/configs/metadata.json": json.dumps({"network_data_format": data}).encode(),
        "spleen/configs/inference.json": b"{}",
        "spleen/models/model.pt": b"weights",
    }


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def nnunet_entry(**changes) -> Entry:
    settings = {"parts": [{"folder": NETWORK, "folds": [0], "labels": {"1": 1}}]}
    file = ModelFile("Dataset007_Chest.zip", "https://example.org/Dataset007_Chest.zip", no_hash="none", unpack=True)
    return entry_of(file, kind="nnunet", settings=settings, **changes)


def test_publishers_zip_without_a_network(tmp_path, models):
    content = zipped(network())
    path = tmp_path / "renamed.zip"
    path.write_bytes(content)
    entry = nnunet_entry()
    entry = replace(entry, files=(replace(entry.files[0], hash=sha256(content), size=len(content)),))
    folder = catalog.import_local(entry, path)
    assert catalog.network_folder(folder, NETWORK) == folder / NETWORK
    assert catalog.installed(entry) == folder
    record = catalog.record_of(entry)
    assert record.origins[0].checked == str(sha256(content))
    assert path.exists()


def test_another_zip_is_refused_with_both_hashes(tmp_path, models):
    right, wrong = zipped(network()), zipped(network(channels={"0": "MR"}))
    path = tmp_path / "Dataset007_Chest.zip"
    path.write_bytes(wrong)
    entry = nnunet_entry()
    entry = replace(entry, files=(replace(entry.files[0], hash=sha256(right)),))
    with pytest.raises(InputError, match=r"Dataset007_Chest\.zip") as caught:
        catalog.import_local(entry, path)
    assert sha256(right).value in str(caught.value)
    assert sha256(wrong).value in str(caught.value)
    assert left(models) == []


@pytest.mark.parametrize("inside", ["", "Dataset007_Chest"])
def test_a_folder_that_was_unpacked_before(tmp_path, models, inside):
    folder = written(tmp_path / "there", network())
    catalog.import_local(nnunet_entry(), folder / inside)
    assert f"net/{NETWORK}/fold_0/checkpoint_final.pth" in left(models)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("plans.json", "no nnU-Net network"), ("dataset.json", "labels"), ("fold_0/checkpoint_final.pth", "no weights")],
)
def test_a_network_that_is_not_whole_is_refused(tmp_path, models, missing, said):
    folder = written(tmp_path / "there", network())
    (folder / NETWORK / missing).unlink()
    with pytest.raises(InputError, match=said):
        catalog.import_local(nnunet_entry(), folder)
    assert left(models) == []


def test_several_files_come_in_one_folder(tmp_path, models):
    contents = {f"{n}.zip": zipped({f"part{n}/x": str(n).encode()}) for n in range(2)}
    files = [ModelFile(name, hash=sha256(content), unpack=True) for name, content in contents.items()]
    folder = written(tmp_path / "zips", contents)
    with pytest.raises(InputError, match="made of 2 files"):
        catalog.import_local(entry_of(*files), folder / "0.zip")
    catalog.import_local(entry_of(*files), folder)
    assert left(models) == ["net/model.json", "net/part0/x", "net/part1/x"]


def test_a_folder_without_the_parts_is_refused_by_their_names(tmp_path, models):
    entry = catalog.entry("totalsegmentator-total")
    with pytest.raises(InputError, match="Dataset295_TotalSegmentator_part5_ribs") as caught:
        catalog.import_local(entry, written(tmp_path / "there", network()))
    assert "totalsegmentator-total" in str(caught.value)
    assert left(models) == []


def test_what_lacks_the_publishers_weights_is_refused(tmp_path, models):
    folder = written(tmp_path / "lung_nodule_ct_detection", {"configs/metadata.json": b"{}"})
    with pytest.raises(InputError, match=r"models/model\.pt"):
        catalog.import_local(catalog.entry("monai-lung-nodule-ct-detection"), folder)
    assert left(models) == []


def test_weights_file(tmp_path, models):
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT)
    catalog.import_local(entry_of(ModelFile("w.pth", hash=sha256(CONTENT))), path)
    assert left(models) == ["net/model.json", "net/w.pth"]


def test_what_is_no_model_is_refused(tmp_path, models):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InputError, match="does not exist"):
        catalog.import_local(None, tmp_path / "nowhere")
    with pytest.raises(InputError, match="0 networks of nnU-Net v2"):
        catalog.import_local(None, tmp_path / "empty")
    with pytest.raises(InputError, match="it is no zip"):
        catalog.import_local(None, tmp_path / "text.zip")
    with pytest.raises(InputError, match="comes with ThoraxAI"):
        catalog.import_local(catalog.entry("organs"), tmp_path / "empty")
    assert left(models) == []


def test_own_network_is_listed_with_what_is_known_of_its_labels(tmp_path):
    folder = written(tmp_path / "My Chest Model", network())
    landed = catalog.import_local(None, folder)
    entry = catalog.entry(landed.name)
    assert entry.id == "own-my-chest-model"
    assert catalog.installed(entry) == landed
    assert catalog.network_folder(landed, entry.settings["parts"][0]["folder"]).is_dir()
    assert entry.labels[1] == catalog.load().structures["lung_left"]
    assert (entry.labels[2].name, entry.labels[2].tg263) == ("My Lesion", "")
    assert not entry.licence.commercial
    with pytest.raises(InputError, match="already"):
        catalog.import_local(None, folder)
    catalog.remove(entry)
    with pytest.raises(InputError, match="There is no model"):
        catalog.entry(landed.name)


def test_own_model_with_a_damaged_record_hides_no_other(tmp_path):
    landed = catalog.import_local(None, written(tmp_path / "mine", network()))
    held = json.loads((landed / store.RECORD).read_text())
    del held["own"]["labels"]
    (landed / store.RECORD).write_text(json.dumps(held))
    ids = [entry.id for entry in catalog.load()]
    assert "organs" in ids
    assert landed.name not in ids


def test_own_bundle_as_a_zip(tmp_path):
    path = tmp_path / "spleen.zip"
    path.write_bytes(zipped(bundle()))
    entry = catalog.entry(catalog.import_local(None, path).name)
    assert entry.kind == "monai-bundle"
    assert entry.input.modality == "MR"
    assert entry.labels[1].tg263 == "Spleen"
    assert entry.settings == {"bundle": "spleen", "weights": "spleen/models/model.pt"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (network(labels={"background": 0}), "names no labels"),
        (network(labels={"whole": [1, 2]}), "overlapping regions"),
        (network(labels=["a"]), "no labels of the form"),
        (network(labels={"background": 0, "lung": True}), "no labels of the form"),
        (network(labels={"background": 0, "lung": 300}), "from 300 to 300; only labels from 1 to 255"),
        (network(labels={"background": 0, "lung": -1}), "from -1 to -1; only labels from 1 to 255"),
        (network(channels={"0": "CT", "1": "PET"}), "reads 2 images"),
        (network(channels=["CT"]), "does not name what images"),
        (network(channels={"0": None}), "does not name what images"),
        (network() | {f"{NETWORK}/dataset.json": b"{"}, "damaged"),
        (bundle(channel_def={}), "names no labels"),
        (bundle(format="boxes"), "neither segments nor detects"),
        (bundle() | {"spleen/configs/metadata.json": b"{}"}, "network_data_format"),
        ({name: content for name, content in bundle().items() if "model.pt" not in name}, "no weights"),
        (network() | bundle(), "1 networks of nnU-Net v2"),
    ],
)
def test_own_model_that_cannot_be_used_is_refused(tmp_path, models, files, said):
    with pytest.raises(InputError, match=said):
        catalog.import_local(None, written(tmp_path / "mine", files))
    assert left(models) == []


def test_own_detector_is_listed_as_one(tmp_path):
    """As the metadata of the model zoo's detectors say it, whose boxes have no names."""
    files = bundle(type="object", format="dict", channel_def={})
    place = "spleen/configs/metadata.json"
    told = json.loads(files[place]) | {"task": "CT lung nodule detection"}
    entry = catalog.entry(
        catalog.import_local(None, written(tmp_path / "zoo", files | {place: json.dumps(told).encode()})).name
    )
    assert (entry.task, entry.kind) == ("detection", "monai-bundle")
    assert entry.label_ids == {1: "lung_nodules"}
    assert entry.settings["box_class"] == 0
    other = catalog.entry(catalog.import_local(None, written(tmp_path / "other", files)).name)
    assert other.labels[1].name == "finding"


def test_folds_and_checkpoint_of_an_own_network_are_chosen(tmp_path, models):
    folder = written(tmp_path / "mine", network())
    [final] = folder.rglob("checkpoint_final.pth")
    best = final.with_name("checkpoint_best.pth")
    best.write_bytes(b"best")
    for n in (1, 2):
        (final.parents[1] / f"fold_{n}").mkdir()
        (final.parents[1] / f"fold_{n}" / final.name).write_bytes(b"weights")
    with pytest.raises(InputError, match=r"no checkpoint_final\.pth in fold 7; folds that have it: 0, 1, 2"):
        catalog.import_local(None, folder, training=catalog.Training(["0", "7"]))
    with pytest.raises(InputError, match=r"no checkpoint_best\.pth in fold 1; folds that have it: 0"):
        catalog.import_local(None, folder, training=catalog.Training(["1"], best.name))
    with pytest.raises(InputError, match="are chosen of your own models only"):
        catalog.import_local(catalog.entry("totalsegmentator-body"), folder, training=catalog.Training(["0"]))
    with pytest.raises(InputError, match="chosen of an nnU-Net only"):
        catalog.import_local(None, written(tmp_path / "bundle", bundle()), training=catalog.Training(["0"]))
    assert left(models) == []
    entry = catalog.entry(catalog.import_local(None, folder, training=catalog.Training(["0"], best.name)).name)
    [part] = entry.settings["parts"]
    assert (part["folds"], part["checkpoint"]) == (["0"], best.name)
    catalog.remove(entry)
    final.unlink()
    entry = catalog.entry(catalog.import_local(None, folder, training=catalog.Training(["0"])).name)
    assert "checkpoint" not in entry.settings["parts"][0]


def test_cancelled_import_leaves_nothing(tmp_path, models):
    token = CancelToken()
    progress = Progress(lambda fraction, text: token.cancel() if "checkpoint" in text else None, token)
    with pytest.raises(Cancelled):
        catalog.import_local(None, written(tmp_path / "mine", network()), progress=progress)
    assert left(models) == []


def test_a_full_disk_is_noticed_before_anything_is_copied(tmp_path, models, monkeypatch):
    folder = written(tmp_path / "mine", network() | {f"{NETWORK}/more.bin": bytes(2_000_000)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(InputError, match=r"needs 2\.0 MB and the disk .* free; free some space"):
        catalog.import_local(None, folder)
    assert not models.exists()


def test_a_disk_that_fills_up_while_copying_leaves_nothing(tmp_path, models):
    folder = written(tmp_path / "mine", network() | {f"{NETWORK}/more.bin": bytes(2_000_000)})
    with filling_disk(), pytest.raises(InputError, match=r"could not be copied .* check that the disk has room"):
        catalog.import_local(None, folder)
    assert left(models) == []


def test_verify_finds_every_change(tmp_path, models):
    entry = nnunet_entry()
    folder = catalog.import_local(entry, written(tmp_path / "there", network()))
    assert catalog.verify(entry) == []
    weights = folder / NETWORK / "fold_0/checkpoint_final.pth"
    weights.write_bytes(b"swapped")
    (folder / NETWORK / "plans.json").unlink()
    damages = {damage.path: damage for damage in catalog.verify(entry)}
    assert set(damages) == {f"{NETWORK}/plans.json", f"{NETWORK}/fold_0/checkpoint_final.pth"}
    swapped = str(damages[f"{NETWORK}/fold_0/checkpoint_final.pth"])
    assert hashlib.sha256(b"weights").hexdigest() in swapped
    assert hashlib.sha256(b"swapped").hexdigest() in swapped
    assert "is missing" in str(damages[f"{NETWORK}/plans.json"])
    assert catalog.installed(entry) is None


def test_the_model_before_stays_where_the_system_does_not_let_it_be_replaced(tmp_path, models, monkeypatch):
    """As Windows does where a program has a file of it open."""
    entry = nnunet_entry()
    folder = catalog.import_local(entry, written(tmp_path / "there", network()))
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "made":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(InputError, match=r"'net' could not be put into .* \(Permission denied\)"):
            catalog.import_local(entry, tmp_path / "there")
    assert catalog.installed(entry) == folder
    assert catalog.verify(entry) == []


def test_verify_of_what_is_not_there(models):
    with pytest.raises(InputError, match="is not installed"):
        catalog.verify(nnunet_entry())


def test_remove_leaves_what_others_put_there(tmp_path, models):
    entry = nnunet_entry()
    folder = catalog.import_local(entry, written(tmp_path / "there", network()))
    notes = folder / "Dataset007_Chest" / "my notes.txt"
    notes.write_text("keep")
    assert catalog.remove(entry) == [notes]
    assert left(models) == ["net/Dataset007_Chest/my notes.txt"]
    with pytest.raises(InputError, match=r"my notes\.txt"):
        catalog.import_local(entry, tmp_path / "there")
    assert notes.read_text() == "keep"
    notes.unlink()
    catalog.import_local(entry, tmp_path / "there")
    assert catalog.remove(entry) == []
    assert not (models / "net").exists()
    with pytest.raises(InputError, match="is not installed"):
        catalog.remove(entry)


def test_remove_does_not_touch_built_in_models():
    with pytest.raises(InputError, match="cannot be removed"):
        catalog.remove(catalog.entry("organs"))
    assert catalog.installed(catalog.entry("organs")) is not None


def test_a_forged_record_deletes_nothing_outside(tmp_path, models):
    entry = nnunet_entry()
    folder = catalog.import_local(entry, written(tmp_path / "there", network()))
    mine = tmp_path / "models" / "mine.txt"
    mine.write_text("keep")
    record = folder / store.RECORD
    held = json.loads(record.read_text())
    held["files"].append({"path": "../mine.txt", "bytes": 4, "sha256": "0" * 64})
    record.write_text(json.dumps(held))
    with pytest.raises(InputError, match="is not installed"):
        catalog.remove(entry)
    assert mine.exists()


def test_a_result_keeps_licence_and_citation_of_its_model(tmp_path):
    entry = nnunet_entry()
    with pytest.raises(InputError, match="is not installed"):
        catalog.provenance(entry)
    catalog.import_local(entry, written(tmp_path / "there", network()))
    kept = json.loads(json.dumps(catalog.provenance(entry)))
    assert kept["licence"]["name"] == "Creative Commons"
    assert kept["citation"] == ["Somebody 2020"]
    assert kept["sha256"] == catalog.record_of(entry).sha256
    organs = catalog.entry("organs")
    assert catalog.provenance(organs)["sha256"] == organs.files[0].hash.value


def test_one_hash_names_all_files(tmp_path, models):
    entry = nnunet_entry()
    catalog.import_local(entry, written(tmp_path / "there", network()))
    first = catalog.record_of(entry).sha256
    catalog.import_local(entry, tmp_path / "there")
    assert catalog.record_of(entry).sha256 == first
    catalog.import_local(entry, written(tmp_path / "there", network(channels={"0": "MR"})))
    assert catalog.record_of(entry).sha256 != first
