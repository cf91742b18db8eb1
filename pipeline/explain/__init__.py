"""Explanations of trained models, and scores that tell whether they can be believed."""
