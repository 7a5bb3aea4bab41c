"""The commands as programs of their own, as the campaign starts them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where the commands are found."""

ENVIRONMENT = {"MPLBACKEND": "agg", "COLUMNS": "120", "TQDM_DISABLE": "1"}
"""What they have of the environment besides their parent's."""
