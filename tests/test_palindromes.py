"""What the study of palindromes says of its numbers."""

import pytest

from experiments import palindromes
from experiments.palindromes import Settings, answers, chosen
from jaxrnn.sweeps import Swept


def said(elman, lstm):
    """The answers where these test accuracies come out, by length; a run solves its length at once or never."""
    found = {"elman": elman, "lstm": lstm}
    settings = Settings(seeds=2, lengths=tuple(elman), cells=tuple(found))
    points = palindromes.points(settings)
    rows = [
        {"run": 2 * number + seed, "point": number, "status": "finished", "test_accuracy": value}
        | {"validation_accuracy": value, "last_test_accuracy": value / 2}
        for number, point in enumerate(points)
        for seed, value in enumerate(found[point["cell"]][point["length"]])
    ]
    swept = Swept(points, 2, [], {}, rows, [row | {"epoch": 1} for row in rows], "validation_accuracy", True)
    best = chosen(swept)
    solved = {
        name: {length: palindromes.solved_at(swept, number, 100) for length, number in lengths.items()}
        for name, lengths in best.items()
    }
    return answers(settings, swept, best, solved)


@pytest.fixture(scope="module")
def mixed():
    return said({5: [1, 1], 20: [0.25, 1], 30: [0.5, 0.125]}, {5: [1, 1], 20: [0.125, 0.125], 30: [1, 0.125]})


def test_accuracies_are_those_of_the_test_palindromes(mixed):
    assert "At T = 5 its best checkpoint by validation is right on 100.0 % of the test palindromes" in mixed["U3"]
    assert "Elman 100.0 % at T = 5, 62.5 (25.0 to 100.0) % at T = 20" in mixed["U4"]
    assert "LSTM 100.0 % at T = 5, 12.5 % at T = 20, 56.2 (12.5 to 100.0) % at T = 30." in mixed["U8"]


def test_it_is_said_what_is_tested_on_and_how_long_is_trained(mixed):
    assert "of which there are 100 different ones at T = 5." in mixed["U1"]
    for answer in (mixed["U4"], mixed["U8"]):
        assert f'for at most {Settings().steps:,} steps, which stand for "until convergence"' in answer
    assert "by RMSProp at 0.001 at every length" in mixed["U8"]


def test_who_solves_what_is_counted(mixed):
    assert "Elman 2 of 2 at T = 5, 1 of 2 at T = 20, 0 of 2 at T = 30." in mixed["U4"]
    assert "depends on the seed, that is on where a run starts, at T = 20." in mixed["U4"]
    assert "solved (99.9% right) by more LSTMs than plain networks at T = 30, fewer LSTMs at T = 20" in mixed["U8"]
    assert "fewer LSTMs at T = 20, as many of both at T = 5." in mixed["U8"]
    assert "near a half, where it begins, 2^-28 of what the first of 30 digits" in mixed["U8"]


def test_nothing_is_explained_away_where_all_is_solved():
    found = said({5: [1, 1]}, {5: [1, 1]})
    assert "depends on the seed" not in found["U4"] and "near a half" not in found["U8"]
