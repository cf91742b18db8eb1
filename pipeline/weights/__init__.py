"""Pretrained weights: fetched on a machine with a net (`make weights`), no job of the workflow."""
