"""Figures and sentences made from result files only."""
