"""FIDDLE: from everything known of an episode to sparse binary features.

Needs the episodes, of admissions or ICU stays, and the event tables. Lists every value in a long
table; fits on the training episodes (train and fusion), at the longest horizon; then makes S (per
episode) and X (per episode and hour) of all. X[0:T) serves every earlier horizon.
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
        episodes=f"{UNIT}/episodes.parquet",
        code=modules("pipeline.ehr.long"),
    output:
        f"{UNIT}/ehr/long.parquet",
    log:
        "logs/list_values/{protocol}/{unit}.log",
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
        " --unit {wildcards.unit}"
        " --source results/source"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule fit_fiddle:
    input:
        long=rules.list_values.output,
        episodes=f"{UNIT}/episodes.parquet",
        code=modules("pipeline.fiddle.fit"),
    output:
        f"{UNIT}/fiddle/fitted.json",
    log:
        "logs/fit_fiddle/{protocol}/{unit}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        runtime=120,
    params:
        settings=wiring.fiddle,
    shell:
        "python -m pipeline.fiddle.fit"
        " --long {input.long:q}"
        " --episodes {input.episodes:q}"
        " --fitted-on train fusion"
        " --settings {params.settings:q}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule apply_fiddle:
    input:
        long=rules.list_values.output,
        episodes=f"{UNIT}/episodes.parquet",
        fitted=rules.fit_fiddle.output,
        code=modules("pipeline.fiddle.transform"),
    output:
        x=f"{UNIT}/fiddle/X.parquet",
        s=f"{UNIT}/fiddle/S.parquet",
        features=f"{UNIT}/fiddle/features.parquet",
    log:
        "logs/apply_fiddle/{protocol}/{unit}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        disk_mb=4000,  # 30 kB a stay of 48 h, 94,458 stays
        runtime=120,
    shell:
        "python -m pipeline.fiddle.transform"
        " --long {input.long:q}"
        " --episodes {input.episodes:q}"
        " --fitted {input.fitted:q}"
        " --output {output.x:q}"
        " --static {output.s:q}"
        " --features {output.features:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"
