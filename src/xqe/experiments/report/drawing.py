"""Pictures as SVG to stand inside a page, and as files. Only this module imports matplotlib.

Magnitudes are in cividis and changes in a red-blue map, both of which the colour-blind can read; every number is
written as well, and series differ by hatching and markers, so that a print in grey says the same.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from itertools import accumulate
from typing import Any

import numpy

from xqe.errors import MissingExtraError
from xqe.experiments.report.blocks import LEGIBLE, Bars, Curve, HeatMap, Panel, Trend, Versus, anchor, signed
from xqe.experiments.report.markdown import means_note

try:
    # it tells of its caches, of fonts and where they lie, which is nothing to a reader of reports
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plot
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise MissingExtraError("a report in html needs matplotlib for its pictures", "report") from None

_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "xqe",
    "pdf.fonttype": 42,  # fonts that publishers take
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo")
_MARKERS = "osD^vPX*<>"
_LINES = 8  # of a trend, that stand out
_INK, _QUIET = "#1a1a1a", "#b8b8b8"
_WON, _LOST = "#2166ac", "#b2182b"  # of the red-blue map

Picture = HeatMap | Bars | Trend | Curve | Versus
FILES = {"svg": "Date", "pdf": "CreationDate"}
"""The forms that a picture has as a file, and what is left out of each, so that the same grid gives the same."""


def svg(block: Picture) -> str:
    """Return a picture as an <svg> element without a reference to anything outside it."""
    text = _saved(block, "svg").decode()
    return _inline(text, anchor(block.key), block.title, _TELLERS[type(block)](block))


def files(block: Picture) -> Iterator[tuple[str, bytes]]:
    """Yield (suffix, content) of a picture in each of its forms as a file."""
    for form in FILES:
        yield form, _saved(block, form)


@cache
def _saved(block: Picture, form: str) -> bytes:
    with plot.rc_context(_SETTINGS):
        content = io.BytesIO()
        figure = _drawn(block)
        figure.savefig(content, format=form, bbox_inches="tight", pad_inches=0.05, metadata={FILES[form]: None})
    return content.getvalue()


@lru_cache(maxsize=1)
def _drawn(block: Picture) -> Figure:
    """The figure of a picture, for all of its forms; its text is set as `_SETTINGS` say."""
    figure = _DRAWERS[type(block)](block)
    plot.close(figure)  # forgets it, as far as matplotlib is concerned
    return figure


@dataclass(frozen=True, slots=True)
class _Sizes:
    """cell: width and height of a cell of a map, in inches. numbers, codes, names: sizes of what is written in cells,
    of languages and of groups, in points. places: decimals. line: width of what parts groups, in points."""

    cell: tuple[float, float]
    numbers: float
    codes: float
    names: float
    places: int
    line: float


_PLAIN = _Sizes((0.62, 0.42), 8.5, 9, 9, 1, 1.2)
_CHANGES = _Sizes((0.72, 0.42), 8.5, 9, 9, 1, 1.2)
_NARROW = 10  # columns of a large map, up to which there is no room for a scale of its colours
_LARGE = _Sizes((0.23, 0.2), 5.8, 7, 8, 0, 0.8)


def _sizes_of(block: HeatMap) -> _Sizes:
    return _LARGE if block.is_large else _CHANGES if block.diverging else _PLAIN


def _heat_map(block: HeatMap) -> Figure:
    numbers = numpy.array([[numpy.nan if one is None else one for one in row] for row in block.values])
    height, width = numbers.shape
    sizes = _sizes_of(block)
    figure, axes = plot.subplots(figsize=(1.0 + sizes.cell[0] * width, 0.9 + sizes.cell[1] * height))
    colours = matplotlib.colormaps["RdBu" if block.diverging else "cividis"]
    greatest = float(numpy.nanmax(numpy.abs(numbers))) or 1.0
    low, high = (
        (-greatest, greatest) if block.diverging else (float(numpy.nanmin(numbers)), float(numpy.nanmax(numbers)))
    )
    image = axes.imshow(
        numpy.ma.masked_invalid(numbers), cmap=colours, vmin=low, vmax=max(high, low + 1e-9), aspect="auto"
    )
    for row in range(height):
        for column in range(width):
            _write_cell(axes, block, numbers, colours, (low, high), row, column)
    axes.set_xticks(range(width), block.columns, fontsize=sizes.codes)
    axes.set_yticks(range(height), block.rows, fontsize=sizes.codes)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    room = [_write_groups(axes, block.row_groups, sizes, True), _write_groups(axes, block.column_groups, sizes, False)]
    axes.set_ylabel("language of queries", labelpad=4 + room[0])
    axes.set_xlabel("language of documents", labelpad=4 + room[1])
    if block.is_large and width > _NARROW:
        figure.colorbar(image, ax=axes, fraction=0.012, pad=0.01)
    return figure


def _write_groups(axes: Any, groups: Sequence[tuple[str, int]], sizes: _Sizes, is_of_rows: bool) -> float:
    """Write the names of groups beside the codes, and draw what parts them. Returns the room of names, in points."""
    if len(groups) < 2:
        return 0.0
    length = max(len(name) for name, _ in groups) * 0.6 * sizes.names
    cell = 72 * sizes.cell[1 if is_of_rows else 0]
    turned = not is_of_rows and any(len(name) * 0.6 * sizes.names > many * cell for name, many in groups)
    offset = 4 + sizes.codes * (2.2 if is_of_rows else 1.4)  # beyond the codes, of two letters or three
    ends = list(accumulate(many for _, many in groups))
    for (name, many), end in zip(groups, ends, strict=True):
        middle = end - many / 2 - 0.5
        if is_of_rows:
            axes.annotate(name, (0, middle), (-offset, 0), ("axes fraction", "data"), "offset points", ha="right",
                          va="center", fontsize=sizes.names)  # fmt: skip
        else:
            axes.annotate(name, (middle, 1), (0, offset), ("data", "axes fraction"), "offset points", ha="center",
                          va="bottom", fontsize=sizes.names, rotation=90 if turned else 0)  # fmt: skip
    line = axes.axhline if is_of_rows else axes.axvline
    for end in ends[:-1]:
        line(end - 0.5, color="white", linewidth=3 * sizes.line)
        line(end - 0.5, color=_INK, linewidth=sizes.line)
    return offset - sizes.codes + (length if is_of_rows or turned else 1.4 * sizes.names)


def _write_cell(
    axes: Any, block: HeatMap, numbers: Any, colours: Any, span: tuple[float, float], row: int, column: int
) -> None:
    sizes = _sizes_of(block)
    number = float(numbers[row, column])
    if number != number and block.is_large:
        return
    if number != number:
        axes.text(column, row, "–", ha="center", va="center", color=_INK, fontsize=sizes.numbers)
        return
    low, high = span
    red, green, blue, _ = colours((number - low) / (high - low) if high > low else 0.5)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
    stars = block.stars[row][column] if block.stars else ""
    text = signed(number, sizes.places) if block.diverging else f"{number:.{sizes.places}f}"
    axes.text(
        column, row, text if block.is_large else text + stars, ha="center", va="center",
        color="white" if dark else _INK, fontsize=sizes.numbers,
        fontweight="bold" if stars and block.is_large else "normal", in_layout=False,
    )  # fmt: skip


def _bars(block: Bars) -> Figure:
    """The panels one below the other; with many groups side by side, and of the first series alone."""
    groups = max(len(panel.groups) for panel in block.panels)
    is_large = groups > LEGIBLE
    series = block.series[:1] if is_large else block.series
    rows = groups * (1 if is_large else len(series) + 1)
    high = 0.5 + 0.155 * rows
    many = len(block.panels)
    figure, axes = plot.subplots(
        *((1, many) if is_large else (many, 1)),
        figsize=(4.6 * many, high) if is_large else (6.2, many * high),
        squeeze=False,
        sharex=True,
    )
    values = [
        abs(one) for panel in block.panels for row in panel.values for one in row[: len(series)] if one is not None
    ]
    greatest = max(values, default=0.0)
    for panel, place in zip(block.panels, axes.flat, strict=True):
        _bar_panel(place, panel, series, greatest or 1.0, 1 if is_large else len(series) + 1)
    if not greatest:  # an axis that is drawn around zeros alone has no room for what is written beside them
        axes[0][0].set_xlim(-1, 1)
    for place in axes[-1]:
        place.set_xlabel(block.unit)
    axes[0][0].legend(
        ncols=len(series),
        loc="lower left",
        bbox_to_anchor=(0, 1.0 + 0.3 / high if is_large else 1.06),
        frameon=False,
        handlelength=1.6,
        fontsize=8,
    )
    figure.tight_layout(h_pad=1.0)
    return figure


def _bar_panel(axes: Any, panel: Panel, series: Sequence[str], reach: float, step: int) -> None:
    """Draw a panel. reach: the length of the longest bar of all panels, which share their axis. step: from a group to
    the next, in bars."""
    colours = matplotlib.colormaps["cividis"](numpy.linspace(0.15, 0.9, len(series)))
    for number, name in enumerate(series):
        there = [
            (group * step + number, value)
            for group, row in enumerate(panel.values)
            if (value := row[number]) is not None
        ]
        places, values = [place for place, _ in there], [value for _, value in there]
        axes.barh(
            places, values, height=0.9, color=colours[number], edgecolor=_INK, linewidth=0.5, label=name,
            hatch=_HATCHES[number % len(_HATCHES)],
        )  # fmt: skip
        for place, value in there:
            side = 1 if value >= 0 else -1
            axes.text(
                value + side * 0.012 * reach, place, signed(value, 1), va="center",
                ha="left" if side > 0 else "right", fontsize=7,
            )  # fmt: skip
    axes.axvline(0, color=_INK, linewidth=0.8)
    ticks = [group * step + (len(series) - 1) / 2 for group in range(len(panel.groups))]
    axes.set_yticks(ticks, panel.groups, fontsize=9 if step > 1 else 7.5)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.05 if step > 1 else 0.01)
    axes.set_title(panel.title, loc="left", fontsize=9)


def _trend(block: Trend) -> Figure:
    figure, axes = plot.subplots(figsize=(8.2, 3.9))
    places = range(len(block.times))
    chosen = block.lines[:_LINES]
    for _, numbers in block.lines[_LINES:]:
        axes.plot(places, _gaps(numbers), color=_QUIET, linewidth=0.7, zorder=1)
    colours = matplotlib.colormaps["cividis"](numpy.linspace(0.0, 0.85, max(len(chosen), 1)))
    for number, (name, numbers) in enumerate(chosen):
        axes.plot(
            places, _gaps(numbers), color=colours[number], linewidth=1.6, marker=_MARKERS[number % len(_MARKERS)],
            markersize=4.5, label=name, zorder=2,
        )  # fmt: skip
    for number, (place, _) in enumerate(block.changes, 1):
        axes.axvline(place - 0.5, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(str(number), (place - 0.5, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                      fontsize=8)  # fmt: skip
    for place in block.failed:
        axes.annotate("✕", (place, 0.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", color="#a40000")
    shown = _ticks(len(block.times))
    axes.set_xticks(shown, [block.times[place] for place in shown], rotation=30, ha="right")
    axes.set_ylabel(block.unit)
    axes.margins(x=0.02)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.32), ncols=2, frameon=False, fontsize=8)
    return figure


def _curve(block: Curve) -> Figure:
    figure, axes = plot.subplots(figsize=(6.2, 3.4))
    *others, mean = block.lines
    colours = matplotlib.colormaps["cividis"](numpy.linspace(0.1, 0.9, max(len(others), 1)))
    for number, (name, numbers) in enumerate(others):
        axes.plot(
            block.places, _gaps(numbers), color=colours[number], linewidth=1.0, marker=_MARKERS[number % len(_MARKERS)],
            markersize=4, label=name,
        )  # fmt: skip
    axes.plot(block.places, _gaps(mean[1]), color=_INK, linewidth=2.2, marker="o", markersize=4.5, label=mean[0])
    if block.level is not None:
        name, height = block.level
        axes.axhline(height, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)), label=name)
    axes.set_xticks(block.places, [f"{place:g}" for place in block.places])
    axes.set_xlabel(block.axis)
    axes.set_ylabel(block.unit)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return figure


def _versus(block: Versus) -> Figure:
    figure, (left, right) = plot.subplots(1, 2, figsize=(8.2, 3.6), width_ratios=(1.5, 1))
    gains = block.gains
    for colour, part in ((_WON, [max(gain, 0) for gain in gains]), (_LOST, [min(gain, 0) for gain in gains])):
        left.stairs(part, fill=True, color=colour, linewidth=0)
    left.axhline(0, color=_INK, linewidth=0.8)
    left.set_xlim(0, len(gains))
    left.set_xlabel("values, greatest gain first")
    left.set_ylabel(f"gain in {block.measure}, points")
    sizes = 700 / len(gains)
    points = Counter(zip(block.values[block.before], block.values[block.after], strict=True))
    right.plot((0, 100), (0, 100), color=_QUIET, linewidth=0.8, zorder=1)
    right.scatter(
        [100 * x for x, _ in points], [100 * y for _, y in points], s=[12 + sizes * count for count in points.values()],
        c=[_WON if y > x else _LOST if y < x else _QUIET for x, y in points], alpha=0.75, edgecolors=_INK,
        linewidths=0.4, zorder=2,
    )  # fmt: skip
    right.set_box_aspect(1)
    for place, name in ((right.set_xlabel, block.before), (right.set_ylabel, block.after)):
        place(block.systems[name], fontsize=8, wrap=True)
    figure.tight_layout(w_pad=2.0)
    return figure


def _gaps(numbers: Sequence[float | None]) -> list[float]:
    return [float("nan") if number is None else number for number in numbers]


def _ticks(number: int) -> list[int]:
    step = max(1, -(-number // 10))
    return list(range(0, number, step))


# Pictures in words, for who cannot see them.


def _told_map(block: HeatMap) -> str:
    cells = [
        (number, f"{row} to {column}")
        for row, numbers in zip(block.rows, block.values, strict=True)
        for column, number in zip(block.columns, numbers, strict=True)
        if number is not None
    ]
    low, high = min(cells), max(cells)
    ends = f"Lowest {low[1]} with {low[0]:.2f}, highest {high[1]} with {high[0]:.2f}."
    return " ".join([ends, *(means_note(block) or ["The table below has the means of groups."])])


def _told_bars(block: Bars) -> str:
    def of_group(row: Sequence[float | None]) -> str:
        there = ((name, value) for name, value in zip(block.series, row, strict=True) if value is not None)
        return ", ".join(f"{name} {signed(value, 1)}" for name, value in there)

    said = []
    for panel in block.panels:
        groups = (f"{group} {of_group(row)}" for group, row in zip(panel.groups, panel.values, strict=True))
        said.append(f"{panel.title}: {'; '.join(groups)}.")
    return " ".join(said)


def _told_trend(block: Trend) -> str:
    return f"{len(block.lines)} systems over {len(block.times)} nights; the table below has the numbers."


def _told_curve(block: Curve) -> str:
    name, numbers = block.lines[-1]
    there = ((place, number) for place, number in zip(block.places, numbers, strict=True) if number is not None)
    said = "; ".join(f"{number:.2f} at {place:g}" for place, number in there)
    level = f" {block.level[0]}: {block.level[1]:.2f}." if block.level is not None else ""
    return f"{name} by {block.axis}: {said}.{level} The table beside it has all numbers."


def _told_versus(block: Versus) -> str:
    gains = block.gains
    won, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return (
        f"{block.systems[block.after]} against {block.systems[block.before]}: {won} won, "
        f"{len(gains) - won - lost} tied, {lost} lost; from {signed(gains[0])} to {signed(gains[-1])} points."
    )


def _inline(text: str, key: str, title: str, told: str) -> str:
    """The <svg> element of a file: ids are made the page's own, and name spaces, which HTML knows, are left out."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\g<1>#{key}-", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size is not None  # matplotlib writes one
    head = (
        f'<svg viewBox="0 0 {size[1]} {size[2]}" width="{float(size[1]) * 4 / 3:.0f}" role="img" '
        f'aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(told)}</desc>'
    )
    return re.sub(r"\n\s*", "\n", re.sub(r"<svg[^>]*>", lambda _: head, text, count=1))


_DRAWERS: dict[type, Callable[[Any], Figure]] = {
    HeatMap: _heat_map,
    Bars: _bars,
    Trend: _trend,
    Curve: _curve,
    Versus: _versus,
}
_TELLERS: dict[type, Callable[[Any], str]] = {
    HeatMap: _told_map,
    Bars: _told_bars,
    Trend: _told_trend,
    Curve: _told_curve,
    Versus: _told_versus,
}
