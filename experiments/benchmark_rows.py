"""Every row of the benchmark by its name: to add one, make its entry in the file of its kind. Not a command itself."""

from collections.abc import Mapping
from typing import Any, Protocol

from experiments import (
    benchmark_commands,
    benchmark_growth,
    benchmark_reviews,
    benchmark_schemes,
    benchmark_steps,
    benchmark_sweeps,
    benchmark_text,
)
from experiments.contest import Contest, Group
from experiments.measuring import Outcome, Way


class Row(Protocol):
    """What can be measured."""

    @property
    def group(self) -> Group:
        """The table that it is in."""

    @property
    def sizes(self) -> str:
        """What it is about, in words; empty where there is nothing to say."""

    @property
    def drawn(self) -> str:
        """What data it makes, in words; empty where it makes none."""

    @property
    def config(self) -> Mapping[str, Any] | None:
        """Its sizes, for ``config.json``."""

    @property
    def needs_data(self) -> bool:
        """Whether there must be a data set in the `Way`."""

    def measure(self, name: str, way: Way, /) -> Outcome:
        """All of its numbers."""


def contests(quick: bool) -> dict[str, Contest]:
    """The rows in which libraries take turns, of small sizes if ``quick``."""
    kinds = (benchmark_steps, benchmark_sweeps, benchmark_text, benchmark_reviews)
    return {name: row for kind in kinds for name, row in kind.rows(quick).items()}


def rows(quick: bool) -> dict[str, Row]:
    """All rows, in the order in which they are measured where nothing else is asked for."""
    return {
        **contests(quick),
        **benchmark_growth.rows(quick),
        **benchmark_schemes.rows(quick),
        **benchmark_commands.STARTUP,
        **benchmark_commands.COMMANDS,
    }
