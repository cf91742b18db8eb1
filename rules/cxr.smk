"""Modality `c`: chest films.

Needs the episodes, the films' metadata and the JPEGs. Selects films taken by the prediction time;
decodes each once into a store that outlives cohorts; pretrains the encoder per task; embeds.
"""

STORE = "results/cxr/store"  # no rule's output: a changed cohort must not delete it
PRETRAINED = config["cxr"]["pretrained"]
SHARDS = [f"p{number}" for number in range(10, 20)]


rule select_films:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        metadata="results/source/cxr_metadata.parquet",
        code=modules("pipeline.cxr.films"),
    output:
        f"{UNIT}/cxr/films.parquet",
    log:
        "logs/select_films.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        availability=known_from("films"),
        views=config["cxr"]["views"],
    shell:
        "python -m pipeline.cxr.films"
        " --episodes {input.episodes:q}"
        " --metadata {input.metadata:q}"
        " --views {params.views:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule decode_films:
    input:
        films=rules.select_films.output,
        code=modules("pipeline.cxr.decode"),
    output:
        f"{UNIT}/cxr/decoded/{{shard}}.parquet",
    log:
        "logs/decode_films/{shard}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=480,
    params:
        root=release.locate(SOURCE, "mimic_cxr_jpg").folder,
        pixels=config["cxr"]["pixels"],
        store=STORE,
    shell:
        "python -m pipeline.cxr.decode"
        " --films {input.films:q}"
        " --shard {wildcards.shard:q}"
        " --root {params.root:q}"
        " --pixels {params.pixels}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --output {output:q}"
        " 2> {log:q}"


rule pretrain_cxr:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        films=rules.select_films.output,
        decoded=expand(rules.decode_films.output, shard=SHARDS),
        pretrained=PRETRAINED or [],
        code=modules("pipeline.cxr.pretrain"),
    output:
        weights=[f"{UNIT}/models/{{task}}/cxr/seed{s}.safetensors" for s in config["seeds"]],
        history=f"{UNIT}/models/{{task}}/cxr/history.json",
    log:
        "logs/pretrain_cxr/{task}.log",
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
        pixels=config["cxr"]["pixels"],
        pretrained=["--pretrained", PRETRAINED] if PRETRAINED else [],
        store=STORE,
        schedule=setting("cxr", "schedule"),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
    shell:
        "python -m pipeline.cxr.pretrain"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --films {input.films:q}"
        " --decoded {input.decoded:q}"
        " --store {params.store:q}"
        " --pixels {params.pixels}"
        " {params.pretrained:q}"
        " --window-hours {params.hours}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --output {params.folder:q}"
        " 2>&1 | tee {log:q}"


rule embed_cxr:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        films=rules.select_films.output,
        decoded=expand(rules.decode_films.output, shard=SHARDS),
        pretrained=PRETRAINED or [],
        weights=rules.pretrain_cxr.output.weights,
        code=modules("pipeline.cxr.embed"),
    output:
        embeddings=f"{UNIT}/embeddings/{{task}}/cxr.parquet",
        predictions="results/corrected/predictions/c_unimodal_{task}.parquet",
    log:
        "logs/embed_cxr/{task}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=GPU,
    params:
        hours=config["cohort"]["window_hours"],
        pixels=config["cxr"]["pixels"],
        pretrained=["--pretrained", PRETRAINED] if PRETRAINED else [],
        store=STORE,
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        missing=config["missing"],
    shell:
        "python -m pipeline.cxr.embed"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --films {input.films:q}"
        " --decoded {input.decoded:q}"
        " --store {params.store:q}"
        " --pixels {params.pixels}"
        " {params.pretrained:q}"
        " --window-hours {params.hours}"
        " --weights {input.weights:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --missing {params.missing:q}"
        " --output {output.embeddings:q}"
        " --predictions {output.predictions:q}"
        " 2> {log:q}"
