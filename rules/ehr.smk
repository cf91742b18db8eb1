"""Modality `e`: what was charted, drawn and given.

Needs the episodes and the event tables. Selects events known by the prediction time, fits bins on
the training subjects of the source, makes tokens; pretrains the encoder per task; embeds. The longest chain: it has priority.
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
        episodes=f"{UNIT}/episodes.parquet",
        code=modules("pipeline.ehr.events"),
    output:
        f"{UNIT}/ehr/events.parquet",
    log:
        "logs/select_events.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        mem_mb=8000,
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
        "results/corrected/ehr/bins.parquet",
    log:
        "logs/fit_bins.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        mem_mb=8000,
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
        episodes=f"{UNIT}/episodes.parquet",
        events=rules.select_events.output,
        bins=rules.fit_bins.output,
        code=modules("pipeline.ehr.tokens"),
    output:
        tokens=f"{UNIT}/ehr/tokens.parquet",
        demographics=f"{UNIT}/ehr/demographics.parquet",
    log:
        "logs/tokenise_events.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m pipeline.ehr.tokens"
        " --episodes {input.episodes:q}"
        " --events {input.events:q}"
        " --bins {input.bins:q}"
        " --output {output.tokens:q}"
        " --demographics {output.demographics:q}"
        " 2> {log:q}"


rule pretrain_ehr:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        tokens=rules.tokenise_events.output.tokens,
        demographics=rules.tokenise_events.output.demographics,
        code=modules("pipeline.ehr.pretrain"),
    output:
        weights=[f"{UNIT}/models/{{task}}/ehr/seed{s}.safetensors" for s in config["seeds"]],
        history=f"{UNIT}/models/{{task}}/ehr/history.json",
    log:
        "logs/pretrain_ehr/{task}.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPU,
    params:
        folder=subpath(output.history, parent=True),
        hours=config["cohort"]["window_hours"],
        schedule=setting("ehr", "schedule"),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
    shell:
        "python -m pipeline.ehr.pretrain"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --tokens {input.tokens:q}"
        " --demographics {input.demographics:q}"
        " --window-hours {params.hours}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --output {params.folder:q}"
        " 2>&1 | tee {log:q}"


rule embed_ehr:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        tokens=rules.tokenise_events.output.tokens,
        demographics=rules.tokenise_events.output.demographics,
        weights=rules.pretrain_ehr.output.weights,
        code=modules("pipeline.ehr.embed"),
    output:
        embeddings=f"{UNIT}/embeddings/{{task}}/ehr.parquet",
        predictions="results/corrected/predictions/e_unimodal_{task}.parquet",
    log:
        "logs/embed_ehr/{task}.log",
    priority: 10
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=GPU,
    params:
        hours=config["cohort"]["window_hours"],
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        missing=config["missing"],
    shell:
        "python -m pipeline.ehr.embed"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --tokens {input.tokens:q}"
        " --demographics {input.demographics:q}"
        " --window-hours {params.hours}"
        " --weights {input.weights:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --missing {params.missing:q}"
        " --output {output.embeddings:q}"
        " --predictions {output.predictions:q}"
        " 2> {log:q}"
