"""``thoraxai train``: the networks from the public sets, or fine-tuned on a user's scans."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from LungNoduleAILib.cli_output import one_line
from LungNoduleAILib.exit_codes import EXIT_FAILED
from SegmentationAILib.errors import InputError

if TYPE_CHECKING:
    from SegmentationAILib.engine.model_folder import Model, ModelCard
    from SegmentationAILib.training.fit import Fitted, Recipe

SETTINGS_FILE = "settings.json"
# What a folder of the public sets holds, and a user's does not.
_PUBLIC_NODULES, _PUBLIC_ORGANS = "lidc-vois", "totalsegmentator"
# A network that goes on learning takes smaller steps than a new one.
_FINE_TUNING_RATE = 0.2


@click.group()
def train() -> None:
    """Train a network, or go on training one, on DICOM or NRRD, NIfTI and MHA files.

    Training that was stopped goes on from OUT's checkpoint when the same command is given again.
    """


def _options(command: Callable) -> Callable:
    """What both commands take."""
    for option in reversed(
        (
            click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the scans."),
            click.option(
                "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Takes the model."
            ),
            click.option("--from", "start", type=click.Path(path_type=Path), help="Model to go on from"),
            click.option(
                "--freeze",
                type=click.Choice(["encoder", "none"]),
                default="none",
                show_default=True,
                help="Layers that keep their weights.",
            ),
            click.option("--steps", type=click.IntRange(1), help="Updates of the weights  [default: the recipe's]"),
            click.option("--batch", type=click.IntRange(1), help="Patches in a step  [default: the recipe's]"),
            click.option(
                "--learning-rate",
                type=click.FloatRange(0, min_open=True),
                help="Highest rate  [default: the recipe's, a fifth of it with --from]",
            ),
            click.option("--seed", type=click.IntRange(0), help="Of patches and weights  [default: the recipe's]"),
            click.option("--check-every", type=click.IntRange(1), help="Steps between validations and checkpoints."),
            click.option("--patience", type=click.IntRange(0), help="Validations without a better one until the end."),
            click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0, mps"),
            click.option("--workers", type=click.IntRange(0), help="Processes that make patches."),
        )
    ):
        command = option(command)
    return command


@train.command()
@_options
@click.option("--blend/--no-blend", default=True, show_default=True, help="Put nodules elsewhere in the lungs too.")
def nodule(data: Path, out: Path, blend: bool, **options: Any) -> None:
    """Train the nodule network.

    DATA holds scans (one file or DICOM folder each) with masks, '<case>_mask.nii.gz' or
    'masks/<case>.nii.gz', in which each label or piece is a nodule; or with LUNA16's annotations.csv
    (seriesuid is the case or series; coordX, coordY, coordZ in LPS mm; diameter_mm). patients.csv (case,
    patient) says whose scans they are; without it, the case up to its first '_' does.
    """
    with _training():
        _check(data, out, options["device"])
        from LungNoduleAILib.detection import network_of
        from LungNoduleAILib.network import HU_RANGE, SPACING_MM
        from LungNoduleAILib.training import fine_tuning, nodules, user_scans
        from SegmentationAILib.engine.model_folder import read_model

        start = None if options["start"] is None else read_model(options["start"], "nodule")
        recipe = _recipe(nodules.RECIPE, start, options)
        device, report = options["device"], _report(recipe)
        if (data / _PUBLIC_NODULES).is_dir():
            _refuse_freeze(options)
            training = _settings(out, recipe, start, options, {"data": "the public sets", "split": "split.json"})
            network = None if start is None else network_of(start)
            fitted = nodules.train(data, out, recipe, device, start=network, report=report)
        else:
            scans = user_scans.read_user_scans(data, out / "prepared")
            split = scans.split.as_text()
            click.echo(_told(split, sum(map(user_scans.count_nodules, scans.train)), "nodules"))
            training = _settings(out, recipe, start, options, {"split": split, "blend": blend})
            fitted = fine_tuning.fine_tune(
                scans,
                out,
                recipe,
                device,
                start=start,
                freeze_encoder=options["freeze"] == "encoder",
                blended=blend,
                report=report,
            )
        card = _card("nodule", SPACING_MM, HU_RANGE, ("background", "nodule"), recipe, fitted, training)
        _finish(out, card, fitted)


@train.command()
@_options
def organs(data: Path, out: Path, **options: Any) -> None:
    """Train the organ network.

    DATA holds scans (one file or DICOM folder each) with label maps, '<case>_labels.nii.gz' or
    'labels/<case>.nii.gz', and labels.json, which names their values: {"1": "heart", "2": "aorta"}. 0 is
    none of the named classes, 255 unknown. patients.csv (case, patient) says whose scans they are;
    without it, the case up to its first '_' does.
    """
    with _training():
        _check(data, out, options["device"])
        from SegmentationAILib.engine.model_folder import read_model
        from SegmentationAILib.organ_model import network_of
        from SegmentationAILib.organ_network import HU_RANGE, SPACING_MM
        from SegmentationAILib.training import organ_fine_tuning, user_cases
        from SegmentationAILib.training import organs as recipe_of_organs
        from SegmentationAILib.training.organ_classes import CLASS_NAMES

        start = None if options["start"] is None else read_model(options["start"], "organs")
        recipe = _recipe(recipe_of_organs.RECIPE, start, options)
        device, report = options["device"], _report(recipe)
        if (data / _PUBLIC_ORGANS).is_dir():
            _refuse_freeze(options)
            training = _settings(out, recipe, start, options, {"data": "the public sets"})
            network = None if start is None else network_of(start)
            fitted = recipe_of_organs.train(data, out, recipe, device, start=network, report=report)
        else:
            cases = user_cases.read_user_cases(data, out / "prepared")
            split, drawn = cases.split.as_text(), [CLASS_NAMES[n] for n in cases.drawn.nonzero()[0]]
            click.echo(_told(split, len(drawn), "classes"))
            training = _settings(out, recipe, start, options, {"split": split, "drawn": drawn})
            fitted = organ_fine_tuning.fine_tune(
                cases, out, recipe, device, start=start, freeze_encoder=options["freeze"] == "encoder", report=report
            )
        card = _card("organs", SPACING_MM, HU_RANGE, CLASS_NAMES, recipe, fitted, training)
        _finish(out, card, fitted)


@contextmanager
def _training() -> Iterator[None]:
    """``one_line``, and another exit code where training itself failed."""
    try:
        with one_line():
            yield
    except FloatingPointError as problem:
        click.echo(f"thoraxai: training failed, since {problem}; give another --out too", err=True)
        sys.exit(EXIT_FAILED)


def _check(data: Path, out: Path, device: str) -> None:
    """What can be known before any scan is read."""
    from SegmentationAILib.engine.device import choose_device
    from SegmentationAILib.writing import check_writable

    if find_spec("tensorboard") is None:
        raise InputError('Training needs TensorBoard; install it with: pip install "thoraxai[train]"')
    if not data.is_dir():
        raise InputError(f"'{data}' is no folder; give the folder that holds the scans.")
    check_writable(out)
    choose_device(device)


def _refuse_freeze(options: Mapping[str, Any]) -> None:
    if options["freeze"] != "none":
        raise InputError("The public sets train the whole network; leave --freeze out, or give your own scans.")


def _recipe(usual: Recipe, start: Model | None, options: Mapping[str, Any]) -> Recipe:
    if start is not None:
        usual = replace(usual, learning_rate=_FINE_TUNING_RATE * usual.learning_rate)
    names = ("steps", "batch", "learning_rate", "seed", "check_every", "patience", "workers")
    return replace(usual, **{name: options[name] for name in names if options[name] is not None})


def _settings(
    out: Path, recipe: Recipe, start: Model | None, options: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """What a run started with, kept beside its checkpoint, which must not go on with anything else.

    Raises:
        InputError: the folder's run started with something else.
    """
    settings = {"from": None if start is None else start.sha256, "freeze": options["freeze"], **more}
    from SegmentationAILib.training.fit import held_state
    from SegmentationAILib.writing import atomic_write

    path = out / SETTINGS_FILE
    if held_state(out, recipe) is not None and path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in settings.keys() | held.keys() if settings.get(name) != held.get(name))
        if changed:
            raise InputError(
                f"The run in {out} started otherwise ({', '.join(changed)} differ); choose an empty folder, or what it "
                "was started with."
            )
        click.echo(f"going on from the checkpoint in {out}")
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return settings


def _told(split: Mapping[str, list[str]], count: int, of: str) -> str:
    return (
        f"{len(split['train'])} scans to learn from ({count} {of}), {len(split['validation'])} to validate: "
        f"{', '.join(split['validation'])}"
    )


def _report(recipe: Recipe) -> Callable[[int, Mapping[str, float]], None]:
    def report(step: int, figures: Mapping[str, float]) -> None:
        named = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        click.echo(f"step {step} of {recipe.steps}: {named}")

    return report


def _card(
    kind: str,
    spacing_mm: float,
    hu: tuple[float, float],
    classes: tuple[str, ...],
    recipe: Recipe,
    fitted: Fitted,
    training: Mapping[str, Any],
) -> ModelCard:
    from SegmentationAILib.engine.model_folder import ModelCard

    # How many processes made the patches changes no weight, and must not change the card.
    held = {name: value for name, value in asdict(recipe).items() if name not in ("workers", "seed")}
    return ModelCard(
        kind=kind,
        configuration=fitted.network.configuration(),
        spacing_mm=spacing_mm,
        hu_range=hu,
        classes=classes,
        recipe=held,
        seed=recipe.seed,
        step=fitted.step,
        figures=fitted.figures,
        training=training,
    )


def _finish(out: Path, card: ModelCard, fitted: Fitted) -> None:
    from SegmentationAILib.engine.model_folder import write_model

    write_model(out, card, fitted.network)
    early = " (stopped early)" if fitted.stopped_early else ""
    click.echo(
        f"best score {fitted.score:.3f} at step {fitted.step}{early}; model.safetensors and model.json are in {out}"
    )
