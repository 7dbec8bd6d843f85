"""What radiologists would probably have called a nodule, in the LIDC's words: the result, apart from what computes it.

A rating is a radiologist's impression of a picture, not a finding in tissue: in LIDC nobody checked
"malignancy" against pathology. Research use; the clinician decides.
"""

from __future__ import annotations

from dataclasses import dataclass

# LIDC's scale.
GRADES = 5
RATINGS = ("malignancy", "texture", "spiculation", "lobulation", "margin", "sphericity")

# LIDC's words for grades 1…5 (McNitt-Gray et al., Acad Radiol 2007); it has none for some between.
WORDS = {
    "malignancy": (
        "highly unlikely to be malignant",
        "moderately unlikely to be malignant",
        "of indeterminate malignancy",
        "moderately suspicious",
        "highly suspicious",
    ),
    # Grades without a word of their own belong to the kind between.
    "texture": ("ground glass", "part-solid", "part-solid", "part-solid", "solid"),
    "spiculation": ("not spiculated", "hardly spiculated", "somewhat spiculated", "spiculated", "markedly spiculated"),
    "lobulation": ("not lobulated", "hardly lobulated", "somewhat lobulated", "lobulated", "markedly lobulated"),
    "margin": ("poorly defined", "rather poorly defined", "of medium definition", "nearly sharp", "sharply defined"),
    "sphericity": ("linear", "between linear and ovoid", "ovoid", "between ovoid and round", "round"),
}


@dataclass(frozen=True)
class Grade:
    """One rating on LIDC's scale of 1…5.

    Attributes:
        rating: its name, one of ``RATINGS``.
        probabilities: of the grades 1…5, sum 1.
    """

    rating: str
    probabilities: tuple[float, ...]

    @property
    def value(self) -> float:
        """Expected grade, 1…5."""
        return sum(n * p for n, p in enumerate(self.probabilities, start=1))

    @property
    def deviation(self) -> float:
        """Standard deviation of the grade: how far a radiologist's grade may be from the value."""
        return sum((n - self.value) ** 2 * p for n, p in enumerate(self.probabilities, start=1)) ** 0.5

    @property
    def word(self) -> str:
        """The most probable of LIDC's words; one for several grades has their probabilities together."""
        total = dict.fromkeys(WORDS[self.rating], 0.0)
        for word, probability in zip(WORDS[self.rating], self.probabilities, strict=True):
            total[word] += probability
        return max(total, key=total.__getitem__)

    @property
    def text(self) -> str:
        """For the user: what it resembles, how sure that is."""
        return (
            f"resembles what radiologists called {self.word} "
            f"({self.rating} {self.value:.1f} ± {self.deviation:.1f} of 5)"
        )


@dataclass(frozen=True)
class Ratings:
    """What the readers of the LIDC would probably have said of a nodule.

    Attributes:
        grades: one for each of ``RATINGS``, in their order.
        calcification: 0…1, probability that they saw calcium.
    """

    grades: tuple[Grade, ...]
    calcification: float

    def __getitem__(self, rating: str) -> Grade:
        return self.grades[RATINGS.index(rating)]

    @property
    def malignancy(self) -> Grade:
        """A radiologist's suspicion, not a probability of cancer."""
        return self["malignancy"]

    @property
    def kind(self) -> str:
        """Attenuation type by texture: solid, part-solid or ground glass."""
        return self["texture"].word

    @property
    def is_calcified(self) -> bool:
        """Whether the readers would more probably have seen calcium than not."""
        return self.calcification >= 0.5

    @property
    def text(self) -> tuple[str, ...]:
        """A sentence for each rating."""
        seen = "calcified" if self.is_calcified else "not calcified"
        calcium = f"resembles what radiologists called {seen} (probability of calcium {self.calcification:.0%})"
        return tuple(sentence[0].upper() + sentence[1:] + "." for sentence in [*(g.text for g in self.grades), calcium])
