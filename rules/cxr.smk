"""Modality `c`: chest films.

Needs the episodes, the films' metadata and the JPEGs. Selects films taken by the prediction time;
decodes each once, for admissions or ICU stays, into a store that outlives cohorts; stops where too
many cannot be read. The longest chain where CPUs train: decoding has priority, as the notes have.
Selection has none: labels come first, and may refuse the cohort.
"""

from pipeline.cxr.registry import SHARDS, STORE


rule select_films:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        metadata="results/source/cxr_metadata.parquet",
        admissions=only_published("results/source/admissions.parquet"),
        query=query("pipeline/cxr/films"),
        code=modules("pipeline.cxr.films"),
    output:
        f"{UNIT}/cxr/films.parquet",
    log:
        "logs/select_films/{protocol}/{unit}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        availability=known_from("films"),
        views=setting("cxr", "views"),
        admissions=option("admissions"),
    shell:
        "python -m pipeline.cxr.films"
        " --query {input.query:q}"
        " --episodes {input.episodes:q}"
        " --metadata {input.metadata:q}"
        " {params.admissions:q}"
        " --views {params.views:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule decode_films:
    input:
        films=f"{UNIT}/cxr/films.parquet",
        code=modules("pipeline.cxr.decode"),
    output:
        f"{UNIT}/cxr/decoded/{{shard}}.parquet",
    log:
        "logs/decode_films/{protocol}/{unit}/{shard}.log",
    priority: 20
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=2000,  # 50 kB a film of 224 pixels, 38,000 in a tenth of the subjects
        runtime=480,
    params:
        root=lambda wildcards: release.locate(SOURCE, "mimic_cxr_jpg").folder,
        pixels=setting("cxr", "pixels"),
        full=lambda wildcards: "--full" if setting("cxr", "full")(wildcards) else "",
        store=STORE,
    shell:
        "python -m pipeline.cxr.decode"
        " --films {input.films:q}"
        " --shard {wildcards.shard:q}"
        " --root {params.root:q}"
        " --pixels {params.pixels}"
        " {params.full}"
        " --store {params.store:q}"
        " --threads {threads}"
        " --output {output:q}"
        " 2> {log:q}"


rule count_films:
    input:
        films=f"{UNIT}/cxr/films.parquet",
        decoded=[f"{UNIT}/cxr/decoded/{shard}.parquet" for shard in SHARDS],
        code=modules("pipeline.cxr.readable"),
    output:
        f"{UNIT}/cxr/readable.json",
    log:
        "logs/count_films/{protocol}/{unit}.log",
    priority: 20
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        root=lambda wildcards: release.locate(SOURCE, "mimic_cxr_jpg").folder,
        limit=setting("cxr", "unreadable"),
    shell:
        "python -m pipeline.cxr.readable"
        " --films {input.films:q}"
        " --decoded {input.decoded:q}"
        " --root {params.root:q}"
        " --limit {params.limit}"
        " --output {output:q}"
        " 2> {log:q}"
