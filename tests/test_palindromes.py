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
    assert "right on 100.0 % of the test palindromes at T = 5" in mixed["U3"]
    assert "Elman 100.0 % at T = 5, 62.5 (25.0 to 100.0) % at T = 20" in mixed["U4"]
    assert "Elman 50.0 % at T = 5, 31.2 (12.5 to 50.0) % at T = 20" in mixed["U4"]


def test_who_solves_what_is_counted(mixed):
    assert (
        "Elman 2 of 2 at T = 5 (median step 100), 1 of 2 at T = 20 (median step 100), 0 of 2 at T = 30." in mixed["U4"]
    )
    assert mixed["U4"].endswith("depends on the seed, that is on where a run starts, at T = 20.")
    assert (
        "Compared: more LSTMs than Elman networks do at T = 30; fewer LSTMs do at T = 20; as many of both do at T = 5."
        in mixed["U8"]
    )
    assert "near a half, where it begins, 2^-28 of what the first of 30 digits" in mixed["U8"]


def test_nothing_is_explained_away_where_all_is_solved():
    found = said({5: [1, 1]}, {5: [1, 1]})
    assert "depends on the seed" not in found["U4"] and "near a half" not in found["U8"]
