"""Prediction on new patients by a stored model: from source files to risks."""
