"""Assignment 4 of ECE1508 at Toronto, 2025 (T1 to T22)."""

from experiments.papers import Paper, Question

_ROW_BY_ROW = ("mnist_compare", "mnist_rnn", "mnist_gru", "mnist_lstm")
"""What reads an image row by row; the answers of the first are those of the basic network that it trains."""

PAPER = Paper(
    key="Toronto",
    title="Assignment 4: Recurrent Neural Networks",
    course="ECE1508, Applied Deep Learning, University of Toronto, 2025",
    cite="Assignment 4: Recurrent Neural Networks. ECE1508: Applied Deep Learning, University of Toronto, March 2025.",
    questions=(
        Question(
            id="T1",
            place="Written exercises, Question 1.1",
            question=(
                "Write down the shallow network that takes the XOR of two bits, with inputs x and s and output y, so "
                "that it can be used as a recurrent network."
            ),
            commands=("parity",),
            figures=("xor.png",),
            metrics={
                "xor_errors": "wrong outputs on the four pairs of bits",
            },
        ),
        Question(
            id="T2",
            place="Written exercises, Question 1.2",
            question="Which s[1] makes the first output equal to the first input?",
            commands=("parity",),
            figures=("trace.png",),
            metrics={
                "first_errors": "sequences whose first output is not their first bit",
                "longest_sequences": "sequences tried",
            },
        ),
        Question(
            id="T3",
            place="Written exercises, Question 1.3",
            question="Which s[t] at the later steps makes the last output the XOR of the whole sequence?",
            commands=("parity",),
            figures=("trace.png",),
            metrics={
                "errors": "sequences with a wrong last output",
                "sequences": "sequences tried",
            },
        ),
        Question(
            id="T4",
            place="Written exercises, Question 1.4",
            question="What is s[t] called, and which parts of the sequence does it stand for?",
            commands=("parity",),
            figures=("trace.png",),
            metrics={
                "state_errors": "states that are not the XOR of the past",
                "differences": "sequences on which Jordan and Elman form differ",
                "longest_sequences": "sequences tried",
            },
        ),
        Question(
            id="T5",
            place="Written exercises, Question 1.5",
            question="Only the last output is asked for. What do the outputs at the steps before it mean?",
            commands=("parity",),
            figures=("trace.png",),
            metrics={
                "output_errors": "outputs that are not the XOR so far",
                "outputs": "outputs tried",
            },
        ),
        Question(
            id="T6",
            place="Written exercises, Question 2.1",
            question=(
                "Approximate the slopes of the sigmoid and of tanh near 0 by polynomials in e, from the linear terms "
                "of their Maclaurin series."
            ),
            commands=("tanh_vs_sigmoid",),
            figures=("slopes.png",),
            metrics={
                "sigmoid_slope_approx": "sigmoid's slope at e = 0.05, approximated",
                "tanh_slope_approx": "tanh's slope at e = 0.05, approximated",
                "sigmoid_slope": "sigmoid's true slope",
                "tanh_slope": "tanh's true slope",
                "sigmoid_slope_error": "sigmoid's approximation less the true slope",
                "tanh_slope_error": "tanh's approximation less the true slope",
            },
        ),
        Question(
            id="T7",
            place="Written exercises, Question 2.2",
            question="In which interval of e is the approximated slope of the sigmoid at most that of tanh?",
            commands=("tanh_vs_sigmoid",),
            figures=("slopes.png",),
            metrics={
                "crossover_approx": "end of the interval, approximated slopes",
                "crossover": "end of the interval, true slopes",
                "slope_at_crossover": "both true slopes at its end",
                "crossover_approx_found": "end for the approximated slopes, found numerically",
                "crossover_found": "end for the true slopes, found numerically",
            },
        ),
        Question(
            id="T8",
            place="Written exercises, Question 2.3",
            question=(
                "Plot the powers, up to the twentieth, of the ratio of the two slopes at e = 0.05, approximated and "
                "true. How do they fall with time, and how do the two curves compare?"
            ),
            commands=("tanh_vs_sigmoid",),
            figures=("powers.png",),
            metrics={
                "rho_approx": "ratio of the slopes at e = 0.05, approximated",
                "rho": "true ratio",
                "rho_approx_power_20": "approximated ratio to the power 20",
                "rho_power_20": "true ratio to the power 20",
                "log10_rho_approx": "decades in a step, approximated",
                "log10_rho": "decades in a step, true",
                "relative_difference_20": "relative difference of the two at T = 20",
            },
        ),
        Question(
            id="T9",
            place="Written exercises, Question 2.4",
            question=(
                "What does that mean for the training of a recurrent network, and why does tanh slow the vanishing of "
                "the gradient down?"
            ),
            commands=("tanh_vs_sigmoid",),
            figures=("jacobian_norms.png", "jacobian_ratio.png", "spectral_radius.png"),
            metrics={
                "tanh_size_at_20": "what 20 steps leave of a change, tanh",
                "sigmoid_size_at_20": "what 20 steps leave of a change, sigmoid",
                "tanh_step_factor_1": "factor in a step at spectral radius 1, tanh",
                "sigmoid_step_factor_1": "factor in a step at spectral radius 1, sigmoid",
                "tanh_step_factor_2": "factor in a step at spectral radius 2, tanh",
                "sigmoid_step_factor_2": "factor in a step at spectral radius 2, sigmoid",
                "sigmoid_largest_step_factor": "largest factor in a step at any radius, sigmoid",
            },
        ),
        Question(
            id="T10",
            place="Programming exercises, Question 1.1",
            question="Load the training and test images of MNIST, and split them into mini-batches of a given size.",
            commands=_ROW_BY_ROW,
        ),
        Question(
            id="T11",
            place="Programming exercises, Question 1.2",
            question="An image is read as a sequence of vectors of 28 pixels. How long is a sequence?",
            commands=_ROW_BY_ROW,
        ),
        Question(
            id="T12",
            place="Programming exercises, Question 1.3",
            question="Which type of problem is this: many to many, one to many, or another?",
            commands=_ROW_BY_ROW,
        ),
        Question(
            id="T13",
            place="Programming exercises, Question 1.4",
            question=(
                "With 150 hidden units, how many inputs and outputs have the hidden layer and the output layer of the "
                "shallow recurrent network?"
            ),
            commands=_ROW_BY_ROW,
            metrics={
                "rnn_parameters": "parameters of the network",
            },
        ),
        Question(
            id="T14",
            place="Programming exercises, Question 1.5",
            question="How is each of the layers activated?",
            commands=_ROW_BY_ROW,
        ),
        Question(
            id="T15",
            place="Programming exercises, Question 1.6",
            question="How is a new image classified by the network, once it is trained?",
            commands=_ROW_BY_ROW,
            metrics={
                "rnn_test_accuracy": "test accuracy",
            },
        ),
        Question(
            id="T16",
            place="Programming exercises, Questions 1.7 to 1.9",
            question=(
                "Write a class for the network, with a function that makes a hidden state of zeros for a mini-batch, "
                "and with the forward pass."
            ),
            commands=_ROW_BY_ROW,
        ),
        Question(
            id="T17",
            place="Programming exercises, Questions 1.10 and 1.11",
            question=(
                "Write a function that takes a mini-batch's outputs at the last step and its labels, and returns the "
                "average error. Confirm that the dimensions are right."
            ),
            commands=_ROW_BY_ROW,
            metrics={
                "rnn_test_error": "average test error",
                "rnn_test_accuracy": "test accuracy",
                "rnn_test_loss": "test cross-entropy (nats)",
            },
        ),
        Question(
            id="T18",
            place="Programming exercises, Questions 1.12 and 1.13",
            question=(
                "Write a function that trains a model with a given loss for a given number of epochs, and train the "
                "network by it for 10 epochs with the cross-entropy."
            ),
            commands=_ROW_BY_ROW,
            figures=("rnn/learning_curves.png",),
            metrics={
                "rnn_test_accuracy": "test accuracy",
                "rnn_test_loss": "test cross-entropy (nats)",
                "rnn_train_loss": "training cross-entropy (nats)",
            },
        ),
        Question(
            id="T19",
            place="Programming exercises, Question 1.14",
            question=(
                "Could the same shallow network do as well without recurrence? How does the recurrent network "
                "understand which class an image is of?"
            ),
            commands=("mnist_compare", "mnist_fnn"),
            figures=("rows.png", "states.png"),
            metrics={
                "rnn_test_accuracy": "test accuracy of the basic RNN",
                "fnn_last_row_test_accuracy": "test accuracy without recurrence, last row",
                "fnn_image_test_accuracy": "test accuracy without recurrence, whole image",
                "empty_last_row": "test images with an empty last row",
                "rnn_accuracy_half_read": "accuracy of the RNN after half of the rows",
                "rnn_accuracy_half_read_trained": "accuracy there of an output layer trained for it",
            },
        ),
        Question(
            id="T20",
            place="Programming exercises, Question 1.15 (optional)",
            question=(
                "Write the basic recurrent layer (nn.RNN) from scratch, use it in place of the ready-made one, and "
                "compare the two."
            ),
            commands=("mnist_compare",),
            figures=("accuracy.png",),
            metrics={
                "rnn_test_accuracy": "test accuracy of our basic RNN",
                "gru_test_accuracy": "test accuracy of our GRU",
                "flax_gru_test_accuracy": "test accuracy of Flax's GRU",
                "gru_parameters": "parameters with our GRU",
                "flax_gru_parameters": "parameters with Flax's GRU",
                "gru_seconds_per_epoch": "seconds for an epoch, our GRU",
                "flax_gru_seconds_per_epoch": "seconds for an epoch, Flax's GRU",
            },
        ),
        Question(
            id="T21",
            place="Programming exercises, Question 2",
            question=(
                "Do the same with a gated recurrent unit (GRU): the class, the zero state, the forward pass, and ten "
                "epochs of training. Compare it with the basic network, and explain what is seen."
            ),
            commands=("mnist_compare",),
            figures=("accuracy.png", "curves.png", "moved.png"),
            metrics={
                "rnn_test_accuracy": "test accuracy of the basic RNN",
                "gru_test_accuracy": "test accuracy of the GRU",
                "rnn_parameters": "parameters with the basic RNN",
                "gru_parameters": "parameters with the GRU",
                "rnn_accuracy_moved_in_time": "accuracy on images moved by 2 rows, RNN",
                "gru_accuracy_moved_in_time": "accuracy on images moved by 2 rows, GRU",
            },
        ),
        Question(
            id="T22",
            place="Programming exercises, Question 3",
            question=(
                "Do the same with long short-term memory (LSTM), whose zero state is a hidden and a cell state. "
                "Compare it with the two others, and explain what is seen."
            ),
            commands=("mnist_compare",),
            figures=("accuracy.png", "curves.png"),
            metrics={
                "rnn_test_accuracy": "test accuracy of the basic RNN",
                "gru_test_accuracy": "test accuracy of the GRU",
                "lstm_test_accuracy": "test accuracy of the LSTM",
                "rnn_parameters": "parameters with the basic RNN",
                "gru_parameters": "parameters with the GRU",
                "lstm_parameters": "parameters with the LSTM",
            },
        ),
    ),
)
