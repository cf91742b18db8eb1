"""Metrics, intervals, calibration: tables of predictions in, one result out. No torch."""
