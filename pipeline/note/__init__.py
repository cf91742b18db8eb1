"""Modality `n`: radiology notes."""
