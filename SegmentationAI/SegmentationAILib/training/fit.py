"""Fit a network to patches: the loop that every recipe shares.

A run is a function of the seed: patch n depends on the seed and n alone, whatever process makes it,
and what a loss draws depends on the seed and the step, so that a run that was cut off goes on from
its checkpoint as if it had not been.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.precision import training_precision
from SegmentationAILib.errors import InputError
from SegmentationAILib.training.averaging import WeightAverage
from SegmentationAILib.training.run_log import RunLog

CHECKPOINT = "checkpoint.pt"
Batch = Mapping[str, torch.Tensor]
Loss = Callable[[nn.Module, Batch], dict[str, torch.Tensor]]
Validate = Callable[[nn.Module], dict[str, float]]
Report = Callable[[int, Mapping[str, float]], None]


class Patches(Protocol):
    """Patches by number; a number always gives the same patch."""

    def __getitem__(self, index: int) -> Batch: ...


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted.

    Attributes:
        steps: updates of the weights.
        batch: patches in a step.
        learning_rate: highest rate of AdamW, after the warm-up; it falls to 1 % along a half cosine.
        warmup: steps of rising learning rate.
        weight_decay: of AdamW (Loshchilov and Hutter, ICLR 2019).
        average: decay of the exponential moving average of the weights, which is what is kept.
        clip: the gradient's norm is cut to this.
        seed: of patches and weights.
        check_every: steps between validations, each followed by a checkpoint.
        patience: validations without a better one until the run ends; 0 for never.
        workers: processes that make patches; 0 makes them in this one.
    """

    steps: int
    batch: int = 4
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-3
    average: float = 0.998
    clip: float = 5.0
    seed: int = 0
    check_every: int = 500
    patience: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "check_every"):
            if getattr(self, name) < 1:
                raise InputError(f"The recipe's {name} must be at least 1; it is {getattr(self, name)}.")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


@dataclass(frozen=True)
class Fitted:
    """What a run gave.

    Attributes:
        network: with the averaged weights of the best validation.
        step: of that validation.
        score: its figure.
        stopped_early: whether patience ran out.
        figures: all of that validation's.
    """

    network: nn.Module
    step: int
    score: float
    stopped_early: bool
    figures: Mapping[str, float] = field(default_factory=dict)


