"""Source tables to typed parquet.

Needs the csv or csv.gz files of the source, or, of a source in MEDS, its data and the csv of its
codes. Makes results/source/{table}.parquet, rows in file
order, duplicates kept; of a real copy each job says where its rows are not as many as the release
has. results/source/counts.md shows all of that, and the sizes of cohorts.
"""

if KIND == configuration.MEDS:

    rule adapt_meds:
        input:
            data=meds_source.files(SOURCE["root"]),
            codes=configuration.codes(config),
            code=modules("pipeline.meds.adapt"),
        output:
            source_tables(meds_source.OFFERED),
        log:
            "logs/adapt_meds.log",
        priority: 20
        conda:
            "../envs/pipeline.yaml"
        threads: THREADS
        resources:
            mem_mb=growing(6000),
            disk_mb=8000,
            runtime=240,
        params:
            root=SOURCE["root"],
            sample=config["sample"],
        shell:
            "python -m pipeline.meds.adapt"
            " --root {params.root:q}"
            " --codes {input.codes:q}"
            " --sample {params.sample:q}"
            " --output {output:q}"
            " --threads {threads}"
            " --memory-mb {resources.mem_mb}"
            " 2> {log:q}"

elif KIND == configuration.HOURLY:

    rule adapt_hourly:
        input:
            data=hourly_source.files(SOURCE["root"]),
            code=modules("pipeline.hourly.adapt"),
        output:
            source_tables(hourly_source.OFFERED),
        log:
            "logs/adapt_hourly.log",
        priority: 20
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=60,
        params:
            root=SOURCE["root"],
        shell:
            "python -m pipeline.hourly.adapt"
            " --root {params.root:q}"
            " --output {output:q}"
            " 2> {log:q}"

else:

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
        threads: THREADS
        resources:
            mem_mb=growing(4000),
            disk_mb=4000,  # 0.75 of the file: chartevents.csv.gz has 3.5 GB
            runtime=120,
        params:
            sample=config["sample"],
            # a number, not the table of all numbers: to add another release extracts nothing again
            expected=lambda wildcards: (
                []
                if SYNTHETIC
                else counts.expected_option(SOURCE, wildcards.table, config["sample"])
            ),
        shell:
            "python -m pipeline.extract.tables"
            " --table {wildcards.table:q}"
            " --source-file {input.table:q}"
            " --sample {params.sample:q}"
            " {params.expected:q}"
            " --output {output:q}"
            " --threads {threads}"
            " --memory-mb {resources.mem_mb}"
            " 2> {log:q}"


rule compare_counts:
    input:
        # those of the config's modalities, as far as the source has them: targets need them anyway
        tables=lambda wildcards: [
            f"results/source/{name}.parquet"
            for name in (
                configuration.ADAPTERS[KIND].OFFERED
                if KIND in configuration.ADAPTERS
                else (
                    contracts.tables_for(wiring.letters)
                    if SYNTHETIC
                    else counts.tables_in(SOURCE, wiring.letters)
                )
            )
        ],
        code=modules("pipeline.extract.counts"),
    output:
        "results/source/counts.md",
    log:
        "logs/compare_counts.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=30,
    params:
        source=json.dumps(SOURCE, sort_keys=True),
        uncompared=(
            ["--uncompared", "nothing to compare with: the hospital is synthetic"]
            if SYNTHETIC
            else (
                ["--uncompared", f"nothing to compare with: the source is of kind {KIND}"]
                if KIND in configuration.ADAPTERS
                else (
                    ["--uncompared", "nothing to compare with: a sample of the subjects"]
                    if config["sample"] < 1
                    else []
                )
            )
        ),
    shell:
        "python -m pipeline.extract.counts"
        " --source {params.source:q}"
        " --tables {input.tables:q}"
        " {params.uncompared:q}"
        " --output {output:q}"
        " 2> {log:q}"
