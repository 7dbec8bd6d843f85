"""The two U-Nets of nnU-Net, with its parameter names, so that its weights load as they are.

Plain: Isensee et al., Nat Methods 2021;18:203. Residual encoder: Isensee et al., MICCAI 2024
(arXiv 2404.09556), blocks of the kind D of He et al., CVPR 2019. Only what inference needs is built: the
full-resolution output, no deep supervision, no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from SegmentationAILib.errors import InputError

PLAIN = "PlainConvUNet"
RESIDUAL = "ResidualEncoderUNet"

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """What a plan says of its network.

    Attributes:
        kind: ``PLAIN`` or ``RESIDUAL``.
        features: channels of each stage.
        kernels, strides: of each stage, along the array's axes; the stride is of its first convolution.
        encoder_blocks: convolutions (plain) or residual blocks in each stage.
        decoder_convolutions: in each stage but the lowest, from the lowest resolution up.
        bias: of the convolutions.
        epsilon: of the instance norm.
        slope: of the leaky ReLU, 0 for a ReLU.
    """

    kind: str
    features: tuple[int, ...]
    kernels: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    encoder_blocks: tuple[int, ...]
    decoder_convolutions: tuple[int, ...]
    bias: bool = True
    epsilon: float = 1e-5
    slope: float = 0.01

    def __post_init__(self) -> None:
        stages = len(self.features)
        lengths = {len(self.kernels), len(self.strides), len(self.encoder_blocks), len(self.decoder_convolutions) + 1}
        if stages < 2 or lengths != {stages}:
            raise InputError("The plan's stages do not agree with each other; the model folder is damaged.")


class ConvNorm(nn.Module):
    """Convolution and instance norm, then the leaky ReLU where ``slope`` is given."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Triple, stride: Triple, plan: Architecture, *, bias: bool, active: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, [(n - 1) // 2 for n in kernel], bias=bias)
        self.norm = nn.InstanceNorm3d(outputs, eps=plan.epsilon, affine=True)
        self._slope = plan.slope if active else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return x if self._slope is None else F.leaky_relu_(x, self._slope)


