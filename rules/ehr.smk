"""Modality `e`: what was charted, drawn and given.

Needs the episodes, of admissions or ICU stays, and the event tables. Selects events known before
the prediction time; fits bins on the training subjects of the source; makes tokens, of which every
horizon reads its own. A long chain: it has priority. Published: tokens straight from the source, by
the paper's rules.
"""

CHARTED = ["chartevents", "labevents", "d_items", "d_labitems"]


rule select_events:
    input:
        source=expand(
            "results/source/{table}.parquet",
            table=[*CHARTED, "outputevents", "procedureevents", "inputevents"],
        ),
        episodes=f"{UNIT}/episodes.parquet",
        code=modules("pipeline.ehr.events"),
    output:
        f"{UNIT}/ehr/events.parquet",
    log:
        "logs/select_events/{protocol}/{unit}.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        disk_mb=2000,  # 8 bytes an event, and rows that find no memory
        runtime=120,
    params:
        availability=known_from("vitals", "outputs", "labs", "procedures", "infusions"),
    shell:
        "python -m pipeline.ehr.events"
        " --episodes {input.episodes:q}"
        " --source results/source"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule fit_bins:
    input:
        source=expand(
            "results/source/{table}.parquet",
            table=[*CHARTED, "outputevents", "inputevents", "patients"],
        ),
        eras=wiring.eras,
        code=modules("pipeline.ehr.bins"),
    output:
        experiments.placed(config, "results/{protocol}/ehr/bins.parquet"),
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
        eras=option("eras"),
    shell:
        "python -m pipeline.ehr.bins"
        " --source results/source"
        " --split {params.split:q}"
        " {params.eras:q}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule tokenise_events:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        events=rules.select_events.output,
        bins=rules.fit_bins.output,
        code=modules("pipeline.ehr.tokens"),
    output:
        tokens=f"{UNIT}/ehr/tokens.parquet",
        demographics=f"{UNIT}/ehr/demographics.parquet",
    log:
        "logs/tokenise_events/{protocol}/{unit}.log",
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
        source=expand("results/source/{table}.parquet", table=[*CHARTED, "procedureevents"]),
        episodes=f"{HOME}/published/admission/episodes.parquet",
        code=modules("pipeline.ehr.published"),
    output:
        tokens=f"{HOME}/published/admission/ehr/tokens.parquet",
        demographics=f"{HOME}/published/admission/ehr/demographics.parquet",
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
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"
