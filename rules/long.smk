"""The long table of ICU stays.

Needs the stays and the event tables. Makes one row per value that became known during a stay, with
the time at which it was known: what FIDDLE reads.
"""


rule list_values:
    input:
        source=expand(
            "results/source/{table}.parquet",
            table=[
                "chartevents",
                "outputevents",
                "labevents",
                "microbiologyevents",
                "procedureevents",
                "inputevents",
                "d_items",
                "d_labitems",
            ],
        ),
        episodes=f"{STAY}/episodes.parquet",
        code=modules("pipeline.ehr.long"),
    output:
        f"{STAY}/ehr/long.parquet",
    log:
        "logs/list_values/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        disk_mb=4000,  # 26 kB a stay of 48 h, 94,458 stays
        runtime=180,
    params:
        availability=known_from("vitals", "outputs", "labs", "procedures", "infusions"),
    shell:
        "python -m pipeline.ehr.long"
        " --episodes {input.episodes:q}"
        " --source results/source"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
