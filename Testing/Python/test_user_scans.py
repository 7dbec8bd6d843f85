"""A user's folder of scans: read, split by patient, learnt from; what cannot be used is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from phantoms import ChestPhantom, PhantomNodule, chest, slab_grid

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from LungNoduleAILib.network import HU_RANGE, SPACING_MM, NoduleNetwork, Widths
from LungNoduleAILib.training import fine_tuning
from LungNoduleAILib.training.nodule_patches import SIDE, NodulePatches
from LungNoduleAILib.training.user_scans import count_nodules, own_crops, read_user_scans
from SegmentationAILib import files
from SegmentationAILib.engine.model_folder import ModelCard, read_model, write_model
from SegmentationAILib.errors import InputError
from SegmentationAILib.training.case_folder import find_cases, split_by_patient
from SegmentationAILib.volume import Grid, Volume

pytestmark = pytest.mark.usefixtures("one_thread")

NODULES = {
    "anna_1": PhantomNodule((75.0, 10.0, 20.0), 14.0),
    "bert_1": PhantomNodule((-75.0, 20.0, 25.0), 11.0),
}


def mask_of(phantom: ChestPhantom, value: int = 1) -> Volume:
    grid = phantom.volume.grid
    places = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    mask = np.zeros(grid.shape, dtype=np.uint8)
    for nodule in phantom.nodules:
        mask[np.linalg.norm(places - nodule.centre_ras, axis=-1) <= nodule.diameter_mm / 2] = value
    return Volume(mask, grid)


def row_of(case: str, nodule: PhantomNodule) -> str:
    r, a, s = nodule.centre_ras
    return f"{case},{-r},{-a},{s},{nodule.diameter_mm}\n"


HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"


@pytest.fixture(scope="module")
def phantoms():
    return {case: chest(slab_grid(), nodules=(nodule,), vessels=False) for case, nodule in NODULES.items()}


@pytest.fixture(scope="module")
def masked(tmp_path_factory, phantoms):
    """Two patients' scans, one mask beside its scan, one in ``masks``."""
    folder = tmp_path_factory.mktemp("masked")
    for case, phantom in phantoms.items():
        files.save(phantom.volume, folder / f"{case}.nii.gz")
    files.save(mask_of(phantoms["anna_1"]), folder / "anna_1_mask.nrrd")
    (folder / "masks").mkdir()
    files.save(mask_of(phantoms["bert_1"], value=7), folder / "masks" / "bert_1.nii.gz")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def scans(masked, prepared):
    return read_user_scans(masked, prepared)


@pytest.fixture(scope="module")
def listed(tmp_path_factory, phantoms):
    """The same scans, their nodules in a table."""
    folder = tmp_path_factory.mktemp("listed")
    for case, phantom in phantoms.items():
        files.save(phantom.volume, folder / f"{case}.mha")
    rows = [row_of(case, nodule) for case, nodule in NODULES.items()]
    small = PhantomNodule((80.0, -20.0, 20.0), 2.0)
    (folder / "annotations.csv").write_text(HEADER + "".join([*rows, row_of("anna_1", small), "elsewhere,1,2,3,4\n"]))
    return folder


@pytest.fixture(scope="module")
def balls(listed, tmp_path_factory):
    return read_user_scans(listed, tmp_path_factory.mktemp("prepared balls"))


def both(scans):
    return sorted(scans.train + scans.validation, key=lambda one: one.name)


def test_masked_nodules_lie_where_they_were_drawn(scans):
    for background, nodule in zip(both(scans), NODULES.values(), strict=True):
        assert count_nodules(background) == 1
        assert background.rough is None
        inside = background.nodules > 0
        centre = background.grid.ras(np.argwhere(inside).mean(axis=0)[::-1])
        np.testing.assert_allclose(centre, nodule.centre_ras, atol=1.0)
        # Drawn on voxels of 4 mm.
        assert np.cbrt(6 / np.pi * np.count_nonzero(inside)) == pytest.approx(nodule.diameter_mm, rel=0.15)
        assert np.median(background.hu[inside]) > -400
        assert background.lungs[inside].mean() > 0.5


def test_listed_nodules_are_balls_without_outline(balls):
    for background, nodule in zip(both(balls), NODULES.values(), strict=True):
        assert count_nodules(background) == 1
        inside = background.nodules > 0
        centre = background.grid.ras(np.argwhere(inside).mean(axis=0)[::-1])
        np.testing.assert_allclose(centre, nodule.centre_ras, atol=0.6)
        assert np.cbrt(6 / np.pi * np.count_nonzero(inside)) == pytest.approx(nodule.diameter_mm, rel=0.03)
        assert background.rough[inside].all()
    anna = both(balls)[0]
    at = np.round(anna.grid.ijk((80.0, -20.0, 20.0))).astype(int)[::-1]
    assert anna.ignored[tuple(at)]
    assert not own_crops([anna])


