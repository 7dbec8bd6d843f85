"""The bench's own parts: what is measured, what ends a side that takes too much, and what is said instead."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from bench_sides import double, fail, number, refuse, take
from click.testing import CliRunner
from nnunet_models import plans, write_model

from benchmarks import __main__ as bench
from benchmarks import growth, network_stages
from benchmarks.measure import DidNotFitError, Measurement, measure
from benchmarks.network_pairs import Case, parts, rival_bytes, same_boxes
from benchmarks.pairs import Pair
from SegmentationAILib.catalog.monai_detector import Detections
from SegmentationAILib.catalog.nnunet_networks import UNet, architecture_of
from SegmentationAILib.volume import Grid, Volume


def test_time_and_memory_of_a_process_of_its_own():
    found = measure(number, partial(take, 400), repeats=1)
    assert 300 << 20 < found.peak_bytes < 600 << 20
    assert found.result == 1
    assert found.seconds > 0


def test_what_takes_too_much_is_ended():
    with pytest.raises(DidNotFitError, match="did not fit in 1 GiB"):
        measure(number, partial(take, 3000), repeats=1, most_bytes=1 << 30)
    with pytest.raises(DidNotFitError, match="99 TiB"):
        measure(number, refuse, repeats=1)
    with pytest.raises(RuntimeError, match="fail failed: ValueError: a reason"):
        measure(number, fail, repeats=1)


PAIR = Pair("doubling", "doubling", number, double, double, lambda a, b: float(a == b), repeats=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"needs": "no_such_rival"}, "no_such_rival is not installed"),
        ({"rival_bytes": 1 << 60}, "the rival needs at least 1073741824 GiB"),
        ({"theirs": fail}, "rival: fail failed: ValueError: a reason"),
        ({"ours": fail}, "ours: fail failed: ValueError: a reason"),
    ],
)
def test_a_pair_without_its_rival_says_why(change, sentence):
    row = bench.compare(Pair(**{**PAIR.__dict__, **change}))
    assert sentence in row["skipped"]
    assert sentence in bench.line(row)


def test_rows_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PAIRS", (PAIR, Pair(**{**PAIR.__dict__, "name": "other", "needs": "no_such_rival"})))
    monkeypatch.setattr(bench.growth, "table", lambda _: pytest.fail("not asked for"))
    found = CliRunner().invoke(bench.main, ["--output", str(tmp_path), "--only", "doubling"])
    assert found.exit_code == 0, found.output
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in rows] == ["doubling", "other"]
    assert rows[0]["agreement"] == 1.0
    assert {"time_ratio", "memory_ratio", "seconds", "rival_seconds"} <= set(rows[0])


def test_stages_add_up_and_the_limit_is_the_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(network_stages, "_SIDE", 12)
    held = plans(patch=(16, 16, 16))
    network = UNet(1, 3, architecture_of(held["configurations"]["3d_fullres"])).eval()
    home = write_model(tmp_path, held, 3, lambda _: network)
    array = np.random.default_rng(0).normal(0, 300, (20, 30, 30)).astype(np.int16)
    case = Case(home, Volume(array, Grid(array.shape, np.diag([-1.5, -1.5, 1.5, 1.0])), "", "CT"))
    found = network_stages.nnunet(case)
    # (20 - 16) / 8 and (30 - 16) / 8 steps, and one more.
    assert found["windows"] == 2 * 3 * 3
    assert {"resample", "network", "resample back and take the highest"} <= set(found["seconds"])
    assert all(value >= 0 for value in found["seconds"].values())
    assert found["limit_seconds"] > 0
    [made, window] = parts(case)
    first = 2 * 27 * 1 * 4 * 16**3
    assert network_stages.window_flops(torch.nn.Sequential(made.encoder.stages[0][0].convs[0].conv), window) == first


def test_boxes_are_matched_by_place_and_score():
    centres, sizes, scores = np.array([[0.0, 0, 0], [50, 0, 0]]), np.full((2, 3), 10.0), np.array([0.9, 0.5])
    ours = Detections(centres, sizes, np.eye(3), scores.astype(np.float32), np.zeros(2, dtype=int))
    theirs = np.concatenate([centres, sizes], axis=1)
    assert same_boxes(ours, (theirs, scores, None)) == 1.0
    assert same_boxes(ours, (theirs + 1, scores, None)) == 0.0
    assert same_boxes(ours, (theirs, scores + np.array([0, 0.1]), None)) == 0.5
    assert same_boxes(ours, (theirs[:1], scores[:1], None)) == 0.5


def test_the_rivals_memory_is_that_of_its_logits():
    assert rival_bytes((300, 512, 512)) == 117 * 512 * 512 * 300 * 4


def test_growth_is_written_as_it_comes(tmp_path, monkeypatch):
    def measured(_prepare, _run, _repeats):
        if len(told) == 2:
            raise DidNotFitError("did not fit in 1 GiB")
        return Measurement(float(len(told)), len(told) << 20, 0, None)

    told: list[str] = []
    monkeypatch.setattr(growth, "measure", measured)
    for line in growth.table(tmp_path):
        told.append(line)
        if len(told) == 2:
            assert len(json.loads((tmp_path / "growth.json").read_text())) == 1
    rows = json.loads((tmp_path / "growth.json").read_text())
    assert [tuple(row["shape"]) for row in rows] == [shape for n, shape in enumerate(growth.SHAPES) if n != 1]
    assert told[2].split() == ["256×256×128", "did", "not", "fit", "in", "1", "GiB"]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
