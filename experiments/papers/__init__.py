"""The five course papers: every question in them by its id, and where its answer stands.

A module for each paper holds its ``PAPER``; what the answer is, a run of the command that gives it says in its
``result.json``.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Question(NamedTuple):
    """One thing that a paper asks for, or shows."""

    id: str
    """The paper's letter and a number, in the paper's order: ``T8``."""
    place: str
    """Where it stands in the paper: ``Question 2.3``."""
    question: str
    """What is asked, in a sentence or two of our own words."""
    commands: tuple[str, ...]
    """The commands whose ``answers`` have it: the one that answers it best first."""
    figures: tuple[str, ...] = ()
    """The figures that belong to it, by their names in the first command's run folder."""
    metrics: Mapping[str, str] = {}
    """The numbers that belong to it: their names in the first command's ``metrics``, and what the table calls them."""


class Paper(NamedTuple):
    """One of the course papers."""

    key: str
    """Where it is from, in a word."""
    title: str
    course: str
    """Course, university and year."""
    cite: str
    """How to cite it, as it stands in a list of references."""
    questions: tuple[Question, ...]
