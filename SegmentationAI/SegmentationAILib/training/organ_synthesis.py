"""A CT from a label map: each structure gets a random but possible attenuation.

After SynthSeg (Billot et al., Med Image Anal 2023), with the ranges that CT has, so that lung is
never bright and bone never dark, and with what label maps leave out: fat, muscle, skin, vessels of
the lung, gas in the bowel, contrast agent, disease.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SegmentationAILib.training.ct_scanner import AIR_HU
from SegmentationAILib.training.organ_classes import (
    BACKGROUND,
    LUNG_LEFT,
    LUNG_RIGHT,
    STRUCTURES,
    UNKNOWN,
    class_of,
    class_table,
)
from SegmentationAILib.training.random_fields import Randomness

VOXEL_MM = 2.0
# HU of structures by the start of their names; what is not here is muscle or blood.
_PARENCHYMA_HU = {
    "spleen": (35, 60),
    "kidney_cyst": (-5, 20),
    "kidney": (20, 45),
    "gallbladder": (-5, 25),
    "liver": (30, 70),
    "stomach": (20, 60),
    "pancreas": (10, 55),
    "adrenal_gland": (0, 45),
    "esophagus": (15, 60),
    "thyroid_gland": (50, 130),
    "small_bowel": (15, 60),
    "duodenum": (15, 60),
    "colon": (15, 60),
    "urinary_bladder": (-5, 20),
    "prostate": (25, 55),
    "spinal_cord": (10, 55),
    "brain": (20, 45),
    "costal_cartilages": (60, 150),
}
# HU that contrast agent adds, in the arterial and in the portal venous phase.
_UPTAKE_HU = {
    "spleen": ((20, 90), (50, 85)),
    "kidney": ((60, 140), (100, 190)),
    "liver": ((0, 25), (35, 75)),
    "stomach": ((0, 40), (20, 60)),
    "pancreas": ((30, 70), (40, 70)),
    "adrenal_gland": ((10, 50), (20, 60)),
    "thyroid_gland": ((30, 90), (40, 80)),
    "small_bowel": ((0, 50), (20, 60)),
    "duodenum": ((0, 50), (20, 60)),
    "colon": ((0, 20), (10, 50)),
    "prostate": ((0, 20), (10, 40)),
}
_VEINS = ("superior_vena_cava", "brachiocephalic_vein", "inferior_vena_cava", "iliac_vena", "portal_vein")
_ARTERIES = ("aorta", "brachiocephalic_trunk", "subclavian", "common_carotid", "iliac_artery")
_HOLLOW = ("stomach", "small_bowel", "duodenum", "colon")
_LUNGS = (LUNG_RIGHT, LUNG_LEFT)


@dataclass(frozen=True)
class Blood:
    """HU of blood for one patient and moment.

    Attributes:
        phase: 0 native, 1 arterial, 2 portal venous.
    """

    phase: int
    right: float
    left: float
    veins: float

    @classmethod
    def drawn(cls, random: Randomness) -> Blood:
        phase = int(random.draw.choice(3, p=(0.4, 0.3, 0.3)))
        native = random.uniform(28, 58)
        if phase == 0:
            return cls(0, native, native, native)
        if phase == 2:
            pool = random.uniform(100, 190)
            return cls(2, pool, pool * random.uniform(0.95, 1.1), pool * random.uniform(0.9, 1.1))
        # The bolus fills the right heart first, the aorta later; veins of the abdomen stay as they are.
        left = random.uniform(150, 450)
        right = left * random.uniform(0.4, 1.3)
        return cls(1, right, left, random.uniform(native, 0.6 * left))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patch of a ``LabelCase``: [k, j, i] tensors at 2 mm.

    Attributes:
        structures: uint8.
        depth, inner, root: float32, mm, as in ``LabelCase``.
        scanned: bool; False where the label map ends.
    """

    structures: torch.Tensor
    depth: torch.Tensor
    inner: torch.Tensor
    root: torch.Tensor
    scanned: torch.Tensor


