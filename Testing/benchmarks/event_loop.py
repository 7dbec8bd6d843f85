"""How long the event loop stands still while both panels work on the demo CT, in the stand-in application.

``python Testing/benchmarks/event_loop.py [--where]``: a line for each action, with the longest gap between two ticks
of a timer of 10 ms; ``--where`` adds what the main thread did in gaps over 50 ms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from host import boot

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where", action="store_true", help="tell where the gaps over 50 ms were")
    parser.add_argument("--task", default="organs", help="id of the model that segments")
    options = parser.parse_args()
    host = boot.start()
    host.make_views()
    import slicer  # noqa: PLC0415 - as the host has made it

    from host.heartbeat import Heartbeat  # noqa: PLC0415 - needs Qt
    from SegmentationAILib.files import load  # noqa: PLC0415
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415

    def measured(what: str, action: Callable[[], None], controls=None) -> None:
        begun = time.perf_counter()
        with Heartbeat() as heartbeat:
            action()
            until = time.perf_counter() + 0.5
            while (controls is not None and controls.running) or time.perf_counter() < until:
                host.process_events()
                time.sleep(0.001)
        seconds = time.perf_counter() - begun
        print(f"{what:32} {heartbeat.longest_ms:7.0f} ms longest gap, {heartbeat.ticks:6} ticks in {seconds:.1f} s")
        if options.where:
            for gap, where in heartbeat.blocks:
                print(f"  --- {gap:.0f} ms\n{where}")

    slicer.mrmlScene.SetUndoOn()
    ct = add_volume(load(ROOT / "Resources" / "Demo" / "LIDC-IDRI-0003.nrrd"))
    panels = {}
    for name in ("SegmentationAI", "LungNoduleAI"):
        host.load_module(ROOT / name / f"{name}.py")

        def opened(name: str = name) -> None:
            panels[name] = getattr(slicer.modules, name.lower()).widgetRepresentation()
            panels[name].show()
            panels[name].isEntered = True
            panels[name].self().enter()

        measured(f"open {name}", opened)
    nodules, organs = panels["LungNoduleAI"].self(), panels["SegmentationAI"].self()
    for widget in (nodules, organs):
        widget.ui.inputSelector.setCurrentNode(ct)
    measured("detect nodules", nodules.ui.runButton.click, nodules.runControls)
    print(" ", nodules.ui.messageLabel.text)
    organs.logic.getParameterNode().task = options.task
    measured(f"segment {options.task}", organs.ui.runButton.click, organs.runControls)
    print(" ", organs.ui.messageLabel.text)
    for widget in (nodules, organs):
        widget.exit()
        widget.cleanup()


if __name__ == "__main__":
    main()
