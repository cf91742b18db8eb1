"""What is decided while Snakemake plans, and the tools that read the config; no table is read."""
