"""The training loop, seeds, checkpoints and devices. Knows tensors, no modality."""
