"""FIDDLE (Tang et al. 2020): a long table of any source becomes sparse binary features."""
