"""Modality `c`: chest films."""
