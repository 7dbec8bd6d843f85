"""Make the compressed DICOM files beside this script, for syntaxes that no test dependency can encode.

    apt-get install dcmtk    # dcmcjpls and dcmcjpeg; made with 3.6.7
    python Testing/data/make_compressed_dicom.py

The tests compare what is decoded with `dicom_writer.pattern()`. UIDs are made up; there is no patient.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "SegmentationAI"), str(HERE.parent / "Python")]

from dicom_writer import Encoding, Identity, image, pattern  # noqa: E402

from SegmentationAILib.volume import Grid  # noqa: E402

ENCODERS = {
    "jpeg_ls_lossless": ["dcmcjpls"],
    "jpeg_lossless_process_14": ["dcmcjpeg", "+el"],
}
VALUES = {
    "signed_16": Encoding(signed=True, intercept=(0.0,)),
    "unsigned_12": Encoding(bits_stored=12),
}


def main() -> None:
    plane = pattern()
    for values, encoding in VALUES.items():
        with tempfile.TemporaryDirectory() as folder:
            native = Path(folder, "native.dcm")
            pydicom.dcmwrite(native, image(plane, Grid((1, *plane.shape), np.eye(4)), 0, encoding, Identity()))
            for name, command in ENCODERS.items():
                subprocess.run([*command, native, HERE / f"{name}_{values}.dcm"], check=True)


if __name__ == "__main__":
    main()
