"""``thoraxai models``: list, fetch, verify, remove and import models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from LungNoduleAILib.cli_output import one_line, progress_bar
from LungNoduleAILib.exit_codes import EXIT_FAILED

if TYPE_CHECKING:
    from SegmentationAILib.catalog import Entry


@click.group()
def models() -> None:
    """Get the models of others, and keep your own beside them.

    They are kept in the folder that the environment variable THORAXAI_MODELS names, else in your cache folder.
    """


@models.command("list")
@click.option("--installed", "only_installed", is_flag=True, help="Only those on this computer.")
@click.option("--commercial", is_flag=True, help="Only those that may be used commercially.")
def list_(only_installed: bool, commercial: bool) -> None:
    """List the models: id, whether it is here, download, licence (NC: no commercial use), what it does."""
    from SegmentationAILib import catalog
    from SegmentationAILib.catalog.state import state_of

    with one_line():
        shown = [
            one
            for one in catalog.load()
            if (state_of(one).runs or not only_installed) and (one.licence.commercial or not commercial)
        ]
        for one in shown:
            licence = f"{one.licence.id}{'' if one.licence.commercial else ' (NC)'}"
            click.echo(f"{one.id:44} {state_of(one).value:14} {_size(one):>9}  {licence:28} {one.title}")
        click.echo(f"Fetched models are kept in {catalog.models_folder()}", err=True)


@models.command()
@click.argument("model_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--accept-licence", is_flag=True, help="You have read the licence and agree; nothing is asked.")
@click.option("--trust-new", is_flag=True, help="Take a file that changed since it was first fetched here.")
def fetch(model_ids: tuple[str, ...], accept_licence: bool, trust_new: bool) -> None:
    """Show licence and citation of models, and download them; a download that broke off goes on."""
    from SegmentationAILib import catalog

    with one_line():
        for model_id in model_ids:
            entry = catalog.entry(model_id)
            if there := catalog.installed(entry):
                click.echo(f"'{model_id}' is there already: {there}")
                continue
            if entry.fetchable:
                click.echo(entry.terms)
                # Asked before the bar starts, which would draw over the question.
                agreed = accept_licence or click.confirm("Do you agree to the licence?", default=False)
            else:
                agreed = False
            with progress_bar() as progress:
                folder = catalog.fetch(entry, accept_licence=agreed, progress=progress, trust_new=trust_new)
            _tell_of_hashes(entry)
            click.echo(f"'{model_id}' is in {folder}")


@models.command()
@click.argument("model_ids", metavar="[ID...]", nargs=-1)
def verify(model_ids: tuple[str, ...]) -> None:
    """Hash the files of models again, by default of all that are on this computer; name those that changed."""
    from SegmentationAILib import catalog

    with one_line():
        held = catalog.load()
        chosen = [held.entry(one) for one in model_ids] or [
            one for one in held if one.built_in or catalog.record_of(one) is not None
        ]
        damaged = False
        for entry in chosen:
            damages = catalog.verify(entry)
            damaged = damaged or bool(damages)
            click.echo(f"{entry.id}: {'damaged' if damages else 'as it should be'}")
            for damage in damages:
                click.echo(f"  {damage}")
    if damaged:
        sys.exit(EXIT_FAILED)


@models.command()
@click.argument("model_ids", metavar="ID...", nargs=-1, required=True)
def remove(model_ids: tuple[str, ...]) -> None:
    """Delete models that were fetched or imported; files of others in their folders stay."""
    from SegmentationAILib import catalog

    with one_line():
        for model_id in model_ids:
            entry = catalog.entry(model_id)
            record = catalog.record_of(entry)
            strange = catalog.remove(entry)
            also = [one for one in record.ids if one != model_id] if record else []
            click.echo(f"'{model_id}' is removed{', and with it ' + ', '.join(also) if also else ''}")
            for path in strange:
                click.echo(f"  not of the model, and left: {path}")


@models.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--as", "model_id", metavar="ID", help="The listed model that it is  [default: one of your own]")
@click.option("--fold", "folds", multiple=True, help="Of your nnU-Net, only this one; may be given several times.")
@click.option("--best", is_flag=True, help="Of your nnU-Net, take checkpoint_best.pth instead of checkpoint_final.pth.")
def import_(path: Path, model_id: str | None, folds: tuple[str, ...], best: bool) -> None:
    """Install a model from PATH, a zip, weights file or folder on this computer.

    With --as, PATH is what the model's publisher gives, or the folder that it unpacks to. Without, it is your own: a
    folder or zip with one network of nnU-Net v2, or one MONAI bundle that segments or detects. The folds of an nnU-Net
    are averaged.
    """
    from SegmentationAILib import catalog

    with one_line():
        entry = catalog.entry(model_id) if model_id else None
        with progress_bar() as progress:
            training = catalog.Training(folds, "checkpoint_best.pth" if best else "") if folds or best else None
            folder = catalog.import_local(entry, path, training=training, progress=progress)
        if entry:
            click.echo(entry.terms)
            _tell_of_hashes(entry)
        click.echo(f"'{model_id or folder.name}' is in {folder}")


def _tell_of_hashes(entry: Entry) -> None:
    """Say whose word it is that the files are the right ones, where it is not their publisher's."""
    from SegmentationAILib import catalog

    record = catalog.record_of(entry)
    for origin in record.origins if record else ():
        if origin.by == "first use":
            click.echo(f"Nobody publishes a hash of '{origin.name}'; noted for the next time: sha256:{origin.sha256}")
        elif origin.by == "others":
            click.echo(f"The hash of '{origin.name}' is right, but others than its publisher name it.")
        elif not origin.by and not entry.contains:
            click.echo(f"Nobody publishes a hash of '{origin.name}', so it was not compared with one.")


def _size(entry: Entry) -> str:
    if entry.built_in or not entry.files:
        return ""
    return f"{entry.size / 1e6:,.0f} MB" if entry.size else "?"
