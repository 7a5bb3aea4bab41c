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
            metrics={
                "copies_error_elman": "largest difference of the gradients, Elman",
                "copies_error_gru": "largest difference of the gradients, GRU",
                "copies_error_lstm": "largest difference of the gradients, LSTM",
                "copies_error_uva": "largest difference of the gradients, Amsterdam's network",
            },
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
            metrics={
                "ist_total_loss": "loss of both steps",
                "ist_mean_loss": "mean loss of a step",
                "hidden_gradient_first": "gradient of the hidden layer at first",
                "hidden_gradient_second": "the same at the second update",
                "unit_difference": "difference of the units",
                "constant_final_loss": "final loss from weights of 0.1",
                "drawn_final_loss": "final loss from drawn weights",
            },
        ),
        Question(
            id="I4",
            place="Programming, Question 1.1",
            question="Write the forward pass of the pen-and-paper question in NumPy.",
            commands=("worked_examples",),
            metrics={
                "max_error_numpy": "largest difference to NumPy",
                "max_error_ist": "largest error of the example",
            },
        ),
        Question(
            id="I5",
            place="Programming, Question 2.1",
            question=(
                "Complete the forward pass of a recurrent cell that reads names letter by letter and says at each step "
                "which letter is likely to come next."
            ),
            commands=("names",),
            metrics={
                "ids": "ids: starts, characters, and the end",
            },
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
            metrics={
                "test_loss": "nats a character, names held out",
                "train_loss": "nats a character, names learned",
                "lowest_test_loss": "the lowest on names held out",
                "lowest_test_loss_epoch": "the epoch of the lowest",
                "updates": "updates made",
                "updates_one_at_a_time": "1,000 epochs, a name at a time: updates",
            },
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
            metrics={
                "novelty_1": "new names, k = 1",
                "novelty_3": "new names, k = 3",
                "novelty_all": "new names, all letters",
                "duplicates_3": "repeated names, k = 3",
                "duplicates_all": "repeated names, all letters",
                "language_match_3": "taken for the language asked for, k = 3",
                "language_match": "the same, all letters",
                "chance": "the same by chance",
            },
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
            metrics={
                "rnn_test_accuracy": "accuracy on the test reviews",
                "rnn_highest_accuracy": "the highest after any epoch",
                "rnn_test_loss": "loss on the test reviews",
                "rnn_parameters": "parameters",
            },
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
            metrics={
                "bilstm_test_accuracy": "LSTM from both ends",
                "bilstm_test_loss": "loss of the LSTM",
                "rnn_test_accuracy": "basic recurrent network",
                "gru_test_accuracy": "GRU, padding skipped",
                "bilstm_parameters": "parameters of the LSTM",
                "rnn_parameters": "parameters of the basic network",
            },
        ),
    ),
)
