"""nnU-Net models: the same labels as nnU-Net's own predictor, and nothing run that is no weight."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_models import PLAIN, RESIDUAL, checkpoint, plans, taught, write_model
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.catalog.nnunet_folder import read_nnunet
from SegmentationAILib.catalog.nnunet_networks import UNet, architecture_of
from SegmentationAILib.catalog.nnunet_runner import Options, segment
from SegmentationAILib.engine.label_stream import LabelStream
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.resize import resize, separate_axis
from SegmentationAILib.engine.sliding_window import Runner, Windows, slide
from SegmentationAILib.errors import Cancelled, InputError

CLASSES = 5


def ct(shape=(24, 50, 46), seed: int = 0, blur: float = 2.0) -> NDArray[np.int16]:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur)
    return np.clip(noise / noise.std() * 400 - 350, -1024, 1500).astype(np.int16)


def our_network(held: dict, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(1, CLASSES, architecture_of(held["configurations"]["3d_fullres"]))


def written(folder: Path, held: dict | None = None) -> Path:
    held = held or plans()
    return write_model(folder, held, CLASSES, lambda fold: our_network(held, fold))


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(31, 22, 45), (12, 40, 20), (20, 20, 30)])
def test_resizing_is_the_spline_of_scipy(order, shape):
    array = np.random.default_rng(1).normal(size=(2, 20, 30, 25)).astype(np.float32)
    factors = np.array(shape) / array.shape[1:]
    expected = [
        np.clip(ndimage.zoom(part, factors, order=order, mode="nearest", grid_mode=True), part.min(), part.max())
        for part in array.astype(np.float64)
    ]
    np.testing.assert_allclose(resize(torch.from_numpy(array), shape, order=order), expected, atol=2e-5)


def test_thick_slices_are_taken_one_by_one():
    array = torch.arange(4.0)[None, :, None, None].expand(1, 4, 6, 6)
    found = resize(array, (8, 9, 9), order=3, separate=0)
    assert found[0, :, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert separate_axis(np.array([5.0, 1, 1]), np.array([1.5, 1.5, 1.5])) == 0
    assert separate_axis(np.array([3.0, 1, 1]), np.array([1.5, 1.5, 1.5])) is None
    assert separate_axis(np.array([5.0, 5, 1]), np.array([1.5, 1.5, 1.5])) is None


@pytest.mark.parametrize("after", [(17, 41, 29), (5, 9, 13), (11, 16, 12)])
def test_streamed_labels_are_those_of_the_whole_interpolation(after):
    logits = torch.randn(6, 11, 16, 12, generator=torch.Generator().manual_seed(3))
    stream = LabelStream((11, 16, 12), after, 6, device=torch.device("cpu"))
    for k in range(11):
        stream.take(logits[:, k].permute(1, 2, 0).contiguous())
    whole = torch.nn.functional.interpolate(logits[None], size=after, mode="trilinear")[0].argmax(dim=0)
    assert (stream.labels == whole).float().mean() > 0.9995


class Copy(torch.nn.Module):
    def forward(self, x):
        return x.clone()


def test_windows_give_each_slice_once_and_in_order():
    """A network that answers with its own input: the weighted mean is the input again, whatever the windows."""
    channels = torch.randn(2, 21, 30, 9, generator=torch.Generator().manual_seed(4))
    windows = Windows((8, 12, 16), 0.5, (0, 2))
    found = []
    runner = Runner((Copy(),), torch.device("cpu"), torch.inference_mode, batch=3)
    slide(channels, 2, windows, runner, lambda logits: found.append(logits.clone()))
    np.testing.assert_allclose(torch.stack(found).permute(3, 0, 1, 2), channels, atol=1e-5)


def test_empty_windows_are_background_and_not_read():
    channels = torch.full((1, 16, 16, 32), -1.0)
    channels[..., 20:] = 1.0
    read, found = [], []

    class Spy(torch.nn.Module):
        def forward(self, x):
            read.append(x)
            return torch.cat([-x, x], dim=1)

    runner = Runner((Spy(),), torch.device("cpu"), torch.inference_mode)
    slide(channels, 2, Windows((16, 16, 16), 1.0), runner, found.append, empty=lambda window: bool(window.max() < 0))
    assert len(read) == 1
    labels = torch.stack(found).argmax(dim=-1)
    assert torch.equal(labels, (channels[0] > 0).long())


def test_both_networks_answer_like_their_own_with_the_mean_over_folds(tmp_path):
    """Without nnU-Net: windows as large as the image leave the network alone to be checked."""
    held = plans(patch=(32, 48, 48))
    home = write_model(tmp_path, held, CLASSES, lambda fold: our_network(held, fold), folds=2)
    model = read_nnunet(home)
    image = ct((32, 48, 48))
    found = segment(model, image[None], (1.5, 1.5, 1.5), Options(skip_air=False), device="cpu")
    scaled = (torch.from_numpy(image).float().clamp(-1000, 400) + 300) / 420
    with torch.inference_mode():
        logits = sum(network(scaled[None, None])[0] for network in model.networks)
    assert (found == logits.argmax(dim=0).numpy()).mean() > 0.9999


def test_voxels_outside_the_image_are_background(tmp_path):
    image = np.zeros((30, 40, 40), dtype=np.int16)
    image[5:25, 6:36, 4:38] = ct((20, 30, 34))
    image[5:25, 6:36, 4:38][image[5:25, 6:36, 4:38] == 0] = 1
    found = segment(read_nnunet(written(tmp_path)), image[None], (1.5, 1.5, 1.5), device="cpu")
    assert found[image != 0].any()
    assert not found[image == 0].any()


def test_an_empty_image_has_no_labels(tmp_path):
    assert not segment(read_nnunet(written(tmp_path)), np.zeros((1, 9, 9, 9), np.int16), (1, 1, 1), device="cpu").any()


def test_progress_and_cancel_between_windows(tmp_path):
    token, told = CancelToken(), []

    def report(fraction, _text):
        told.append(fraction)
        if fraction > 0.3:
            token.cancel()

    model = read_nnunet(written(tmp_path, plans(patch=(16, 16, 16))))
    with pytest.raises(Cancelled):
        segment(model, ct()[None], (2.0, 0.9, 0.9), device="cpu", progress=Progress(report, token))
    assert told == sorted(told)
    assert told[-1] < 0.7


class Hostile:
    def __reduce__(self):
        return os.system, ("echo hostile code ran > hostile.txt",)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = written(tmp_path)
    held = plans()
    torch.save(checkpoint(our_network(held), held, note=Hostile()), home / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(InputError, match="holds more than weights"):
        read_nnunet(home)
    (home / "fold_0" / "checkpoint_final.pth").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(InputError, match="holds more than weights"):
        read_nnunet(home)
    assert not (tmp_path / "hostile.txt").exists()


def change(home: Path, name: str, edit) -> None:
    held = json.loads((home / name).read_text())
    edit(held)
    (home / name).write_text(json.dumps(held))


def cascade(held):
    held["configurations"]["3d_fullres"]["previous_stage"] = "3d_lowres"


def flat(held):
    held["configurations"]["3d_fullres"]["patch_size"] = [64, 64]


def other_network(held):
    held["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "monai.networks.nets.SwinUNETR"


def smaller(held):
    held["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 4, 16]


def bent_logits(held):
    held["configurations"]["3d_fullres"]["resampling_fn_probabilities_kwargs"]["order"] = 3


def negative(held):
    held["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [-4, 8, 16]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        # Each is told in its own words, not as a file that is garbled.
        (cascade, "^'3d_fullres' is a cascade"),
        (flat, "^'3d_fullres' reads single slices"),
        (other_network, "'SwinUNETR'; only"),
        (smaller, "do not fit the network"),
        (lambda held: held.pop("transpose_forward"), "lacks or garbles 'transpose_forward'"),
        (lambda held: held.update(transpose_forward=[0, 0, 1]), r"garbles .* transpose_forward \(0, 0, 1\)"),
        (lambda held: held["configurations"]["3d_fullres"].update(spacing=[1.5, 0, 1.5]), "garbles .* spacing"),
        (lambda held: held["configurations"]["3d_fullres"].update(use_mask_for_norm=[]), "lacks or garbles"),
        (lambda held: held["configurations"]["3d_fullres"].update(architecture=None), "lacks or garbles"),
        (lambda held: held["configurations"]["3d_fullres"].update(resampling_fn_data_kwargs="x"), "lacks or garbles"),
        (bent_logits, "^The model resizes its logits by splines of order 3; only those of order 1"),
        (negative, "describes no network that can be made"),
        (lambda held: held["configurations"].clear(), "no configuration '3d_fullres'"),
    ],
)
def test_models_that_cannot_be_run_are_named(tmp_path, edit, sentence):
    home = written(tmp_path)
    change(home, "plans.json", edit)
    with pytest.raises(InputError, match=sentence):
        read_nnunet(home)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([], "lacks or garbles"),
        ({"background": 0, "lung": [1, 2]}, "^The model was trained with regions"),
        ({"background": 0, "lung": 2}, "^The labels of dataset.json do not run from 0"),
    ],
)
def test_labels_that_cannot_be_read_are_told_of(tmp_path, labels, sentence):
    home = written(tmp_path)
    change(home, "dataset.json", lambda held: held.update(labels=labels))
    with pytest.raises(InputError, match=sentence):
        read_nnunet(home)


def test_missing_files_and_folds_are_named(tmp_path):
    home = written(tmp_path)
    with pytest.raises(InputError, match=r"no fold_3/checkpoint_final\.pth"):
        read_nnunet(home, folds=[3])
    (home / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"no dataset\.json"):
        read_nnunet(home)
    with pytest.raises(InputError, match=r"no plans\.json"):
        read_nnunet(home / "fold_0")
    with pytest.raises(InputError, match="no folder"):
        read_nnunet(tmp_path / "nowhere")


def test_the_best_checkpoint_is_read_where_training_has_not_ended(tmp_path):
    home = write_model(tmp_path, plans(), CLASSES, lambda fold: our_network(plans(), fold), folds=3)
    final, best = home / "fold_0" / "checkpoint_final.pth", home / "fold_0" / "checkpoint_best.pth"
    torch.save(checkpoint(our_network(plans(), 9), plans()), best)

    def first(**chosen) -> torch.Tensor:
        return next(iter(read_nnunet(home, **chosen).networks[0].state_dict().values()))

    weights = [next(iter(our_network(plans(), seed).state_dict().values())) for seed in (0, 1, 9)]
    assert torch.equal(first(), weights[0])
    assert torch.equal(first(checkpoint=best.name), weights[2])
    final.unlink()
    assert len(read_nnunet(home).networks) == 2
    assert torch.equal(first(), weights[1])
    assert torch.equal(first(folds=[0]), weights[2])
    with pytest.raises(InputError, match=r"no fold_0/checkpoint_final\.pth"):
        read_nnunet(home, folds=[0, 1])


def test_plans_of_older_versions_are_read(tmp_path):
    """The format of TotalSegmentator's models."""

    def older(held):
        configuration = held["configurations"]["3d_fullres"]
        del configuration["architecture"]
        configuration |= {
            "UNet_class_name": PLAIN,
            "UNet_base_num_features": 4,
            "unet_max_num_features": 16,
            "n_conv_per_stage_encoder": [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2],
            "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
            "conv_kernel_sizes": [[3, 3, 3]] * 3,
        }

    home = written(tmp_path)
    today = segment(read_nnunet(home), ct()[None], (2.0, 0.9, 0.9), device="cpu")
    change(home, "plans.json", older)
    np.testing.assert_array_equal(segment(read_nnunet(home), ct()[None], (2.0, 0.9, 0.9), device="cpu"), today)


