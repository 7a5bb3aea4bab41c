"""The suite's share of the fuzzing: some of the broken files of every format, none of which is lost."""

import pytest

from campaign import fuzz
from campaign.formats import FORMATS
from libraries import needs


@pytest.mark.parametrize("name", FORMATS)
def test_broken_files_are_read_or_refused(name, tmp_path):
    if name == "torch":
        needs("torch")
    assert not [tried for tried in fuzz.tries(200, tmp_path, formats=[name]) if tried.lost]
