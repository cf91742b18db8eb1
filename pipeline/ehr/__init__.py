"""Modality `e`: vitals, labs, procedures and demographics of the electronic health record."""