def held_state(out: Path, recipe: Recipe, place: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The checkpoint that a run in this folder would go on from; None where there is none.

    Raises:
        InputError: it is of another recipe, or damaged.
    """
    path = out / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location=place, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"The checkpoint '{path}' is damaged; choose an empty folder.") from error
    held, asked = json.loads(state["recipe"]), asdict(recipe)
    # How many processes make the patches changes nothing that is learnt.
    changed = sorted(key for key in asked if key != "workers" and held.get(key) != asked[key])
    if changed:
        raise InputError(
            f"The checkpoint in {out} was made with another recipe ({', '.join(changed)} differ); "
            "choose an empty folder, or the recipe that it was started with."
        )
    return state


def fit(
    network: nn.Module,
    patches: Patches,
    loss: Loss,
    recipe: Recipe,
    out: Path,
    *,
    validate: Validate,
    device: str = "auto",
    frozen: Callable[[str], bool] | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit the network; go on from the folder's checkpoint where there is one.

    Args:
        network: fitted in place.
        patches: without end; step s takes patches s·batch … (s + 1)·batch - 1.
        loss: named terms of a batch; their sum is minimised.
        recipe: rates, steps, seed.
        out: folder for the checkpoint, TensorBoard's log and ``log.csv``.
        validate: figures of the averaged network; ``score`` is the one to raise.
        device: "auto", "cpu", "cuda:0", "mps".
        frozen: tells by its name whether a parameter keeps its value (transfer learning).
        report: told of each validation's step and figures.

    Raises:
        InputError: the checkpoint is of another recipe or network, or is damaged.
        FloatingPointError: the loss became infinite or no number.
    """
    out.mkdir(parents=True, exist_ok=True)
    place = choose_device(device)
    torch.manual_seed(recipe.seed)
    network.to(place, memory_format=torch.channels_last_3d)
    frozen = frozen or _none
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not frozen(name))
    optimizer = torch.optim.AdamW(_groups(network, recipe), lr=recipe.learning_rate)
    average = WeightAverage(network, recipe.average)
    run = _Run(network, optimizer, average, recipe, out)
    run.resume(place)
    if run.out_of_patience:
        return run.best()
    with RunLog(out) as log:
        loader = DataLoader(
            _Endless(patches),
            batch_size=recipe.batch,
            sampler=_From(run.step * recipe.batch, recipe.steps * recipe.batch),
            num_workers=recipe.workers,
            pin_memory=place.type == "cuda",
            persistent_workers=recipe.workers > 0,
            worker_init_fn=_single_thread,
        )
        precision = training_precision(place)
        for batch in loader:
            torch.manual_seed(_seed_of(recipe.seed, run.step))
            network.train()
            _freeze_statistics(network, frozen)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(run.step)
            moved = {key: value.to(place, non_blocking=True) for key, value in batch.items()}
            with precision():
                terms = loss(network, moved)
            total = sum(terms.values())
            if not torch.isfinite(total):
                raise FloatingPointError(f"the loss is not finite at step {run.step}: lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            average.update(network)
            run.step += 1
            log.terms(run.step, {name: float(term.detach()) for name, term in terms.items()}, recipe.rate(run.step))
            if run.step % recipe.check_every == 0 or run.step == recipe.steps:
                figures = validate(average.network.eval())
                log.figures(run.step, figures)
                run.check(figures)
                run.save()
                if report is not None:
                    report(run.step, figures)
                if run.out_of_patience:
                    break
    return run.best()


class _Run:
    """State that a checkpoint holds."""

    def __init__(self, network, optimizer, average: WeightAverage, recipe: Recipe, out: Path) -> None:
        self.network, self.optimizer, self.average, self.recipe = network, optimizer, average, recipe
        self.path = out / CHECKPOINT
        self.step = 0
        self.best_step, self.best_score, self.best_weights = 0, -math.inf, None
        self.best_figures: dict[str, float] = {}
        self.checks_since_best = 0

    @property
    def out_of_patience(self) -> bool:
        return 0 < self.recipe.patience <= self.checks_since_best

    def check(self, figures: Mapping[str, float]) -> None:
        if figures["score"] > self.best_score:
            self.best_step, self.best_score, self.checks_since_best = self.step, figures["score"], 0
            self.best_figures = {name: float(value) for name, value in figures.items()}
            self.best_weights = {k: v.detach().cpu().clone() for k, v in self.average.network.state_dict().items()}
        else:
            self.checks_since_best += 1

    def save(self) -> None:
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": (self.best_step, float(self.best_score), self.checks_since_best, self.best_weights),
            "best_figures": self.best_figures,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.path)

    def resume(self, place: torch.device) -> None:
        state = held_state(self.path.parent, self.recipe, place)
        if state is None:
            return
        try:
            self.network.load_state_dict(state["network"])
            self.average.resume(state["average"], state["step"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"The checkpoint in {self.path.parent} is of another network; choose an empty folder."
            ) from error
        self.step = state["step"]
        self.best_step, self.best_score, self.checks_since_best, self.best_weights = state["best"]
        self.best_figures = state.get("best_figures", {})

    def best(self) -> Fitted:
        if self.best_weights is not None:
            self.average.network.load_state_dict(self.best_weights)
        return Fitted(
            self.average.network.eval(),
            self.best_step,
            float(self.best_score),
            self.out_of_patience,
            self.best_figures,
        )


class _Endless(Dataset):
    """Patches as torch's loader wants them."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return dict(self._patches[index])


class _From(Sampler):
    """start, start + 1, … stop - 1."""

    def __init__(self, start: int, stop: int) -> None:
        self._range = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def __len__(self) -> int:
        return len(self._range)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict]:
    """Biases and norms are not decayed."""
    learnt = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _freeze_statistics(network: nn.Module, frozen: Callable[[str], bool]) -> None:
    """A frozen batch norm keeps its statistics too."""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and frozen(f"{name}.weight"):
            module.eval()


def _seed_of(seed: int, step: int) -> int:
    """Another for each step, and the same whether or not the run was cut off before it."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _none(_name: str) -> bool:
    return False


def _single_thread(_worker: int) -> None:
    torch.set_num_threads(1)