def test_patches_show_the_nodules_and_say_where_voxels_count(balls):
    patches = NodulePatches(both(balls), (), (), 0, at_nodules=1.0, blended=False)
    for index in range(4):
        patch = patches[index]
        assert patch["image"].shape == (1, SIDE, SIDE, SIDE)
        assert patch["heat"].max() == 1
        inside = patch["nodules"] > 0
        assert not patch["mask_weight"][inside].any()
        assert patch["weight"][inside].all()
        assert patch["mask_weight"].mean() > 0.8


def test_own_nodules_are_blended_in_elsewhere(scans):
    crops = own_crops(both(scans))
    assert [crop.diameter_mm for crop in crops] == pytest.approx([14.0, 11.0], rel=0.15)
    bare = [replace(one, nodules=np.zeros_like(one.nodules)) for one in both(scans)]
    patches = NodulePatches(bare, crops, (), 0)
    assert sum(bool(patches[index]["nodules"].any()) for index in range(12)) >= 4
    assert "mask_weight" not in patches[0]


def test_prepared_scans_are_read_again_until_a_file_changes(masked, prepared, scans, monkeypatch):
    def prepare_again(*_):
        raise AssertionError("was prepared already")

    monkeypatch.setattr("LungNoduleAILib.training.user_scans._prepare", prepare_again)
    again = both(read_user_scans(masked, prepared))
    np.testing.assert_array_equal(again[0].hu, both(scans)[0].hu)
    mask = masked / "anna_1_mask.nrrd"
    mask.write_bytes(mask.read_bytes())
    with pytest.raises(AssertionError, match="prepared already"):
        read_user_scans(masked, prepared)


def empty_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def test_split_is_by_patient_and_added_patients_move_nobody(tmp_path):
    names = [f"p{patient}_{scan}" for patient in range(40) for scan in range(2)]
    empty_files(tmp_path, *(f"{name}.nii.gz" for name in names))
    cases = find_cases(tmp_path, "mask")
    split = split_by_patient(cases, set(names))
    held = {case.patient for case in split.validation}
    assert not held & {case.patient for case in split.train}
    assert len(split.train) + len(split.validation) == 80
    assert 3 <= len(held) <= 14
    fewer = split_by_patient(cases[:60], set(names))
    assert {case.name for case in fewer.validation} <= {case.name for case in split.validation}


@pytest.mark.parametrize("telling", [("a", "b"), ("b", "c"), ("a", "c")])
def test_both_parts_have_something_to_find(tmp_path, telling):
    empty_files(tmp_path, "a.nrrd", "b.nrrd", "c.nrrd", "d.nrrd")
    split = split_by_patient(find_cases(tmp_path, "mask"), telling)
    for part in (split.train, split.validation):
        assert {case.name for case in part} & set(telling)


def test_patients_file_tells_whose_scans_they_are(tmp_path):
    empty_files(tmp_path, "a_1.nrrd", "b_1.nrrd", "c_1.nrrd")
    (tmp_path / "patients.csv").write_text("case,patient\na_1,x\nb_1,x\nc_1,y\n")
    assert [case.patient for case in find_cases(tmp_path, "mask")] == ["x", "x", "y"]
    with pytest.raises(InputError, match="at least two patients"):
        split_by_patient(find_cases(tmp_path, "mask"), {"a_1", "b_1"})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "holds no scan"),
        (["a.txt"], "holds no scan"),
        (["a.nrrd", "a.mha"], "both of the case 'a'"),
        (["a.nrrd", "a_mask.nrrd", "masks/a.nii"], "both of the case 'a'"),
        (["a.nrrd", "b_mask.nrrd"], "'b_mask.nrrd' belongs to no scan"),
        (["a.nrrd"], r"'a' has no mask; add 'a_mask\.nii\.gz'"),
    ],
)
def test_folder_that_does_not_fit_together_is_refused(tmp_path, names, said):
    empty_files(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        read_user_scans(tmp_path, tmp_path / "prepared")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("case,who\na,b\n", "lacks the columns case and patient"),
        ("case,patient\n", "has no row"),
        ("case,patient\nb,x\n", "names no patient for the case 'a'"),
    ],
)
def test_bad_patients_file_is_refused(tmp_path, table, said):
    empty_files(tmp_path, "a.nrrd")
    (tmp_path / "patients.csv").write_text(table)
    with pytest.raises(InputError, match=said):
        find_cases(tmp_path, "mask")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        read_user_scans(tmp_path / "none", tmp_path)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (HEADER + "other,1,2,3,10\n", "the table has 'other', the folder 'a'"),
        (HEADER + "a,1,2,3,-1\n", "diameter above 0"),
        ("seriesuid,coordX\na,1\n", "has no column coordY"),
    ],
)
def test_bad_annotations_are_refused_before_any_scan_is_read(tmp_path, table, said):
    empty_files(tmp_path, "a.nrrd")
    (tmp_path / "annotations.csv").write_text(table)
    with pytest.raises(InputError, match=said):
        read_user_scans(tmp_path, tmp_path / "prepared")


