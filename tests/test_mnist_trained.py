"""What a trained run says of an image of one's own, and how it does on other test images: the evaluation's numbers."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import mnist_gru, mnist_recurrent, mnist_rnn, mnist_trained
from experiments.mnist_recurrent import main
from jaxrnn.command import command
from jaxrnn.data import mnist
from runs import contents
from test_experiments import write_idx


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder, and the folder of a small GRU trained on it: three runs, the best weights of each."""
    root = tmp_path_factory.mktemp("trained")
    (root / "data").mkdir()
    data = write_idx(root / "data", train=200, test=40)
    options = ["--hidden", "8", "--epochs", "3", "--batch", "32", "--seeds", "3", "--learning-rate", "0.01"]
    watched = ["--validation", "40", "--patience", "2"]
    argv = ["--data-dir", str(data), "--out", str(root / "run"), *options, *watched]
    assert command("mnist_gru", mnist_gru.Settings, main, argv) == 0
    return data, root / "run"


def ask(out, *options, settings=mnist_gru.Settings, name="mnist_gru"):
    return command(name, settings, main, ["--out", str(out), *map(str, options)])


def test_the_evaluation_is_the_result_s(trained, capsys):
    data, out = trained
    assert ask(out, "--evaluate", data) == 0
    written = json.loads((out / "evaluation_data.json").read_text())
    assert written["dataset"] == {"name": "idx", "source": "idx files", "test": 40}
    result = json.loads((out / "result.json").read_text())
    kept = result["metrics"]["test_accuracy"]["runs"]
    assert written["metrics"]["accuracy_as_they_are"]["runs"] == pytest.approx(kept)
    images, labels = mnist.load_idx_folder(data)[4:6]
    models = mnist_recurrent.restore("mnist_gru", mnist_gru.Settings, out).models
    moved = mnist_trained.logits(models, np.pad(images, ((0, 0), (2, 0), (0, 0)))[:, :28])
    assert written["metrics"]["accuracy_2_down"]["runs"] == pytest.approx((moved.argmax(-1) == labels).mean(1))
    assert "2 down" in capsys.readouterr().out


def test_an_image_may_have_any_name(trained, tmp_path, capsys):
    _, out = trained
    image = np.zeros((28, 28), np.uint8)
    image[8:20, 12:16] = 255
    Image.fromarray(image).save(file := tmp_path / "[b] n\udcefve.png")
    assert ask(out, "--predict", file) == 0
    assert "[b] n\\xefve.png is a" in capsys.readouterr().out
    next(out.glob("prediction_*")).unlink()


@pytest.mark.parametrize("inverted", [False, True])
def test_the_prediction_of_a_test_image_is_the_evaluation_s(trained, tmp_path, capsys, inverted):
    data, out = trained
    run = mnist_recurrent.restore("mnist_gru", mnist_gru.Settings, out)
    image = mnist.load_idx_folder(data).x_test[3]
    image = np.pad(image[4:-4, 4:-4], 4)  # digits do not touch the border: from it the background is told
    image[14, 14] = 255  # nor are they pale
    Image.fromarray(255 - image if inverted else image).save(tmp_path / "own.png")
    probabilities = mnist_trained.predict(run, tmp_path / "own.png")
    logits = mnist_trained.logits(run.models, image[None])[:, 0]
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities[:, -1], softmax, rtol=1e-4)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    said = capsys.readouterr().out
    assert f"own.png is a {softmax.mean(0).argmax()}" in said and f"{softmax.mean(0).max():.4f}" in said
    assert (out / "prediction_own.png").exists()


def test_asking_a_run_changes_nothing_in_it(trained, tmp_path):
    data, out = trained
    Image.fromarray(mnist.load_idx_folder(data).x_test[0]).save(tmp_path / "digit.png")
    before = contents(out)
    assert ask(out, "--predict", tmp_path / "digit.png") == 0
    assert ask(out, "--evaluate", data) == 0
    assert before.items() <= contents(out).items()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: path.write_bytes(b"no image"), "own.png"),
        (lambda path: Image.new("L", (1, 1), 7).save(path), "own.png"),
        (lambda path: path.mkdir(), "own.png"),
        (lambda path: None, "own.png"),
    ],
)
def test_what_is_no_digit_is_one_line_and_2(trained, tmp_path, capsys, make, words):
    make(tmp_path / "own.png")
    assert ask(trained[1], "--predict", tmp_path / "own.png") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said and said.startswith("python -m experiments.mnist_gru: ")


def test_a_question_that_no_run_can_answer_is_one_line_and_2(trained, tmp_path, capsys):
    data, out = trained
    Image.fromarray(mnist.load_idx_folder(data).x_test[0]).save(tmp_path / "digit.png")
    predict = ("--predict", tmp_path / "digit.png")
    assert ask(tmp_path / "nowhere", *predict) == 2
    assert "there is no trained run in" in capsys.readouterr().err
    assert ask(out, *predict, settings=mnist_rnn.Settings, name="mnist_rnn") == 2
    assert "is one of mnist_gru, not of mnist_rnn" in capsys.readouterr().err
    assert ask(out, *predict, "--evaluate", data) == 2
    assert "ask one at a time" in capsys.readouterr().err
    assert ask(out, "--evaluate", tmp_path) == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
    (tmp_path / "small").mkdir()
    sizes = {"train": 96, "t10k": 40}
    smaller = {f"{split}-images-idx3-ubyte": np.zeros((count, 9, 9), np.uint8) for split, count in sizes.items()}
    assert ask(out, "--evaluate", write_idx(tmp_path / "small", **smaller)) == 2
    assert "has images of 9 x 9" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_the_box_of_a_digit():
    """MNIST's digits fill 20 of 28 pixels, scikit-learn's scans all of their 8."""
    assert mnist_trained.digit_box((28, 28)) == 20 and mnist_trained.digit_box((8, 8)) == 8
