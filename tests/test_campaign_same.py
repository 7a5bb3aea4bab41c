"""The same numbers: a share of what the campaign tries, and the combinations that it tries."""

import itertools

import pytest

from campaign import same


@pytest.mark.slow
def test_commands_leave_the_same_files_in_other_surroundings(tmp_path):
    tried = list(same.tries(4, tmp_path))
    assert len(tried) == 4 and [one for one in tried if one.lost] == []


def test_every_two_choices_come_together():
    kinds = {"a": ("1", "2"), "b": ("1", "2", "3"), "c": ("1", "2", "3", "4"), "d": ("1",)}
    pairs = {
        frozenset([(one, first), (other, second)])
        for one, other in itertools.combinations(kinds, 2)
        for first in kinds[one]
        for second in kinds[other]
    }
    rows = list(itertools.islice(same.combinations(kinds, 0), 14))
    assert pairs <= {frozenset(pair) for row in rows for pair in itertools.combinations(row.items(), 2)}
    assert rows == list(itertools.islice(same.combinations(kinds, 0), 14))
    assert rows != list(itertools.islice(same.combinations(kinds, 1), 14))


def test_what_is_not_the_same_is_named(tmp_path):
    for name, loss in {"one": "0.5", "other": "0.25"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text(f"epoch,loss,seconds\n1,{loss},{len(name)}\n")
        (tmp_path / name / "samples.md").write_text("the same")
        (tmp_path / name / "result.json").write_text(f'{{"metrics": 1, "seconds": {len(name)}}}')
    one, other = (same.left_behind(tmp_path / name) for name in ("one", "other"))
    assert same.difference(one, other) == "not the same: history.csv"
    assert same.difference(one, one) == ""
    assert same.difference(one, {}) == "not the same: history.csv, result.json, samples.md"
