"""Fusion of frozen embeddings and of encoders."""
