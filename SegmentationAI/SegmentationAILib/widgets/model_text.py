"""What the panel says of a model: a row of the list, its card, its licence."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape
from urllib.parse import urlsplit

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.search import Match
from SegmentationAILib.catalog.state import State
from SegmentationAILib.catalog.timing import Estimate
from SegmentationAILib.widgets.translation import tr

_MOST_NAMED = 5
_LONGEST_CITATION = 70
_LONGEST_NAMES = 18
_DOT = " \N{MIDDLE DOT} "


def row_text(match: Match, state: State, estimate: Estimate | None) -> str:
    """Two lines: the title; what it finds, what it may be used for, how long it takes, how large it is or where."""
    entry = match.entry
    time = f"~{duration(estimate.seconds)}" if estimate else ""
    facts = filter(None, (_finds(match), _licence_in_short(entry), time, _size_or_state(entry, state)))
    # The second line tells how many.
    title = re.sub(r", \d+ structures", "", entry.title)
    return f"{title}\n{_DOT.join(facts)}"


def card_html(entry: Entry, state: State, estimate: Estimate | None) -> str:
    """All that a user should know of a model before running it, as a table of two columns."""
    rows = [
        (tr("Finds"), escape(named([one.name for one in entry.labels.values()]))),
        (tr("Reads"), escape(_reads(entry))),
        (tr("Licence"), _licence(entry)),
        (tr("Size"), escape(_size_and_state(entry, state))),
        (tr("Time"), escape(_time(estimate))),
        (tr("Cite"), "<br>".join(_in_short(line) for line in entry.citation) or tr("not stated")),
    ]
    if entry.note:
        rows.append((tr("Note"), escape(entry.note)))
    cells = "".join(f"<tr><td style='padding-right:8px'><b>{name}</b></td><td>{text}</td></tr>" for name, text in rows)
    return f"<b>{escape(entry.title)}</b><table cellspacing='0' cellpadding='1'>{cells}</table>"


def terms_html(entry: Entry, folder: str) -> str:
    """What is agreed to before a model is downloaded, and where it goes."""
    cite = "".join(f"<li>{escape(line)}</li>" for line in entry.citation)
    parts = [
        f"<p><b>{escape(entry.title)}</b></p>",
        f"<p><b>{tr('Licence')}:</b> {_licence(entry)}</p>",
        f"<p>{escape(entry.licence.terms)}</p>",
        f"<p>{escape(entry.note)}</p>" if entry.note else "",
        f"<p><b>{tr('Please cite')}:</b></p><ul>{cite}</ul>" if cite else "",
        f"<p><b>{tr('Download')}:</b> {escape(_download(entry))}</p>",
        f"<p><b>{tr('Kept in')}:</b> {escape(folder)}</p>",
    ]
    return "".join(parts)


def named(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    """The first names and how many more there are."""
    if len(names) <= most:
        return ", ".join(names)
    return tr("{names} and {count} more").format(names=", ".join(names[:most]), count=len(names) - most)


def names_missing(entry: Entry, wanted: Collection[str] | None, found: Collection[str]) -> str:
    """The structures that were wanted and are not among the names that were found; "" where all are."""
    missing = [
        structure.name
        for value, structure in entry.labels.items()
        if structure.name not in found and (wanted is None or entry.label_ids[value] in wanted)
    ]
    return named(missing)


def duration(seconds: float) -> str:
    """As precise as an estimate is."""
    if seconds < 10:
        return tr("{count} s").format(count=max(1, round(seconds)))
    if seconds < 90:
        return tr("{count} s").format(count=5 * round(seconds / 5))
    return tr("{count} min").format(count=round(seconds / 60))


def size(count: int) -> str:
    """Bytes in decimal units, as browsers show downloads."""
    return f"{count / 1e9:.1f} GB" if count >= 999_500_000 else f"{max(1, round(count / 1e6))} MB"


def _finds(match: Match) -> str:
    """The structures that answer to the words, else all; counted where their names are long."""
    labels = match.entry.labels
    values = match.values or tuple(labels)
    names = named([labels[value].name for value in values])
    if len(names) <= _LONGEST_NAMES:
        return names
    if len(values) == 1:
        return labels[values[0]].name
    if len(values) == len(labels):
        return tr("{count} structures").format(count=len(labels))
    return tr("{some} of {count} structures").format(some=len(values), count=len(labels))


def _size_or_state(entry: Entry, state: State) -> str:
    if state is State.TO_FETCH:
        return size(entry.size) if entry.size else ""
    return {
        State.BUILT_IN: tr("built in"),
        State.INSTALLED: tr("installed"),
        State.DAMAGED: tr("damaged"),
        State.NEEDS_LICENCE: tr("own licence"),
    }[state]


def _licence_in_short(entry: Entry) -> str:
    if not entry.licence.url:
        return tr("licence not stated")
    return entry.licence.id if entry.licence.commercial else tr("non-commercial")


def _size_and_state(entry: Entry, state: State) -> str:
    known = size(entry.size) if entry.size else tr("of unknown size")
    return {
        State.BUILT_IN: tr("comes with ThoraxAI"),
        State.INSTALLED: tr("on this computer") + (_DOT + size(entry.size) if entry.size else ""),
        State.DAMAGED: tr("a file is missing or changed: download it again, {size}").format(size=known),
        State.TO_FETCH: tr("download, {size}").format(size=known),
        State.NEEDS_LICENCE: tr("only with a licence number of your own; import it then"),
    }[state]


def _licence(entry: Entry) -> str:
    name = escape(entry.licence.name)
    if not entry.licence.url:
        return f"{name}. {escape(entry.licence.terms)}"
    use = tr("commercial use allowed") if entry.licence.commercial else f"<b>{tr('no commercial use')}</b>"
    return f"<a href='{escape(entry.licence.url)}'>{name}</a>, {use}"


def _in_short(citation: str) -> str:
    """The beginning of a citation and a link to the work; *More* gives the whole."""
    address = re.search(r"https://\S+", citation)
    text = citation[: address.start()].strip() if address else citation
    if len(text) > _LONGEST_CITATION:
        text = f"{text[:_LONGEST_CITATION].rpartition(' ')[0]}\N{HORIZONTAL ELLIPSIS}"
    link = (
        f" <a href='{escape(address.group())}'>{tr('link') if text else escape(address.group())}</a>" if address else ""
    )
    # Where words are long, lines may end within them.
    return escape(text).replace("_", "_\N{ZERO WIDTH SPACE}") + link


def _reads(entry: Entry) -> str:
    spacing = entry.input.spacing_mm
    if spacing is None:
        return entry.input.modality
    return tr("{modality}, at {spacing} mm").format(
        modality=entry.input.modality,
        spacing=f"{spacing[0]:.3g}" if len(set(spacing)) == 1 else " x ".join(f"{mm:.3g}" for mm in spacing),
    )


def _time(estimate: Estimate | None) -> str:
    if estimate is None:
        return tr("not known before its first run here")
    runs = tr("{count} run here") if estimate.runs == 1 else tr("{count} runs here")
    return tr("about {time} on this volume, by {runs}").format(
        time=duration(estimate.seconds), runs=runs.format(count=estimate.runs)
    )


def _download(entry: Entry) -> str:
    hosts = sorted({urlsplit(file.url).hostname or "" for file in entry.files if file.url})
    known = size(entry.size) if entry.size else tr("of unknown size")
    return tr("{size} from {hosts}").format(size=known, hosts=", ".join(hosts)) if hosts else known
