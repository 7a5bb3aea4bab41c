"""Tutorial 8 at NTU, Singapore (N1 to N6)."""

from experiments.papers import Paper, Question

PAPER = Paper(
    key="Nanyang",
    title="Tutorial 8: Recurrent Neural Networks",
    course="Nanyang Technological University, Singapore",
    cite="C. C. Loy. Tutorial 8: Recurrent Neural Networks. Nanyang Technological University, Singapore.",
    questions=(
        Question(
            id="N1",
            place="Question 1(a)",
            question=(
                "Find the outputs of a given recurrent network with three inputs, two hidden units and one output for "
                "four given steps. It feeds back its hidden units (Elman), from a hidden state of zeros."
            ),
            commands=("worked_examples",),
            figures=("outputs.png",),
            metrics={
                "elman_y1": "output at step 1",
                "elman_y2": "output at step 2",
                "elman_y3": "output at step 3",
                "elman_y4": "output at step 4",
                "max_error_elman": "largest error against the printed digits",
            },
        ),
        Question(
            id="N2",
            place="Question 1(b)",
            question="The same where the network feeds back its output (Jordan), from an output of zero.",
            commands=("worked_examples",),
            figures=("outputs.png",),
            metrics={
                "jordan_y1": "output at step 1",
                "jordan_y2": "output at step 2",
                "jordan_y3": "output at step 3",
                "jordan_y4": "output at step 4",
                "max_error_jordan": "largest error against the printed digits",
            },
        ),
        Question(
            id="N3",
            place="Question 2, the data",
            question=(
                "Draw 8 sequences of 100 steps of 3 inputs uniformly between 0 and 1, and make their two outputs: "
                "y1(t) = 5 x1(t) - 0.2 x3(t-1) and y2(t) = 25 x2(t-1) x3(t-3), each plus 0.1 times a standard normal "
                "number."
            ),
            commands=("lagged_regression",),
            figures=("truth_y1.png", "truth_y2.png"),
            metrics={
                "input_sum": "sum of all inputs",
                "output_sum": "sum of all outputs",
            },
        ),
        Question(
            id="N4",
            place="Question 2, the training",
            question=(
                "Train a recurrent network with 5 hidden units on these sequences, by Adam with a learning factor of "
                "0.01 for 10,000 iterations, and plot its predictions beside the true outputs."
            ),
            commands=("lagged_regression",),
            figures=("learning_curves.png", "prediction_y1.png", "prediction_y2.png"),
            metrics={
                "train_mse": "mean squared error, both outputs",
                "train_mse_1": "mean squared error of y1",
                "train_mse_2": "mean squared error of y2",
                "test_mse_1": "mean squared error of y1, fresh sequences",
                "test_mse_2": "mean squared error of y2, fresh sequences",
                "test_mse": "mean squared error, both outputs, fresh sequences",
            },
        ),
        Question(
            id="N5",
            place="Question 3",
            question=(
                "Design an LSTM layer with 10 units that maps three given input sequences of four numbers to their "
                "outputs. Plot the learning curve at a rate of 0.001, and find the outputs for (1 2 3 4) and (4 5 6 7)."
            ),
            commands=("sum_of_neighbours",),
            figures=("learning_curves.png", "answers.png"),
            metrics={
                "y_1234_1": "output 1 to (1 2 3 4)",
                "y_1234_2": "output 2 to (1 2 3 4)",
                "y_1234_3": "output 3 to (1 2 3 4)",
                "y_1234_4": "output 4 to (1 2 3 4)",
                "y_4567_1": "output 1 to (4 5 6 7)",
                "y_4567_2": "output 2 to (4 5 6 7)",
                "y_4567_3": "output 3 to (4 5 6 7)",
                "y_4567_4": "output 4 to (4 5 6 7)",
            },
        ),
        Question(
            id="N6",
            place="Question 4",
            question=(
                "Design a layer of 10 GRU units that learns the sentiments of eleven sentences about films, read "
                "character by character up to a length of 40, with dropout of p = 0.7, by Adam at 0.001. Plot cost and "
                "accuracy against epochs, and find how likely two other sentences are negative and positive."
            ),
            commands=("character_sentiment",),
            figures=("likelihoods.png", "learning_curves.png", "regularisers.png"),
            metrics={
                "test_1_positive": 'likelihood of positive, "not interesting"',
                "test_2_positive": 'likelihood of positive, "with great interest"',
                "test_accuracy": "accuracy on these two sentences",
                "test_loss": "cost on these two sentences (nats)",
                "train_accuracy": "accuracy on the eleven sentences",
                "train_loss": "cost on the eleven sentences (nats)",
            },
        ),
    ),
)
