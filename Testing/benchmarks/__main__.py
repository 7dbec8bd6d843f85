"""python -m benchmarks --output FOLDER: measure every pair, print the table, write bench.json."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import click

from benchmarks.measure import measure
from benchmarks.pairs import PAIRS, Pair
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import check_writable


def compare(pair: Pair) -> dict[str, str | float]:
    """One row of bench.json: ratios are ours over the rival's, below 1 is better."""
    ours = measure(pair.prepare, pair.ours)
    rival = measure(pair.prepare, pair.theirs)
    return {
        "name": pair.name,
        "rival": pair.rival,
        "time_ratio": round(ours.seconds / rival.seconds, 3),
        "memory_ratio": round(ours.peak_bytes / max(rival.peak_bytes, 1), 3),
        "agreement": round(pair.agreement(ours.result, rival.result), 6),
        "seconds": round(ours.seconds, 3),
        "device": str(choose_device()) if pair.on_device else f"cpu ({platform.machine()})",
    }


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Measure ThoraxAI against its rivals."""
    try:
        check_writable(output)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    rows = []
    click.echo(f"{'what':34s} {'rival':44s} {'time':>7s} {'memory':>7s} {'agreement':>10s} {'seconds':>8s}")
    for pair in PAIRS:
        row = compare(pair)
        rows.append(row)
        click.echo(
            f"{row['name']:34s} {row['rival']:44s} {row['time_ratio']:7.3f} {row['memory_ratio']:7.3f} "
            f"{row['agreement']:10.6f} {row['seconds']:8.3f}"
        )
    output.mkdir(parents=True, exist_ok=True)
    path = output / "bench.json"
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    click.echo(f"Time and memory are ratios, ThoraxAI over rival. Written: {path}")


if __name__ == "__main__":
    main()
