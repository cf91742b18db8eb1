"""Baselines: logistic regression and boosted trees.

Needs the embeddings of frozen encoders, or the events of the EHR, of which it makes statistics.
Makes predictions as fusion does.
"""

ON_STATISTICS = [
    name.removesuffix("-stats")
    for name in registry.fitted_by("pipeline.fusion.baselines", "statistics").split("|")
]


rule fit_baseline:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        embeddings=wiring.embeddings,
        code=modules("pipeline.fusion.baselines"),
    output:
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_{{model}}_{{task}}.parquet",
    log:
        "logs/fit_baseline/{protocol}/{unit}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=registry.fitted_by("pipeline.fusion.baselines", "embeddings"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        seeds=config["seeds"],
    shell:
        "python -m pipeline.fusion.baselines"
        " --model {wildcards.model:q}"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --embeddings {input.embeddings:q}"
        " --letters {wildcards.modalities:q}"
        " --seeds {params.seeds}"
        " --threads {threads}"
        " --absent {output.absent:q}"
        " --output {output.predictions:q}"
        " 2> {log:q}"


rule describe_events:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        events=f"{UNIT}/ehr/events.parquet",
        code=modules("pipeline.ehr.statistics"),
    output:
        f"{UNIT}/ehr/statistics/{{hours}}h.parquet",
    log:
        "logs/describe_events/{protocol}/{unit}/{hours}h.log",
    wildcard_constraints:
        hours="[0-9]+",
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
        " --hours {wildcards.hours}"
        " --output {output:q}"
        " 2> {log:q}"


rule fit_statistics:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        features=wiring.statistics,
        code=modules("pipeline.fusion.baselines"),
    output:
        # one job: it would spend more on starting than on fitting
        [f"{PREDICTIONS}/e_{model}-stats_{{task}}.parquet" for model in ON_STATISTICS],
    log:
        "logs/fit_statistics/{protocol}/{unit}/{task}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        models=ON_STATISTICS,
        seeds=config["seeds"],
    shell:
        "python -m pipeline.fusion.baselines"
        " --model {params.models:q}"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --features {input.features:q}"
        " --letters e"
        " --seeds {params.seeds}"
        " --threads {threads}"
        " --output {output:q}"
        " 2> {log:q}"
