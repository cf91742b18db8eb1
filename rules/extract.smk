"""Source tables to typed parquet.

Needs the csv or csv.gz files of the source. Makes results/source/{table}.parquet, rows in file
order, duplicates kept.
"""


rule extract_table:
    input:
        table=lambda wildcards: release.table_path(SOURCE, wildcards.table),
        code=modules("pipeline.extract.tables"),
    output:
        "results/source/{table}.parquet",
    log:
        "logs/extract_table/{table}.log",
    priority: 20
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        sample=config["sample"],
    shell:
        "python -m pipeline.extract.tables"
        " --table {wildcards.table:q}"
        " --source-file {input.table:q}"
        " --sample {params.sample:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
