"""The synthetic hospital: MIMIC-shaped files with a known truth."""
