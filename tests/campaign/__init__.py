"""The reliability campaign: what can befall a run is done to it, many times, and what is lost is counted.

``python -m tests.campaign`` runs it. Each module is a kind of harm and has ``tries(count, folder, seed)``, which does
that many of them, in that folder, and yields what came of each; the suite's ``test_campaign_*.py`` do fewer of them.
"""

from typing import NamedTuple


class Try(NamedTuple):
    """One thing that was done, and what came of it."""

    what: str
    """In words that are enough to do it again."""
    lost: str = ""
    """What was lost or went wrong; empty where all survived."""
    sort: str = ""
    """Which of the table's rows it counts in, where its kind has several."""
