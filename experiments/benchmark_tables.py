"""What the benchmark prints. Not a command itself: see `benchmark`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.benchmark_rows import Row
from experiments.contest import Group
from experiments.floor import Speeds
from experiments.measuring import Measured, Outcome
from jaxrnn.plots import LIBRARIES
from jaxrnn.plots.timings import UNITS


def said(outcome: Outcome) -> Iterator[str]:
    """What a row came to, as soon as it is measured."""
    for result in outcome.measured:
        others = ", ".join(f"{LIBRARIES[peer].name} {cell(result.times[peer])}" for peer in result.peers)
        yield f"{result.row}: {cell(result.times['ours'])} {UNITS[result.unit]}" + (f" ({others})" if others else "")
    for name, power in outcome.metrics.items():
        yield f"{name}: {power:.2f}"


def conclude(
    console: Console, asked: Mapping[str, Row], found: Mapping[str, Outcome], speeds: Speeds, rounds: int
) -> None:
    """Print the tables: of times, one a group, of how they grow, and of what libraries took by themselves."""
    for group in dict.fromkeys(row.group for row in asked.values()):
        inside = {name: row for name, row in asked.items() if row.group == group}
        if results := [result for name in inside for result in found[name].measured]:
            console.print(times(group, inside, results, speeds, rounds))
        if any(found[name].metrics for name in inside):
            console.print(numbers(group, inside, found))
    measured = [result for outcome in found.values() for result in outcome.measured]
    if own := [result for result in measured if result.alone]:
        console.print(alone(own))
    if any(result.work for result in measured):
        console.print(
            f"The floor is the time of a step's operations, matrix products, at {speeds.operations / 1e9:.0f} GFLOP/s, "
            f"or of the bytes that it must move, at {speeds.bytes / 1e9:.0f} GB/s, whichever is longer: the best of "
            "this run.",
            highlight=False,
        )


def times(group: Group, rows: Mapping[str, Row], results: Sequence[Measured], speeds: Speeds, rounds: int) -> Table:
    """How long each library took in the rows of a group, the fastest peer beside ours, and ours beside the floor."""
    floors = {result.row: least for result in results if (least := result.floor(speeds)) is not None}
    libraries = [name for name in LIBRARIES if any(name in result.times for result in results)]
    title = f"{group.title}: median (interquartile range) of {rounds} rounds" if group.unit != "s" else group.title
    title += sizes(rows)
    table = Table(title=title, title_justify="left")
    table.add_column("row", no_wrap=True)
    unit = group.unit if group.a_second is None else "per s"
    columns = [*(f"{LIBRARIES[library].name}\n{unit}" for library in libraries), "fastest peer\n/ ours"]
    for column in [*columns, *(["floor\nms", "ours\n/ floor"] if floors else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        cells = []
        for library in libraries:
            took = result.times.get(library)
            cells.append(cell(took if took is None or group.a_second is None else group.a_second / np.array(took)))
        cells.append(cell(None if result.fastest is None else result.ratio(result.fastest)))
        if least := floors.get(result.row):
            bytes_ = " (bytes)" if least.bound == "bytes" else ""
            cells += [cell([least.ms]) + bytes_, cell([np.median(result.times["ours"]) / least.ms])]
        table.add_row(result.row, *cells)
    return table


def sizes(rows: Mapping[str, Row]) -> str:
    """What rows are about, a line for those that are about the same."""
    alike: dict[str, list[str]] = {}
    for name, row in rows.items():
        if row.sizes:
            alike.setdefault(row.sizes, []).append(name)
    return "".join(f"\n{', '.join(names)}: {words}" for words, names in alike.items())


def numbers(group: Group, rows: Mapping[str, Row], found: Mapping[str, Outcome]) -> Table:
    """What else was found, each number by its name."""
    table = Table(title=group.title + sizes(rows), title_justify="left", show_header=False, min_width=80)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        for name, number in found[row].metrics.items():
            table.add_row(name, f"{number:.2f}")
    return table


def alone(results: Sequence[Measured]) -> Table:
    """What each library took by itself."""
    libraries = [name for name in LIBRARIES if any(name in result.alone for result in results)]
    table = Table(title="In a process of its own: memory at most, and seconds of compilation", title_justify="left")
    table.add_column("row", no_wrap=True)
    for what in ("MiB", "s"):
        for library in libraries:
            table.add_column(f"{LIBRARIES[library].name}\n{what}", justify="right", no_wrap=True)
    for result in results:
        found = [result.alone.get(library) for library in libraries]
        peaks = ["" if one is None else f"{one.peak_mib:.0f}" for one in found]
        table.add_row(result.row, *peaks, *("" if one is None else f"{one.compile_s:.2f}" for one in found))
    return table


def cell(values: Any) -> str:
    """The median to three digits and, of several, the interquartile range to as many decimals; nothing for None."""
    if values is None:
        return ""
    low, middle, high = np.percentile(values, (25, 50, 75))
    decimals = max(0, 2 - math.floor(math.log10(middle)))
    return f"{middle:.{decimals}f}" + (f" ({high - low:.{decimals}f})" if len(values) > 1 else "")
