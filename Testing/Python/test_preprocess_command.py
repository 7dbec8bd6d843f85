"""``thoraxai preprocess``, and the same in a worker process."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from geometry import AXIS_ORDERS, oblique_grid

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib import files
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker.client import Worker
from SegmentationAILib.enhancement.enhance import enhance
from SegmentationAILib.enhancement.operations import OPERATION, OPERATIONS, PREPROCESS
from SegmentationAILib.radiotherapy.pair_comparison import COMPARE, TOLERANCE, mask_pair, run_task
from SegmentationAILib.volume import Volume

GRID = oblique_grid(AXIS_ORDERS[3], angles_deg=(5, 0, 10), shape=(20, 24, 28))


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli.main, ["preprocess", *map(str, arguments)])


@pytest.fixture
def ct(tmp_path):
    array = np.random.default_rng(0).normal(40, 30, GRID.shape).astype(np.int16)
    path = tmp_path / "ct.nrrd"
    files.save(Volume(array, GRID, "ct", "CT"), path)
    return path


def test_a_volume_is_written_where_it_lay(run, ct, tmp_path):
    output = tmp_path / "smooth.nii.gz"
    result = run("gaussian", ct, output, "--set", "sigma_mm=1.5")
    assert result.exit_code == 0, result.output
    made = files.load(output)
    assert made.grid.canonical().same_as(GRID.canonical(), 1e-2)
    assert np.isclose(made.array.std(), enhance(files.load(ct), "gaussian", {"sigma_mm": 1.5}).array.std(), rtol=1e-3)


def test_a_text_parameter(run, ct, tmp_path):
    assert run("reorient", ct, tmp_path / "turned.nrrd", "--set", "codes=SLP").exit_code == 0
    assert files.load(tmp_path / "turned.nrrd").grid.canonical().same_as(GRID.canonical())


@pytest.mark.parametrize(
    ("value", "said"), [("sigma", "name=value"), ("sigma_mm=99", "0.1 to 10 mm"), ("width=3", "no parameter 'width'")]
)
def test_wrong_parameters_are_one_line(run, ct, tmp_path, value, said):
    result = run("gaussian", ct, tmp_path / "out.nrrd", "--set", value)
    assert result.exit_code == EXIT_BAD_INPUT
    assert said in result.stderr
    assert not (tmp_path / "out.nrrd").exists()


def test_the_help_tells_each_operation_with_its_units(run):
    text = " ".join(run("--help").output.split())
    assert all(f"{name}: {one.hint}" in text for name, one in OPERATIONS.items())
    assert "sigma_mm=0.8 mm" in text


def test_a_worker_makes_the_same():
    array = np.random.default_rng(0).normal(40, 30, GRID.shape).astype(np.int16)
    volume = Volume(array, GRID, "ct", "CT")
    masks = mask_pair(array > 40, array > 45, GRID)
    with Worker.start(tasks=["SegmentationAILib.worker_tasks"]) as worker:
        options = {OPERATION: "median", "radius_mm": 1.0}
        made = worker.run(Task(PREPROCESS, options), volume)
        assert np.array_equal(made.array, enhance(volume, "median", {"radius_mm": 1.0}).array)
        assert made.grid.same_as(GRID)
        task = Task(COMPARE, {TOLERANCE: 1.0})
        assert worker.run(task, masks) == run_task(masks, task, Progress())
