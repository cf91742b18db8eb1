"""Clinical scores: SOFA and OASIS at the prediction time, as models of the EHR.

Needs the episodes and the tables of the source that a score names in the registry. Makes the points
of every episode, whatever the task, and of each task predictions as fusion does.
"""


rule score_severity:
    input:
        source=lambda wildcards: source_tables(registry.MODELS[wildcards.score].tables),
        episodes=f"{UNIT}/episodes.parquet",
        query="pipeline/ehr/scores_{score}.sql",
        code=modules("pipeline.ehr.scores"),
    output:
        f"{UNIT}/ehr/scores/{{score}}_{{hours}}h.parquet",
    log:
        "logs/score_severity/{protocol}/{unit}/{score}_{hours}h.log",
    wildcard_constraints:
        score=registry.fitted_by("pipeline.fusion.scores"),
        hours="[0-9]+",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=60,
    params:
        availability=known_from("vitals", "outputs", "labs", "infusions"),
    shell:
        "python -m pipeline.ehr.scores"
        " --score {wildcards.score:q}"
        " --query {input.query:q}"
        " --episodes {input.episodes:q}"
        " --tables {input.source:q}"
        " --availability {params.availability:q}"
        " --hours {wildcards.hours}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule fit_score:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        scores=wiring.points,
        code=modules("pipeline.fusion.scores"),
    output:
        f"{PREDICTIONS}/e_{{model}}_{{task}}.parquet",
    log:
        "logs/fit_score/{protocol}/{unit}/{model}_{task}.log",
    wildcard_constraints:
        model=registry.fitted_by("pipeline.fusion.scores"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=30,
    params:
        seeds=config["seeds"],
    shell:
        "python -m pipeline.fusion.scores"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --scores {input.scores:q}"
        " --seeds {params.seeds}"
        " --output {output:q}"
        " 2> {log:q}"
