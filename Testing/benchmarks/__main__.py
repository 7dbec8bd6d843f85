"""python -m benchmarks --output FOLDER: measure every pair, print the table, write bench.json as it goes."""

from __future__ import annotations

import importlib.util
import json
import platform
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks import growth
from benchmarks.measure import DidNotFitError, Measurement, measure
from benchmarks.pairs import PAIRS, Pair
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import check_writable

# Of the free memory; a system without any left stops answering.
_SHARE = 0.9


def compare(pair: Pair) -> dict[str, Any]:
    """One row of bench.json: ratios are ours over the rival's, below 1 is better; "skipped" says why there are none."""
    row = {
        "name": pair.name,
        "rival": pair.rival,
        "device": str(choose_device()) if pair.on_device else f"cpu ({platform.machine()})",
    }
    if pair.needs and importlib.util.find_spec(pair.needs) is None:
        return row | {"skipped": f"{pair.needs} is not installed"}
    most = int(_SHARE * psutil.virtual_memory().available)
    try:
        ours = measure(pair.prepare, pair.ours, pair.repeats, most)
    except (DidNotFitError, RuntimeError) as error:
        return row | {"skipped": f"ours: {error}"}
    row |= {"seconds": round(ours.seconds, 3), "peak_mb": round(ours.peak_bytes / 2**20)}
    if pair.stages is not None:
        row |= {"stages": measure(pair.prepare, pair.stages, 1).result}
    if pair.rival_bytes > most:
        needed, there = pair.rival_bytes / 2**30, most / 2**30
        return row | {"skipped": f"the rival needs at least {needed:.0f} GiB, of which {there:.0f} are there"}
    try:
        rival = measure(pair.prepare, pair.theirs, pair.repeats, most)
    except (DidNotFitError, RuntimeError) as error:
        return row | {"skipped": f"rival: {error}"}
    return row | ratios(ours, rival) | {"agreement": round(pair.agreement(ours.result, rival.result), 6)}


def ratios(ours: Measurement, rival: Measurement) -> dict[str, float]:
    found = {
        "time_ratio": round(ours.seconds / rival.seconds, 3),
        "memory_ratio": round(ours.peak_bytes / max(rival.peak_bytes, 1), 3),
        "rival_seconds": round(rival.seconds, 3),
        "rival_peak_mb": round(rival.peak_bytes / 2**20),
    }
    if rival.gpu_peak_bytes:
        found["gpu_memory_ratio"] = round(ours.gpu_peak_bytes / rival.gpu_peak_bytes, 3)
    return found


def line(row: dict[str, Any]) -> str:
    head = f"{row['name']:48s} {row['rival']:48s}"
    if "skipped" in row:
        return f"{head} {row['skipped']}" + (f"; ours took {row['seconds']:.1f} s" if "seconds" in row else "")
    return (
        f"{head} {row['time_ratio']:7.3f} {row['memory_ratio']:7.3f} {row['agreement']:10.6f} {row['seconds']:8.3f} "
        f"{row['rival_seconds']:8.3f}"
    )


def stage_lines(row: dict[str, Any]) -> list[str]:
    found = row.get("stages")
    if not found:
        return []
    whole = sum(found["seconds"].values())
    lines = [f"    {name:46s} {value:8.3f} s {value / whole:6.1%}" for name, value in found["seconds"].items()]
    limit = (
        f"    limit: {found['windows']} windows × {found['gflop_per_window']:.0f} GFLOP at "
        f"{found['device_gflop_per_second']:.0f} GFLOP/s of torch's own convolution = {found['limit_seconds']:.1f} s"
    )
    return [*lines, limit]


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--only", default="", help="Only pairs whose name or rival holds this text, or 'growth'")
def main(output: Path, only: str) -> None:
    """Measure ThoraxAI against its rivals."""
    try:
        check_writable(output)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    output.mkdir(parents=True, exist_ok=True)
    path = output / "bench.json"
    rows: list[dict[str, Any]] = []
    click.echo(
        f"{'what':48s} {'rival':48s} {'time':>7s} {'memory':>7s} {'agreement':>10s} {'seconds':>8s} {'rival s':>8s}"
    )
    for pair in PAIRS:
        if only.lower() not in f"{pair.name} {pair.rival}".lower():
            continue
        row = compare(pair)
        rows.append(row)
        click.echo("\n".join([line(row), *stage_lines(row)]))
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    click.echo(f"Time and memory are ratios, ThoraxAI over rival. Written: {path}")
    if only.lower() in "growth":
        for text in growth.table(output):
            click.echo(text)


if __name__ == "__main__":
    main()
