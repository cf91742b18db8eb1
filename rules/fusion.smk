"""Fusion of frozen encoders: heads on embeddings (early, gated), late, and the mean of seeds.

Needs the embeddings (early), the predictions of the single models (late), or those of all seeds
(ensemble). Makes the predictions of every eligible episode, and those of the test episodes with a
modality missing.
"""


rule fuse_early:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        embeddings=wiring.embeddings,
        code=modules("pipeline.fusion.early"),
    output:
        history=f"{UNIT}/models/{{task}}/{{modalities}}_{{model}}/history.json",
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_{{model}}_{{task}}.parquet",
    log:
        "logs/fuse_early/{protocol}/{unit}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=registry.fitted_by("pipeline.fusion.early", "embeddings"),
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=growing(4000),
        runtime=60,
        gpu=GPU,
    params:
        folder=subpath(output.history, parent=True),  # of the weights, see rules/encoders.smk
        head_on=setting("head_on"),
        modality_dropout=setting("modality_dropout"),
        schedule=schedule(),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
    shell:
        "python -m pipeline.fusion.early"
        " --model {wildcards.model:q}"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --embeddings {input.embeddings:q}"
        " --letters {wildcards.modalities:q}"
        " --head-on {params.head_on:q}"
        " --modality-dropout {params.modality_dropout}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --precision {params.precision}"
        " --device {params.device:q}"
        " --weights {params.folder:q}"
        " --absent {output.absent:q}"
        " --output {output.predictions:q}"
        " 2> {log:q}"


rule fuse_late:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        embeddings=wiring.embeddings,
        predictions=wiring.single_models(),
        code=modules("pipeline.fusion.late"),
    output:
        predictions=f"{PREDICTIONS}/{{modalities}}_late_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_late_{{task}}.parquet",
    log:
        "logs/fuse_late/{protocol}/{unit}/{modalities}_{task}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        seeds=config["seeds"],
    shell:
        "python -m pipeline.fusion.late"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --predictions {input.predictions:q}"
        " --embeddings {input.embeddings:q}"
        " --letters {wildcards.modalities:q}"
        " --seeds {params.seeds}"
        " --absent {output.absent:q}"
        " --output {output.predictions:q}"
        " 2> {log:q}"


rule average_seeds:
    input:
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        missing=f"{ABSENT}/{{modalities}}_{{model}}_{{task}}.parquet",
        code=modules("pipeline.fusion.ensemble"),
    output:
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}-ensemble_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_{{model}}-ensemble_{{task}}.parquet",
    log:
        "logs/average_seeds/{protocol}/{unit}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=registry.fitted_by("pipeline.fusion.ensemble").replace("-ensemble", ""),
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    shell:
        "python -m pipeline.fusion.ensemble"
        " --predictions {input.predictions:q}"
        " --missing {input.missing:q}"
        " --absent {output.absent:q}"
        " --output {output.predictions:q}"
        " 2> {log:q}"
