"""MEDS 0.4, the Medical Event Data Standard: results of a source in it, and a source that is in it.

Codes are those of MIMIC_IV_MEDS 0.2.0, so that `mimic_iv.csv` reads both its data sets and ours.
"""
