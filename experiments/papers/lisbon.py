"""Practical 9 of Deep Learning at IST, Lisbon, 2023-24 (I1 to I9)."""

from experiments.papers import Paper, Question

PAPER = Paper(
    key="Lisbon",
    title="Practical 9: Recurrent Neural Networks",
    course="Deep Learning, Instituto Superior Técnico, Lisbon, 2023-24",
    cite=(
        "P. Balage, G. Faria, L. Sa-Couto, A. Wichert, A. Martins, G. Correia. Practical 9: Recurrent Neural Networks. "
        "Deep Learning, Instituto Superior Técnico, 2023-24."
    ),
    questions=(
        Question(
            id="I1",
            place="Introduction",
            question=(
                "A recurrent network can be unfolded into copies that share their weights. What is the gradient of "
                "weights that are shared, with an output at every step and with one at the end alone?"
            ),
            commands=("gradient_flow",),
            metrics=("copies_error_elman", "copies_error_gru", "copies_error_lstm", "copies_error_uva"),
        ),
        Question(
            id="I2",
            place="Pen and paper, Question 1.1",
            question=(
                "Write down the forward equations of a network that tags a sequence: one hidden tanh layer with "
                "recurrent connections, a softmax at every step, and the cross-entropy."
            ),
            commands=("worked_examples",),
        ),
        Question(
            id="I3",
            place="Pen and paper, Question 1.2",
            question=(
                "Work out the forward pass for two given input vectors and their targets, with three hidden units, all "
                "weights and biases 0.1, and a hidden state of zeros at the start."
            ),
            commands=("worked_examples",),
            figures=("constant_start.png",),
            metrics=(
                "ist_total_loss",
                "ist_mean_loss",
                "hidden_gradient_first",
                "hidden_gradient_second",
                "unit_difference",
                "constant_final_loss",
                "drawn_final_loss",
            ),
        ),
        Question(
            id="I4",
            place="Programming, Question 1.1",
            question="Write the forward pass of the pen-and-paper question in NumPy.",
            commands=("worked_examples",),
            metrics=("max_error_numpy", "max_error_ist"),
        ),
        Question(
            id="I5",
            place="Programming, Question 2.1",
            question=(
                "Complete the forward pass of a recurrent cell that reads names letter by letter and says at each step "
                "which letter is likely to come next."
            ),
            commands=("names",),
            metrics=("ids",),
        ),
        Question(
            id="I6",
            place="Programming, Question 2.2",
            question=(
                "Train this network for 1,000 epochs by the negative log-likelihood, with 128 hidden units and a "
                "learning rate of 0.0005, and show the curve of the training loss."
            ),
            commands=("names",),
            figures=("learning_curves.png",),
            metrics=("test_loss", "train_loss", "lowest_test_loss", "lowest_test_loss_epoch"),
        ),
        Question(
            id="I7",
            place="Programming, Question 2.3",
            question=(
                "Make up names by drawing each letter from the network's distribution, or from its k likeliest letters "
                "only, for several k. How good are they?"
            ),
            commands=("names",),
            figures=("names_by_k.png", "languages.png"),
            metrics=(
                "novelty_1",
                "novelty_3",
                "novelty_all",
                "duplicates_3",
                "duplicates_all",
                "language_match_3",
                "language_match",
                "chance",
            ),
        ),
        Question(
            id="I8",
            place="Programming, Question 3.1",
            question=(
                "Train a basic recurrent network on IMDB's film reviews for 5 epochs, with an embedding of 128, 256 "
                "hidden units, Adam and the binary cross-entropy, and report its final accuracy."
            ),
            commands=("imdb_compare", "imdb_rnn"),
            figures=("curves.png",),
            metrics=("rnn_test_accuracy", "rnn_highest_accuracy", "rnn_test_loss", "rnn_parameters"),
        ),
        Question(
            id="I9",
            place="Programming, Question 3.2",
            question=(
                "Do the same with an LSTM that reads the reviews from both ends. What does it come to, and how could "
                "the results be improved further?"
            ),
            commands=("imdb_compare", "imdb_improve", "imdb_bilstm"),
            figures=("accuracy.png", "curves.png"),
            metrics=("bilstm_test_accuracy", "bilstm_test_loss", "rnn_test_accuracy", "gru_test_accuracy"),
        ),
    ),
)
