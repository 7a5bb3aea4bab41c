"""The suite's share of the fuzzing: some of the broken files of every format, none of which is lost."""

import subprocess
import warnings
from fractions import Fraction

import numpy as np
import pytest

from campaign import fuzz
from campaign.formats import FORMATS
from jaxrnn.errors import UserError
from libraries import needs

FEWER = {"checkpoint": 50, "checkpoint's meta": 30, "results": 50, "tables": 50, "image": 100, "torch": 100}
"""Of the formats that take longest."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_broken_files_are_read_or_refused(name, tmp_path):
    if name == "torch":
        needs("torch")
    assert not [tried for tried in fuzz.tries(FEWER.get(name, 200), tmp_path, formats=[name]) if tried.lost]


def test_what_a_reader_must_not_do_is_seen(tmp_path):
    """The watch itself: nothing is lost that it does not look at."""

    def lost(read):
        return fuzz._lost(fuzz.Format(dict, fuzz.FORMATS["idx"].mutation, read), tmp_path / "in")

    (tmp_path / "in").mkdir()
    np.save(tmp_path / "array.npy", np.array([Fraction(1, 2)]), allow_pickle=True)
    assert "KeyError: 'x'" in lost(lambda folder: {}["x"])
    assert "open of" in lost(lambda folder: (tmp_path / "out").write_text("x"))
    assert "os.rename of" in lost(lambda folder: (tmp_path / "out").rename(folder / "out"))
    assert "UserWarning: odd" in lost(lambda folder: warnings.warn("odd", stacklevel=1))
    assert "GiB" in lost(lambda folder: bytearray(b"x") * (1200 << 20))
    assert "pickle.find_class" in lost(lambda folder: np.load(tmp_path / "array.npy", allow_pickle=True))
    assert "subprocess.Popen" in lost(lambda folder: subprocess.run(["true"], check=True))
    assert "not in one line" in lost(refuse_without_a_word)
    assert lost(lambda folder: (folder / "out").write_text("x")) == ""


def refuse_without_a_word(folder):
    raise UserError(" ")
