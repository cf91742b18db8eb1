"""Source files (csv, csv.gz) to typed parquet, behind column contracts and a preflight."""
