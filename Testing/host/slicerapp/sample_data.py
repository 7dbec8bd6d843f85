"""The module ``SampleData``: what is registered is kept and can be loaded from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer


@dataclass(frozen=True)
class Source:
    category: str
    sampleName: str
    uris: str
    fileNames: str
    nodeNames: str
    thumbnailFileName: str | None = None

    def load(self) -> slicer.vtkMRMLScalarVolumeNode:
        """Load it into the scene; only files on this computer."""
        parts = urlparse(self.uris)
        if parts.scheme != "file":
            raise NotImplementedError(f"the stand-in downloads nothing: {self.uris}")
        path = Path(url2pathname(parts.path))
        return slicer.modules.volumes.logic().AddArchetypeVolume(str(path), self.nodeNames)


class SampleDataLogic:
    sources: list[Source] = []  # noqa: RUF012 - one list for the application
    categories: dict[str, str] = {}  # noqa: RUF012

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str | None = None) -> None:
        SampleDataLogic.categories[category] = title or category

    @staticmethod
    def registerCustomSampleDataSource(
        category: str, sampleName: str, thumbnailFileName=None, uris=None, fileNames=None, nodeNames=None
    ) -> None:
        source = Source(category, sampleName, uris, fileNames, nodeNames, thumbnailFileName)
        if source not in SampleDataLogic.sources:
            SampleDataLogic.sources.append(source)


def make_module() -> ModuleType:
    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    return module
