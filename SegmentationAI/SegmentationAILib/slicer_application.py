"""What only the Slicer application knows and does, without its scene: packages, layout, DICOM database."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from SegmentationAILib import dependencies, system_check
from SegmentationAILib.engine.worker import launching
from SegmentationAILib.errors import Cancelled, InputError


class SlicerInstaller:
    """Asks and installs by means of the Slicer application (``dependencies.Installer``)."""

    def confirm(self, question: str) -> bool:
        # In a test there is nobody to ask, and Slicer would answer "OK" by itself.
        if slicer.app.testingEnabled():
            return False
        return slicer.util.confirmOkCancelDisplay(question, _("ThoraxAI: install packages"))

    def install_packages(self, requirements: Sequence[str]) -> None:
        try:
            from slicer import packaging  # Slicer 5.12 and newer
        except ImportError:
            slicer.util.pip_install(list(requirements))
        else:
            packaging.pip_ensure(list(requirements), requester="ThoraxAI", prompt_install=False)

    def install_torch(self, version: str) -> None:
        try:
            import PyTorchUtils  # another extension's module
        except ImportError:
            raise InputError(
                "The extension 'PyTorch' is missing; install it in the Extensions Manager, restart Slicer and "
                "start the run again."
            ) from None
        install = PyTorchUtils.PyTorchUtilsLogic().installTorch
        # The names of the arguments have changed between versions of that extension.
        wanted = {"askConfirmation": False, "torchVersionRequirement": version}
        known = inspect.signature(install).parameters
        install(**{name: value for name, value in wanted.items() if name in known})


def find_python() -> str:
    """The program that runs Python for this Slicer.

    Raises:
        InputError: it is not there.
    """
    return launching.find_python(slicer.app.slicerHome)


def install_dependencies() -> None:
    """Install what is missing in Slicer's Python, after asking.

    Raises:
        InputError: it did not work.
        Cancelled: the user declined.
    """
    if not dependencies.install(dependencies.requirements(), SlicerInstaller()):
        raise Cancelled


def show_chart(chart) -> None:
    """Show a plot chart node in the layout."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def dicom_folder(volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The folder of a volume's DICOM images by the application's database; "" where that does not know it."""
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
    path = database.fileForInstance(instances[0]) if database and instances else ""
    return str(Path(path).parent) if path else ""


def dicom_database_missing() -> str:
    """Why the application's DICOM database cannot take anything; "" where it can."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        return _("Slicer's DICOM database is not open; open the DICOM module once, which opens it.")
    return ""


def add_to_dicom_database(folder: str) -> None:
    """Copy the DICOM files of a folder, and of those in it, into the application's DICOM database.

    :raises InputError: no database is open, or it does not take the files.
    """
    reason = dicom_database_missing()
    if reason:
        raise InputError(reason)
    from DICOMLib import DICOMUtils  # comes with Slicer's DICOM module

    if not DICOMUtils.importDicom(folder, slicer.dicomDatabase, copyFiles=True):
        raise InputError(_("Slicer's DICOM database did not take the files; see its log, or export to a folder."))


def system_report() -> system_check.SystemReport:
    """What works on this computer and what does not."""
    return system_check.report(f"3D Slicer {slicer.app.applicationVersion}")
