"""What is told of a CT that makes its nodules less sure, and what a reader's words mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LungNoduleAILib.answer import answer_of, patient_of
from LungNoduleAILib.ct_quality import warnings_of
from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.guidelines.findings import Kind, Lobe
from LungNoduleAILib.guidelines.patient import Patient
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.volume import Grid, Volume


def chest(slice_mm: float = 1.0, flip: bool = False, shape: tuple[int, int, int] = (60, 60, 60)):
    """A CT whose lungs leave five slices free at both ends; the slices run from feet to head, or back."""
    grid = Grid(shape, np.diag([-1.0, -1.0, -slice_mm if flip else slice_mm, 1.0]))
    labels = np.zeros(shape, np.uint8)
    labels[5:-5, 5:55, 5:28], labels[5:-5, 5:55, 32:55] = 1, 2
    return Volume(np.zeros(shape, np.int16), grid, "chest", "CT"), LabelMap(labels, grid, LUNG_STRUCTURES)


def test_a_thin_whole_ct_without_contrast_needs_no_warning():
    assert warnings_of(*chest(), (), Exam(slice_thickness_mm=1.0, contrast=False)) == []


@pytest.mark.parametrize(("slice_mm", "thickness", "words"), [(2.5, None, "2.5 mm apart"), (1.0, 3.0, "3 mm thick")])
def test_thick_slices_are_told_with_what_the_guideline_asks_for(slice_mm, thickness, words):
    [told] = warnings_of(*chest(slice_mm), (), Exam(slice_thickness_mm=thickness))
    assert words in told
    assert "Fleischner Society (2017) asks for contiguous slices of 1.5 mm or less" in told


@given(st.booleans(), st.booleans())
def test_lungs_that_are_cut_off_are_told_by_the_patients_ends(flip, at_top):
    volume, lungs = chest(flip=flip)
    start, stop = (10, 60) if at_top != flip else (0, 50)
    labels = np.zeros_like(lungs.array)
    labels[start:stop, 5:55, 5:28], labels[start:stop, 5:55, 32:55] = 1, 2
    [told] = warnings_of(volume, replace(lungs, array=labels), ())
    assert f"cuts the lungs off at the {'top' if at_top else 'bottom'};" in told


def test_a_lung_that_is_not_there_is_told():
    volume, lungs = chest()
    [told] = warnings_of(volume, replace(lungs, array=np.where(lungs.array == 2, 0, lungs.array)), ())
    assert "shows no left lung" in told


def test_contrast_is_told():
    [told] = warnings_of(*chest(), (), Exam(contrast=True))
    assert told.startswith("Contrast medium was given")


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("kind", "part-solid", Kind.PART_SOLID),
        ("lobe", "right upper", Lobe.RIGHT_UPPER),
        ("spiculation", "Yes", True),
        ("spiculation", False, False),
        ("doubling_time_days", "400", 400.0),
        ("prior_category", "4A", "4A"),
        ("juxtapleural", "unknown", None),
        ("kind", None, None),
    ],
)
def test_words_are_taken_as_guidelines_take_them(name, said, meant):
    assert answer_of(name, said) == meant


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        ("colour", "red", "Nothing called 'colour' is asked"),
        ("kind", "hard", "'hard' is no kind; choose one of: solid, part-solid, ground glass"),
        ("spiculation", "perhaps", "say yes, no or unknown"),
        ("doubling_time_days", "soon", "'soon' is no number"),
    ],
)
def test_words_that_mean_nothing_are_refused(name, said, sentence):
    with pytest.raises(InputError, match=sentence):
        answer_of(name, said)


def test_patient_of_words():
    assert patient_of({"age": "64", "female": "yes"}) == Patient(age=64.0, female=True)
