"""The training loop: batches in, a fitted net out; knows no anatomy."""
