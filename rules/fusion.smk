"""Fusion of frozen encoders: early and late.

Needs the embeddings (early), or the predictions of the single models (late). Makes the predictions
of every eligible episode, and those of the test episodes with a modality missing.
"""


rule fuse_early:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        embeddings=wiring.embeddings,
        code=modules("pipeline.fusion.early"),
    output:
        history=f"{UNIT}/models/{{task}}/{{modalities}}_early/history.json",
        predictions=f"{PREDICTIONS}/{{modalities}}_early_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_early_{{task}}.parquet",
    log:
        "logs/fuse_early/{protocol}/{unit}/{modalities}_{task}.log",
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
        dropout=setting("early", "dropout"),
        modality_dropout=setting("modality_dropout"),
        schedule=schedule("early"),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
    shell:
        "python -m pipeline.fusion.early"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --embeddings {input.embeddings:q}"
        " --letters {wildcards.modalities:q}"
        " --head-on {params.head_on:q}"
        " --dropout {params.dropout}"
        " --modality-dropout {params.modality_dropout}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --precision {params.precision}"
        " --device {params.device:q}"
        " --weights {params.folder:q}"
        " --absent {output.absent:q}"
        " --output {output.predictions:q}"
        " 2>&1 | tee {log:q}"


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