def only(tmp_path, phantom, mask=None, table=None):
    files.save(phantom.volume, tmp_path / "a.nrrd")
    if mask is not None:
        files.save(mask, tmp_path / "a_mask.nrrd")
    if table is not None:
        (tmp_path / "annotations.csv").write_text(table)
    return lambda: read_user_scans(tmp_path, tmp_path / "prepared")


def test_centre_outside_the_scan_is_refused(tmp_path, phantoms):
    read = only(tmp_path, phantoms["anna_1"], table=HEADER + "a,75,10,500,8\n")
    with pytest.raises(InputError, match=r"outside its scan \(at 75, 10, 500 mm, LPS\)"):
        read()


def test_mask_without_the_geometry_of_its_scan_is_refused(tmp_path, phantoms):
    lost = Volume(mask_of(phantoms["anna_1"]).array, Grid(slab_grid().shape, np.diag([1.0, 1.0, 1.0, 1.0])))
    far = Volume(lost.array, lost.grid.crop((400, 0, 0), lost.array.shape))
    with pytest.raises(InputError, match="save it with the CT's geometry"):
        only(tmp_path, phantoms["anna_1"], mask=far)()


def test_mask_of_probabilities_is_refused(tmp_path, phantoms):
    mask = mask_of(phantoms["anna_1"])
    with pytest.raises(InputError, match="values that are no labels"):
        only(tmp_path, phantoms["anna_1"], mask=mask.with_array(0.5 * mask.array.astype(np.float32)))()


def test_nodules_of_one_patient_alone_are_too_few(tmp_path, phantoms):
    with pytest.raises(InputError, match=r"at least two patients.*there is 1"):
        only(tmp_path, phantoms["anna_1"], mask=mask_of(phantoms["anna_1"]))()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    torch.manual_seed(0)
    network = NoduleNetwork(Widths(8, 8, 8, 8))
    card = ModelCard("nodule", network.configuration(), SPACING_MM, HU_RANGE, ("background", "nodule"), {}, 0, 0, {})
    return write_model(tmp_path_factory.mktemp("start") / "tiny", card, network)


@pytest.fixture
def train(monkeypatch):
    monkeypatch.setattr(fine_tuning, "_VALIDATION_PATCHES", 4)
    runner = CliRunner()

    def run(*arguments):
        common = ("train", "nodule", "--device", "cpu", "--workers", 0, "--steps", 4, "--batch", 1, "--check-every", 2)
        return runner.invoke(cli.main, [str(argument) for argument in (*common, *arguments)])

    return run


def test_command_fine_tunes_a_model_on_a_folder(train, masked, start, tmp_path, monkeypatch):
    arguments = ("--data", masked, "--out", tmp_path / "out", "--from", start, "--freeze", "encoder", "--seed", 5)
    result = train(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "1 scans to learn from (1 nodules), 1 to validate: bert_1"
    assert [line.split(":")[0] for line in lines[1:3]] == ["step 2 of 4", "step 4 of 4"]
    model = read_model(tmp_path / "out", "nodule")
    before = read_model(start)
    assert model.card.training["split"] == {"train": ["anna_1"], "validation": ["bert_1"]}
    assert model.card.training["from"] == before.sha256
    assert (model.card.seed, model.card.recipe["steps"]) == (5, 4)
    same = {name for name, value in model.weights.items() if torch.equal(value, before.weights[name])}
    assert same >= {name for name in before.weights if fine_tuning.in_encoder(name)}
    assert not same & {name for name in before.weights if name.startswith(("up_half.", "heat.", "mask."))}
    written = (tmp_path / "out" / "model.json").read_bytes()

    again = train(*arguments)
    assert again.exit_code == 0, again.output
    assert "going on from the checkpoint" in again.output
    assert (tmp_path / "out" / "model.json").read_bytes() == written

    other = train(*arguments[:-4], "--seed", 5)
    assert other.exit_code == EXIT_BAD_INPUT
    assert "started otherwise (freeze differ)" in other.stderr

    monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: pytest.fail("told after the scans were prepared"))
    other = train(*arguments[:-1], 6)
    assert other.exit_code == EXIT_BAD_INPUT
    assert "another recipe (seed differ)" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "nowhere"), "is no folder"),
        (("--data", ".", "--from", "nowhere"), "'nowhere.json' cannot be read"),
        (("--data", ".", "--device", "abacus"), "no device 'abacus'"),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_2(train, masked, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(masked)
    result = train(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == EXIT_BAD_INPUT, result.output
    assert result.stderr.splitlines()[-1].startswith("thoraxai: ")
    assert said in result.stderr
    assert not (tmp_path / "out").exists()