def test_a_wrong_number_of_channels_is_refused(tmp_path):
    with pytest.raises(InputError, match="reads 1 channels and the image has 2"):
        segment(read_nnunet(written(tmp_path)), np.stack([ct(), ct()]), (1.0, 1.0, 1.0), device="cpu")


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory):
    """nnU-Net's own builder of networks and predictor."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(variable, str(tmp_path_factory.mktemp(variable)))
    os.environ.setdefault("nnUNet_def_n_proc", "1")
    return pytest.importorskip(
        "nnunetv2.inference.predict_from_raw_data", reason="nnunetv2 is not installed", exc_type=ImportError
    )


class FloatForHalf:
    """torch, whose half precision is single precision."""

    def __getattr__(self, name: str):
        return torch.float32 if name == "half" else getattr(torch, name)


def own_network(held: dict, fold: int) -> torch.nn.Module:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: PLC0415 - optional

    torch.manual_seed(fold)
    made = held["configurations"]["3d_fullres"]["architecture"]
    network = get_network_from_plans(
        made["network_class_name"], made["arch_kwargs"], made["_kw_requires_import"], 1, CLASSES, deep_supervision=True
    )
    return taught(network, CLASSES, steps=100, seed=fold)


@pytest.mark.parametrize(
    ("held", "spacing", "folds", "mirror"),
    [
        (plans(), (2.0, 0.9, 0.9), 1, False),
        (plans(), (2.0, 0.9, 0.9), 2, True),
        (plans(kind=RESIDUAL), (1.0, 1.2, 0.9), 1, False),
        (plans(patch=(24, 32, 32), spacing=(5.0, 1.2, 1.2)), (5.0, 0.9, 0.9), 1, False),
        (plans(transpose=(1, 0, 2)), (2.0, 0.9, 0.9), 1, False),
    ],
    ids=["plain", "folds and mirroring", "residual", "thick slices", "transposed"],
)
def test_labels_are_those_of_nnunet(tmp_path, nnunet, monkeypatch, held, spacing, folds, mirror):
    if spacing[0] > 3 * spacing[1]:
        # On this scan its sums in half precision alone move 0.08 % of the voxels.
        monkeypatch.setattr(nnunet, "torch", FloatForHalf())
    home = write_model(tmp_path, held, CLASSES, lambda fold: own_network(held, fold), folds)
    image = ct(blur=6.0)[None]
    predictor = nnunet.nnUNetPredictor(
        use_mirroring=mirror, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(home), None)
    theirs = predictor.predict_single_npy_array(image.astype(np.float32), {"spacing": list(spacing)})
    ours = segment(read_nnunet(home), image, spacing, Options(mirror=mirror, skip_air=False), device="cpu")
    large = [value for value in range(CLASSES) if np.count_nonzero(theirs == value) > 100]
    assert len(large) >= 3
    assert (ours == theirs).mean() >= 0.9995
    for value in large:
        both = np.count_nonzero((ours == value) & (theirs == value))
        assert 2 * both / (np.count_nonzero(ours == value) + np.count_nonzero(theirs == value)) >= 0.999