def synthesise(anatomy: Anatomy, random: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
    """HU of the tissue, before the scanner, and the classes that it shows.

    Returns:
        hu: float32 [k, j, i].
        classes: uint8 [k, j, i] of ``organ_classes``.
    """
    shape = tuple(anatomy.structures.shape)
    blood = Blood.drawn(random)
    coarse, fine = random.field(shape, 11.0), random.field(shape, 4.5)
    table = torch.from_numpy(_structure_hu(blood, random)).to(anatomy.depth.device)
    index = anatomy.structures.long()
    hu = table[index]
    hu = hu + random.uniform(0, 10) * fine
    classes = torch.from_numpy(class_table()).to(index.device)[index]

    skin = random.uniform(6, 40) * (1.0 + 0.25 * random.field(shape, 40.0)).clamp_min(0.3)
    free = anatomy.structures == 0
    outside = free & (anatomy.depth > skin)
    hu = torch.where(free, _unlabelled(anatomy, skin, blood, coarse, fine, random), hu)
    hu = _with_bones(hu, classes, anatomy, fine, random)
    hu = _with_blood_pools(hu, anatomy, blood, coarse, fine, random)
    hu = _with_hollow_organs(hu, anatomy, coarse, fine, random)
    hu = _with_vessels_in_organs(hu, anatomy, blood, random)
    lung = (classes == LUNG_RIGHT) | (classes == LUNG_LEFT)
    if lung.any():
        hu, classes = _with_lungs(hu, classes, lung, anatomy, blood, coarse, fine, random)
    classes = torch.where(outside, BACKGROUND, classes)
    hu = torch.where(outside, _around(anatomy.depth - skin, outside, random), hu)
    classes = torch.where(anatomy.scanned | outside, classes, UNKNOWN)
    hu = torch.where(anatomy.scanned, hu, AIR_HU)
    return hu, classes.to(torch.uint8)


def _structure_hu(blood: Blood, random: Randomness) -> np.ndarray:
    """[256] float32."""
    table = np.zeros(256, dtype=np.float32)
    muscle = random.uniform(35, 70)
    marrow = random.uniform(60, 280)
    for value, name in enumerate(STRUCTURES[1:], start=1):
        tissue = next((start for start in _PARENCHYMA_HU if name.startswith(start)), None)
        if tissue is not None:
            table[value] = random.uniform(*_PARENCHYMA_HU[tissue])
            if blood.phase and tissue in _UPTAKE_HU:
                table[value] += random.uniform(*_UPTAKE_HU[tissue][blood.phase - 1])
        elif name.startswith(_VEINS):
            upper = name.startswith(("superior", "brachio"))
            # Undiluted agent comes by the arm.
            flowing = upper and blood.phase == 1 and random.chance(0.6)
            table[value] = random.uniform(blood.right, 2.5 * blood.right) if flowing else blood.veins
        elif name.startswith(_ARTERIES):
            table[value] = blood.left * random.uniform(0.95, 1.05)
        elif name.startswith(("heart", "atrial", "pulmonary")):
            table[value] = blood.left
        elif name == "trachea":
            table[value] = AIR_HU
        elif class_of(name) == class_of("sternum"):
            table[value] = marrow * random.uniform(0.8, 1.2)
        else:
            table[value] = muscle + random.uniform(-8, 8)
    for left, right in _sides():
        table[right] = table[left] + random.uniform(-5, 5)
    return table


def _sides() -> list[tuple[int, int]]:
    """Values of structures that both sides of the body have and that look alike."""
    return [
        (value, STRUCTURES.index(name.replace("left", "right")))
        for value, name in enumerate(STRUCTURES)
        if "left" in name and name.replace("left", "right") in STRUCTURES and "vein" not in name
    ]


def _unlabelled(
    anatomy: Anatomy,
    skin: torch.Tensor,
    blood: Blood,
    coarse: torch.Tensor,
    fine: torch.Tensor,
    random: Randomness,
) -> torch.Tensor:
    """Fat with what lies in it, from the inside to the skin."""
    fat_hu, muscle_hu = random.uniform(-120, -75), random.uniform(25, 70)
    fat = fat_hu + 12.0 * fine
    muscle = muscle_hu + 8.0 * fine
    # Between organs: fat, strands and nodes of soft tissue, vessels.
    mixed = coarse + 0.6 * fine
    hu = torch.where(mixed > random.uniform(-0.6, 1.4), random.uniform(5, 60) + 6.0 * fine, fat)
    hu = torch.where(fine - 0.4 * coarse > random.uniform(1.2, 2.2), random.uniform(0.8, 1.1) * blood.veins, hu)
    # The wall of heart and airway.
    hu = torch.where((anatomy.root > 0.0) & (anatomy.root < random.uniform(1.5, 4.0)), muscle, hu)
    within, beyond = -random.uniform(5, 11), random.uniform(1, 14) * (1.0 + 0.5 * coarse).clamp_min(0.1)
    wall = (anatomy.depth > within) & (anatomy.depth < beyond)
    # Muscles with planes of fat between them.
    planes = (fine + 0.5 * coarse).abs() < random.uniform(0.05, 0.35)
    hu = torch.where(wall, torch.where(planes, fat, muscle), hu)
    under_skin = anatomy.depth >= beyond
    hu = torch.where(under_skin, torch.where(fine.abs() < 0.06, fat + 40.0, fat), hu)
    return torch.where(anatomy.depth > skin - random.uniform(1.5, 3.5), random.uniform(-20, 60), hu)


def _with_bones(
    hu: torch.Tensor, classes: torch.Tensor, anatomy: Anatomy, fine: torch.Tensor, random: Randomness
) -> torch.Tensor:
    """A bright cortex around marrow."""
    bone = classes == class_of("sternum")
    marrow = hu + random.uniform(10, 50) * fine
    cortex = random.uniform(300, 900) * (1.0 + 0.15 * fine)
    hu = torch.where(bone, torch.where(anatomy.inner < random.uniform(1.5, 3.5), cortex, marrow), hu)
    cartilage = anatomy.structures == STRUCTURES.index("costal_cartilages")
    calcified = cartilage & (fine > random.uniform(0.8, 3.0))
    return torch.where(calcified, random.uniform(200, 500), hu)


def _with_blood_pools(
    hu: torch.Tensor,
    anatomy: Anatomy,
    blood: Blood,
    coarse: torch.Tensor,
    fine: torch.Tensor,
    random: Randomness,
) -> torch.Tensor:
    """Chambers in the heart's muscle; plaques in the aorta's wall."""
    heart = anatomy.structures == STRUCTURES.index("heart")
    muscle = random.uniform(35, 60) + (random.uniform(20, 60) if blood.phase else 0.0)
    sides = random.field(anatomy.structures.shape, 18.0)
    pools = torch.where(sides > 0.0, blood.left, blood.right)
    chamber = (anatomy.inner > random.uniform(1.0, 8.0)) & (coarse > random.uniform(-2.0, 0.0)) & (sides.abs() > 0.15)
    hu = torch.where(heart, torch.where(chamber, pools, muscle) + 4.0 * fine, hu)
    aorta = anatomy.structures == STRUCTURES.index("aorta")
    plaque = aorta & (anatomy.inner < 2.5) & (fine > random.uniform(1.3, 4.0))
    return torch.where(plaque, random.uniform(250, 900), hu)


def _with_hollow_organs(
    hu: torch.Tensor, anatomy: Anatomy, coarse: torch.Tensor, fine: torch.Tensor, random: Randomness
) -> torch.Tensor:
    """Gas above fluid, food or stool, within a wall."""
    lumen_from = random.uniform(1.5, 5.0)
    height = torch.linspace(-1.0, 1.0, hu.shape[1], device=hu.device)[None, :, None]
    for name in _HOLLOW:
        lumen = (anatomy.structures == STRUCTURES.index(name)) & (anatomy.inner > lumen_from)
        content = random.uniform(-60, 60) if random.chance(0.8) else random.uniform(100, 400)
        texture = random.uniform(3, 60 if name in {"colon", "stomach"} else 15)
        filled = content + texture * fine
        # The lower gas weighs, the flatter its lower surface; between folds it also lies deeper.
        gas = 2.0 * height + random.uniform(0.1, 1.5) * coarse < random.uniform(-3.0, 1.5)
        hu = torch.where(lumen, torch.where(gas, AIR_HU + 30.0 * fine.abs(), filled), hu)
    gullet = (anatomy.structures == STRUCTURES.index("esophagus")) & (anatomy.inner > 2.5)
    return torch.where(gullet & (coarse > random.uniform(0.3, 3.0)), random.uniform(-1000, -500), hu)


def _with_vessels_in_organs(hu: torch.Tensor, anatomy: Anatomy, blood: Blood, random: Randomness) -> torch.Tensor:
    """Veins and lesions of the liver, cortex and fatty sinus of the kidneys, mottled spleen."""
    shape = tuple(hu.shape)
    liver = anatomy.structures == STRUCTURES.index("liver")
    if liver.any():
        hu = torch.where(liver & random.tubes(shape, 14.0, random.uniform(0.5, 2.0)), blood.veins, hu)
        if random.chance(0.25):
            lesions = random.field(shape, 7.0) > random.uniform(2.2, 3.0)
            hu = torch.where(liver & lesions, random.uniform(-5, 80), hu)
    kidney = (anatomy.structures == STRUCTURES.index("kidney_left")) | (
        anatomy.structures == STRUCTURES.index("kidney_right")
    )
    if kidney.any():
        cortex = anatomy.inner < random.uniform(4, 8)
        brighter = random.uniform(20, 100) if blood.phase == 1 else 0.0
        hu = torch.where(kidney & cortex, hu + brighter, hu)
        hu = torch.where(kidney & (anatomy.inner > random.uniform(10, 16)), random.uniform(-60, 30), hu)
    spleen = anatomy.structures == STRUCTURES.index("spleen")
    if blood.phase == 1 and spleen.any():
        hu = torch.where(spleen, hu + random.uniform(5, 40) * torch.sin(3.0 * random.field(shape, 6.0)), hu)
    return hu


def _with_lungs(
    hu: torch.Tensor,
    classes: torch.Tensor,
    lung: torch.Tensor,
    anatomy: Anatomy,
    blood: Blood,
    coarse: torch.Tensor,
    fine: torch.Tensor,
    random: Randomness,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Parenchyma denser at the back, vessels and bronchi that thin out from the hilum, disease."""
    shape = tuple(hu.shape)
    back = torch.linspace(-0.5, 0.5, shape[1], device=hu.device)[None, :, None]
    air = random.uniform(-920, -720) + random.uniform(0, 120) * back + random.uniform(5, 35) * coarse + 15.0 * fine
    if random.chance(0.15):
        # Emphysema.
        air = torch.where(coarse + fine > random.uniform(0.3, 1.5), random.uniform(-1000, -940), air)
    if random.chance(0.2):
        # Ground glass or fibrosis.
        air = air + random.uniform(50, 350) * torch.sigmoid(4.0 * (coarse + 0.5 * fine - random.uniform(0.0, 1.5)))
    central = torch.exp(-anatomy.root / 40.0)
    thin = random.tubes(shape, 4.0, random.uniform(0.35, 0.5) + random.uniform(0.1, 0.3) * central)
    air = torch.where(thin, random.uniform(-500, -100), air)
    bronchi = random.uniform(1.2, 2.2) * central
    first, second = random.field(shape, 12.0), random.field(shape, 12.0)
    across = (first.square() + second.square()).sqrt() * (12.0 / 1.4)
    air = torch.where(across < bronchi + 0.7, random.uniform(-300, 30), air)
    air = torch.where(across < bronchi - 0.3, -970.0, air)
    vessel_hu = 0.5 * (blood.left + blood.right) + 5.0 * fine
    for cell, least, most in ((7.0, 0.45, 1.0), (12.0, 0.5, 3.0)):
        vessels = random.tubes(shape, cell, random.uniform(0.8, 1.2) * (least + most * central))
        air = torch.where(vessels, vessel_hu, air)
    if random.chance(0.12):
        solid = coarse + 0.3 * fine > random.uniform(0.8, 2.0)
        air = torch.where(solid, random.uniform(-150, 70) + 20.0 * fine, air)
    if random.chance(0.12):
        # An effusion belongs to no lung by some readers, to the lung by others.
        fluid = back + 0.05 * coarse > random.uniform(0.05, 0.45)
        air = torch.where(fluid, random.uniform(-5, 35), air)
        classes = torch.where(lung & fluid, UNKNOWN, classes)
    if random.chance(0.35):
        tumour, radius = _tumour(lung, coarse, fine, random)
        air = torch.where(tumour, random.uniform(-20, 90) if random.chance(0.8) else random.uniform(-650, -250), air)
        if radius > 10.0:
            classes = torch.where(lung & tumour, UNKNOWN, classes)
    return torch.where(lung, air, hu), classes


def _tumour(
    lung: torch.Tensor, coarse: torch.Tensor, fine: torch.Tensor, random: Randomness
) -> tuple[torch.Tensor, float]:
    """A lump around a voxel of the lung, and its radius in voxels."""
    inside = torch.nonzero(lung)
    centre = inside[int(random.draw.integers(len(inside)))]
    radius = random.uniform(2.0, 16.0)
    k, j, i = ((torch.arange(n, device=lung.device) - c).square() for n, c in zip(lung.shape, centre, strict=True))
    distance = (k[:, None, None] + j[:, None] + i).sqrt()
    return distance < radius * (1.0 + 0.2 * coarse + 0.1 * fine), radius


def _around(beyond_skin: torch.Tensor, outside: torch.Tensor, random: Randomness) -> torch.Tensor:
    """Air, with clothes or a blanket and the table at times."""
    hu = torch.full_like(beyond_skin, AIR_HU)
    if random.chance(0.3):
        gap = random.uniform(0, 20)
        cloth = (beyond_skin > gap) & (beyond_skin < gap + random.uniform(1, 5))
        hu = torch.where(cloth, random.uniform(-950, -300), hu)
    body = torch.nonzero((~outside).any(dim=2).any(dim=0))
    if len(body) and random.chance(0.6):
        top = float(body[-1]) + random.uniform(-2.0, 8.0)
        down = torch.arange(hu.shape[1], device=hu.device)[:, None] - top
        across = torch.linspace(-1.0, 1.0, hu.shape[2], device=hu.device)[None] - random.uniform(-0.5, 0.5)
        down = down + random.uniform(0.0, 8.0) * across.square()
        shell, core = random.uniform(-300, 300), random.uniform(-1000, -850)
        thick, high = random.uniform(0.7, 2.0), random.uniform(6.0, 25.0)
        plate = ((down >= 0) & (down < thick)) | ((down >= high) & (down < high + thick))
        hu = torch.where((down >= 0) & (down < high), core, hu)
        hu = torch.where(plate, shell, hu)
    return hu