class Stack(nn.Module):
    """Convolutions one after the other, the first with the stride."""

    def __init__(
        self, count: int, inputs: int, outputs: int, kernel: Triple, stride: Triple, plan: Architecture
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(
                ConvNorm(
                    inputs if n == 0 else outputs,
                    outputs,
                    kernel,
                    stride if n == 0 else (1, 1, 1),
                    plan,
                    bias=plan.bias,
                    active=True,
                )
                for n in range(count)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


class Residual(nn.Module):
    """Two convolutions and a way around them, which is pooled and projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple, plan: Architecture) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, kernel, stride, plan, bias=plan.bias, active=True)
        self.conv2 = ConvNorm(outputs, outputs, kernel, (1, 1, 1), plan, bias=plan.bias, active=False)
        around: list[nn.Module] = [nn.AvgPool3d(stride, stride)] if max(stride) > 1 else []
        if inputs != outputs:
            around.append(ConvNorm(inputs, outputs, (1, 1, 1), (1, 1, 1), plan, bias=False, active=False))
        if around:
            self.skip = nn.Sequential(*around)
        self._slope = plan.slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = self.skip(x) if hasattr(self, "skip") else x
        return F.leaky_relu_(self.conv2(self.conv1(x)).add_(around), self._slope)


class ResidualStack(nn.Module):
    """Residual blocks one after the other, the first with the stride."""

    def __init__(
        self, count: int, inputs: int, outputs: int, kernel: Triple, stride: Triple, plan: Architecture
    ) -> None:
        super().__init__()
        first = Residual(inputs, outputs, kernel, stride, plan)
        self.blocks = nn.Sequential(
            first, *(Residual(outputs, outputs, kernel, (1, 1, 1), plan) for _ in range(count - 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class Encoder(nn.Module):
    """Features at each resolution, the finest first."""

    def __init__(self, channels: int, plan: Architecture) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inputs = channels
        if plan.kind == RESIDUAL:
            self.stem = Stack(1, channels, plan.features[0], plan.kernels[0], (1, 1, 1), plan)
            inputs = plan.features[0]
        for count, outputs, kernel, stride in zip(
            plan.encoder_blocks, plan.features, plan.kernels, plan.strides, strict=True
        ):
            if plan.kind == RESIDUAL:
                stages.append(ResidualStack(count, inputs, outputs, kernel, stride, plan))
            else:
                stages.append(nn.Sequential(Stack(count, inputs, outputs, kernel, stride, plan)))
            inputs = outputs
        self.stages = nn.Sequential(*stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        x = self.stem(x) if hasattr(self, "stem") else x
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class Decoder(nn.Module):
    """From the features to the logits at full resolution."""

    def __init__(self, classes: int, plan: Architecture) -> None:
        super().__init__()
        stages, upward = [], []
        lowest = len(plan.features) - 1
        for n, count in enumerate(plan.decoder_convolutions):
            below, here = lowest - n, lowest - n - 1
            stride, width = plan.strides[below], plan.features[here]
            upward.append(nn.ConvTranspose3d(plan.features[below], width, stride, stride, bias=plan.bias))
            stages.append(Stack(count, 2 * width, width, plan.kernels[here], (1, 1, 1), plan))
        self.transpconvs = nn.ModuleList(upward)
        self.stages = nn.ModuleList(stages)
        # The others are of the deep supervision; the index keeps nnU-Net's name.
        self.seg_layers = nn.ModuleDict({str(lowest - 1): nn.Conv3d(plan.features[0], classes, 1)})

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = features.pop()
        for upward, stage in zip(self.transpconvs, self.stages, strict=True):
            x = stage(torch.cat((upward(x), features.pop()), 1))
        [last] = self.seg_layers.values()
        return last(x)


class UNet(nn.Module):
    """Logits [batch, classes, k, j, i] of patches [batch, channels, k, j, i]."""

    def __init__(self, channels: int, classes: int, plan: Architecture) -> None:
        super().__init__()
        self.encoder = Encoder(channels, plan)
        self.decoder = Decoder(classes, plan)

    @property
    def last_layer(self) -> str:
        """Name of the layer that makes logits of features."""
        [name] = self.decoder.seg_layers
        return f"decoder.seg_layers.{name}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def load_weights(network: UNet, weights: Mapping[str, torch.Tensor]) -> None:
    """Put nnU-Net's weights into the network.

    nnU-Net stores each convolution under two names and the encoder once more inside the decoder.

    Raises:
        InputError: they are of another network.
    """
    wanted = network.state_dict()
    found = {}
    for name, value in weights.items():
        plain = name.removeprefix("_orig_mod.").removeprefix("module.")
        if plain in wanted:
            found[plain] = value
    missing = sorted(set(wanted) - set(found))
    wrong = sorted(name for name, value in found.items() if value.shape != wanted[name].shape)
    if missing or wrong:
        first = (missing or wrong)[0]
        raise InputError(
            f"The weights do not fit the network of the plan ({len(missing)} missing, {len(wrong)} of another shape, "
            f"the first is {first}); take plans.json and checkpoint from the same model."
        )
    network.load_state_dict(found)


def architecture_of(configuration: Mapping, dimensions: int = 3) -> Architecture:
    """The architecture that a configuration of ``plans.json`` names, in today's or the older format.

    Raises:
        InputError: it is none of the two U-Nets, or is made of other layers than theirs.
    """
    if "architecture" in configuration:
        return _today(configuration["architecture"])
    return _before(configuration, dimensions)


def _today(architecture: Mapping) -> Architecture:
    kind = str(architecture.get("network_class_name", "")).rpartition(".")[2]
    settings = architecture.get("arch_kwargs", {})
    if kind not in (PLAIN, RESIDUAL):
        raise InputError(f"The model's network is a '{kind}'; only {PLAIN} and {RESIDUAL} can be run.")
    _check_layer(settings, "conv_op", ("Conv3d",))
    _check_layer(settings, "norm_op", ("InstanceNorm3d",))
    activation = _check_layer(settings, "nonlin", ("LeakyReLU", "ReLU"))
    norm = settings.get("norm_op_kwargs") or {}
    if not norm.get("affine", False):
        raise InputError("The model's instance norm has no weights of its own (affine); it cannot be run.")
    stages = int(settings["n_stages"])
    blocks = settings["n_blocks_per_stage" if kind == RESIDUAL else "n_conv_per_stage"]
    leak = float((settings.get("nonlin_kwargs") or {}).get("negative_slope", 0.01))
    return Architecture(
        kind,
        tuple(int(n) for n in settings["features_per_stage"]),
        tuple(_triple(kernel) for kernel in settings["kernel_sizes"]),
        tuple(_triple(stride) for stride in settings["strides"]),
        _each(blocks, stages),
        _each(settings["n_conv_per_stage_decoder"], stages - 1),
        bool(settings.get("conv_bias", False)),
        float(norm.get("eps", 1e-5)),
        leak if activation == "LeakyReLU" else 0.0,
    )


def _before(configuration: Mapping, dimensions: int) -> Architecture:
    """The format of nnU-Net 2.0 to 2.3, which TotalSegmentator's models have."""
    kind = configuration.get("UNet_class_name")
    if kind not in (PLAIN, RESIDUAL) or dimensions != 3:
        raise InputError(f"The model's network is a '{kind}'; only {PLAIN} and {RESIDUAL} in 3-D can be run.")
    kernels = tuple(_triple(kernel) for kernel in configuration["conv_kernel_sizes"])
    base, most = int(configuration["UNet_base_num_features"]), int(configuration["unet_max_num_features"])
    return Architecture(
        kind,
        tuple(min(base * 2**n, most) for n in range(len(kernels))),
        kernels,
        tuple(_triple(stride) for stride in configuration["pool_op_kernel_sizes"]),
        _each(configuration["n_conv_per_stage_encoder"], len(kernels)),
        _each(configuration["n_conv_per_stage_decoder"], len(kernels) - 1),
    )


def _check_layer(settings: Mapping, name: str, known: Sequence[str]) -> str:
    layer = str(settings.get(name)).rpartition(".")[2]
    if layer not in known:
        raise InputError(f"The model's {name} is '{layer}'; only {' or '.join(known)} can be run.")
    return layer


def _triple(value: int | Sequence[int]) -> Triple:
    numbers = (value,) * 3 if isinstance(value, int) else tuple(int(n) for n in value)
    if len(numbers) != 3:
        raise InputError(f"The model's kernels have {len(numbers)} axes; only 3-D models can be run.")
    return numbers


def _each(value: int | Sequence[int], stages: int) -> tuple[int, ...]:
    return (value,) * stages if isinstance(value, int) else tuple(int(n) for n in value)
