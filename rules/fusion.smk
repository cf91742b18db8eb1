"""Fusion of modalities.

Needs the embeddings of frozen encoders, one table per modality. Makes the predictions of the fused
model for every eligible episode.
"""


rule fuse_early:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        embeddings=lambda wildcards: [
            f"{UNIT}/embeddings/{wildcards.task}/{LETTERS[letter]}.parquet"
            for letter in wildcards.modalities
        ],
        code=modules("pipeline.fusion.early"),
    output:
        weights=[
            f"{UNIT}/models/{{task}}/{{modalities}}_early/seed{s}.safetensors"
            for s in config["seeds"]
        ],
        history=f"{UNIT}/models/{{task}}/{{modalities}}_early/history.json",
        predictions="results/corrected/predictions/{modalities}_early_{task}.parquet",
    log:
        "logs/fuse_early/{modalities}_{task}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=GPU,
    params:
        folder=subpath(output.history, parent=True),
        dropout=config["early"]["dropout"],
        schedule=setting("early", "schedule"),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        missing=config["missing"],
    shell:
        "python -m pipeline.fusion.early"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --embeddings {input.embeddings:q}"
        " --dropout {params.dropout}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --missing {params.missing:q}"
        " --weights {params.folder:q}"
        " --output {output.predictions:q}"
        " 2>&1 | tee {log:q}"
