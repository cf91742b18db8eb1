"""Modality `e`: what was charted, drawn and given.

Needs the episodes and the event tables. Selects events known by the prediction time, fits bins on
the training subjects of the source, makes tokens. A long chain: it has priority. Published: tokens
straight from the source, by the paper's rules.
"""

EHR_TABLES = [
    "chartevents",
    "labevents",
    "outputevents",
    "procedureevents",
    "inputevents",
    "d_items",
    "d_labitems",
]


rule select_events:
    input:
        source=expand("results/source/{table}.parquet", table=EHR_TABLES),
        episodes=f"{ADMISSION}/episodes.parquet",
        code=modules("pipeline.ehr.events"),
    output:
        f"{ADMISSION}/ehr/events.parquet",
    log:
        "logs/select_events/{protocol}.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        disk_mb=2000,  # 6 bytes an event, and rows that find no memory
        runtime=120,
    params:
        availability=known_from("vitals", "outputs", "labs", "procedures", "infusions"),
    shell:
        "python -m pipeline.ehr.events"
        " --episodes {input.episodes:q}"
        " --source results/source"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule fit_bins:
    input:
        source=expand(
            "results/source/{table}.parquet",
            table=[
                "patients",
                "chartevents",
                "labevents",
                "outputevents",
                "d_items",
                "d_labitems",
            ],
        ),
        code=modules("pipeline.ehr.bins"),
    output:
        "results/{protocol}/ehr/bins.parquet",
    log:
        "logs/fit_bins/{protocol}.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=120,
    params:
        split=setting("split"),
    shell:
        "python -m pipeline.ehr.bins"
        " --source results/source"
        " --split {params.split:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule tokenise_events:
    input:
        episodes=f"{ADMISSION}/episodes.parquet",
        events=rules.select_events.output,
        bins=rules.fit_bins.output,
        code=modules("pipeline.ehr.tokens"),
    output:
        tokens=f"{ADMISSION}/ehr/tokens.parquet",
        demographics=f"{ADMISSION}/ehr/demographics.parquet",
    log:
        "logs/tokenise_events/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=60,
    shell:
        "python -m pipeline.ehr.tokens"
        " --episodes {input.episodes:q}"
        " --events {input.events:q}"
        " --bins {input.bins:q}"
        " --output {output.tokens:q}"
        " --demographics {output.demographics:q}"
        " 2> {log:q}"


rule tokenise_published:
    input:
        source=expand(
            "results/source/{table}.parquet",
            table=["chartevents", "labevents", "procedureevents", "d_items", "d_labitems"],
        ),
        episodes="results/published/admission/episodes.parquet",
        code=modules("pipeline.ehr.published"),
    output:
        tokens="results/published/admission/ehr/tokens.parquet",
        demographics="results/published/admission/ehr/demographics.parquet",
    log:
        "logs/tokenise_published.log",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=120,
    shell:
        "python -m pipeline.ehr.published"
        " --episodes {input.episodes:q}"
        " --source results/source"
        " --output {output.tokens:q}"
        " --demographics {output.demographics:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule describe_events:
    input:
        episodes=f"{ADMISSION}/episodes.parquet",
        events=rules.select_events.output,
        code=modules("pipeline.ehr.statistics"),
    output:
        f"{ADMISSION}/ehr/statistics.parquet",
    log:
        "logs/describe_events/{protocol}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=60,
    shell:
        "python -m pipeline.ehr.statistics"
        " --episodes {input.episodes:q}"
        " --events {input.events:q}"
        " --output {output:q}"
        " 2> {log:q}"
