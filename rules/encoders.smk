"""Encoders: pretrained per task and modality, then frozen, embedding every eligible episode.

Needs the labels and what each modality registers of its encoder. Makes weights, embeddings
and the predictions of the single modality.
"""

for letter, modality in wiring.letters.items():

    rule:
        name:
            f"pretrain_{modality}"
        input:
            episodes=f"{UNIT}/episodes.parquet",
            labels=f"{UNIT}/labels/{{task}}.parquet",
            data=wiring.encoder_files(letter),
            code=wiring.encoder_modules("pipeline.training.pretrain", letter),
        output:
            weights=expand(
                f"{UNIT}/models/{{{{task}}}}/{modality}/seed{{seed}}.safetensors",
                seed=config["seeds"],
                allow_missing=True,
            ),
            history=f"{UNIT}/models/{{task}}/{modality}/history.json",
        log:
            f"logs/pretrain_{modality}/{{protocol}}/{{unit}}/{{task}}.log",
        priority: 10
        conda:
            "../envs/pipeline.yaml"
        threads: config["torch"]["threads"] * PROCESSES
        resources:
            **TRAINING,
            mem_mb=growing(4000),
            runtime=240,
        params:
            launch=LAUNCH,
            folder=subpath(output.history, parent=True),
            data=wiring.encoder_data(letter),
            schedule=schedule("unimodal", letter),
            seeds=config["seeds"],
            device=config["torch"]["device"],
            torch_threads=config["torch"]["threads"],
            precision=setting("torch", "precision"),
        shell:
            "{params.launch} pipeline.training.pretrain"
            " --task {wildcards.task:q}"
            " --episodes {input.episodes:q}"
            " --labels {input.labels:q}"
            " --data {params.data:q}"
            " --schedule {params.schedule:q}"
            " --seeds {params.seeds}"
            " --torch-threads {params.torch_threads}"
            " --precision {params.precision}"
            " --device {params.device:q}"
            " --output {params.folder:q}"
            " 2> {log:q}"

    rule:
        name:
            f"embed_{modality}"
        input:
            episodes=f"{UNIT}/episodes.parquet",
            labels=f"{UNIT}/labels/{{task}}.parquet",
            data=wiring.encoder_files(letter),
            weights=getattr(rules, f"pretrain_{modality}").output.weights,
            code=wiring.encoder_modules("pipeline.training.embed", letter),
        output:
            embeddings=f"{UNIT}/embeddings/{{task}}/{modality}.parquet",
            predictions=f"{PREDICTIONS}/{letter}_unimodal_{{task}}.parquet",
        log:
            f"logs/embed_{modality}/{{protocol}}/{{unit}}/{{task}}.log",
        priority: 10
        conda:
            "../envs/pipeline.yaml"
        threads: config["torch"]["threads"]
        resources:
            mem_mb=growing(4000),
            runtime=60,
            gpu=GPU,
        params:
            # heads lie beside the weights. No outputs: one that a new seed adds is missing, and
            # Snakemake looks for no other change in a job that lacks an output nobody asked for
            folder=lambda wildcards, input: str(Path(input.weights[0]).parent),
            data=wiring.encoder_data(letter),
            schedule=schedule("unimodal", letter),
            head_on=setting("head_on"),
            seeds=config["seeds"],
            device=config["torch"]["device"],
            torch_threads=config["torch"]["threads"],
            precision=setting("torch", "precision"),
        shell:
            "python -m pipeline.training.embed"
            " --task {wildcards.task:q}"
            " --episodes {input.episodes:q}"
            " --labels {input.labels:q}"
            " --data {params.data:q}"
            " --weights {input.weights:q}"
            " --head-on {params.head_on:q}"
            " --heads {params.folder:q}"
            " --schedule {params.schedule:q}"
            " --seeds {params.seeds}"
            " --torch-threads {params.torch_threads}"
            " --precision {params.precision}"
            " --device {params.device:q}"
            " --output {output.embeddings:q}"
            " --predictions {output.predictions:q}"
            " 2> {log:q}"
