"""Training on single pictures: batches, augmentation, pre-training."""
