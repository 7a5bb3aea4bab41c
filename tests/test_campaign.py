"""The campaign's table counts what is lost, and its kinds that take whole programs, a few of each.

The other kinds have files of their own.
"""

import json

import pytest

from campaign import Try, __main__, kills, limits, processes, same, soak

SHARE = {kills: 8, limits: 5, processes: 2}
"""How many of each kind the suite does."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARE, ids=lambda kind: kind.__name__.rpartition(".")[2])
def test_nothing_is_lost(kind, tmp_path):
    done = [*kind.tries(SHARE[kind], tmp_path)]
    assert len(done) == SHARE[kind] and [one for one in done if one.lost] == []


@pytest.mark.slow
def test_ten_minutes_of_training_and_sweeping_need_no_more_memory_handles_and_threads(tmp_path):
    """How fast they are is no matter of a test that runs beside others; the campaign looks at that."""
    done = [one for one in soak.tries(10, tmp_path) if not one.what.startswith("processor seconds")]
    assert len(done) == 3 and [one for one in done if one.lost] == []


def rows(**courses):
    steady = {"resident memory": 1e9, "processor seconds of a round": 5.0, "open files": 8.0, "threads": 30.0}
    return [steady | {name: course(number) for name, course in courses.items()} for number in range(101)]


@pytest.mark.parametrize(
    ("name", "course"),
    [
        ("resident memory", lambda number: 1e9 + 1e6 * number),
        ("processor seconds of a round", lambda number: 5 + number / 50),
        ("open files", lambda number: 8 + number // 90),
        ("threads", lambda number: 30 + number // 10),
    ],
)
def test_a_soak_finds_what_grows(name, course):
    lost = {one.what.partition(" in ")[0] for one in soak.judged(rows(**{name: course}), 120) if one.lost}
    assert lost == {name}
    assert not [one for one in soak.judged(rows(), 120) if one.lost]


def test_what_a_run_leaves_is_compared_but_for_the_number_of_its_checkpoint_and_its_locks(tmp_path):
    for run, number, digest in (("a", 3, "x"), ("b", 7, "x"), ("c", 3, "y")):
        checkpoint = tmp_path / run / "checkpoint" / str(number)
        checkpoint.mkdir(parents=True)
        (checkpoint / "meta.json").write_text(json.dumps({"digest": digest}))
        (tmp_path / run / f".lock.{number}").touch()
        (tmp_path / run / "result.json").write_text(json.dumps({"seconds": number, "metrics": 1}))
    a, b, c = (same.left_behind(tmp_path / run) for run in "abc")
    assert a == b != c


def test_the_table_counts_what_survived_and_what_was_lost(tmp_path, monkeypatch, capsys):
    tried = [Try("one", "", "this"), Try("two", "gone", "that"), Try("three", "", "this")]
    monkeypatch.setattr(kills, "tries", lambda count, folder, seed: iter(tried[:count]))
    settings = __main__.Settings(only=("kills",), count=3, out=tmp_path)
    assert __main__.main(settings) == 1
    kept = json.loads((tmp_path / "campaign.json").read_text())
    counts = {name: (row["tried"], row["survived"], row["lost"]) for name, row in kept.items()}
    assert counts == {"kills: this": (2, 2, 0), "kills: that": (1, 0, 1)}
    said = capsys.readouterr().out
    assert "kills, lost: two: gone" in said and "kills: that" in said
    assert len([*tmp_path.glob("kills.*")]) == 1  # what was lost, to be looked at


def test_every_kind_has_its_tries():
    for kind, count in __main__.KINDS.items():
        assert count > 0 and callable(__main__.module(kind).tries)
