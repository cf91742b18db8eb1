"""Models that train their encoders: joint and late-averaged fusion, and UniMed.

Needs the episodes, the labels of the task or tasks, and what each modality registers of its
encoder. Makes the predictions of every eligible episode; of fusion those of the test episodes with
a modality missing, of UniMed the mean attention of the tasks. UniMed takes one task, or several:
`all`, `admission`; a variant of config `unimed.variants` is a model `unimed-<name>`.
"""


rule fuse_jointly:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        data=wiring.encoder_files(),
        code=wiring.encoder_modules("pipeline.fusion.joint"),
    output:
        history=f"{UNIT}/models/{{task}}/{{modalities}}_{{model}}/history.json",
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        absent=f"{ABSENT}/{{modalities}}_{{model}}_{{task}}.parquet",
    log:
        "logs/fuse_jointly/{protocol}/{unit}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=registry.fitted_by("pipeline.fusion.joint"),
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"] * PROCESSES
    resources:
        **TRAINING,
        mem_mb=growing(6000),
        runtime=480,
    params:
        launch=LAUNCH,
        folder=subpath(output.history, parent=True),
        data=wiring.encoder_data(),
        head_on=setting("head_on"),
        modality_dropout=setting("modality_dropout"),
        schedule=schedule(),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
    shell:
        "{params.launch} pipeline.fusion.joint"
        " --head {wildcards.model:q}"
        " --head-on {params.head_on:q}"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --data {params.data:q}"
        " --letters {wildcards.modalities:q}"
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


rule train_unimed:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=wiring.labels(),
        groups=wiring.labels("groups"),
        vocabulary=wiring.labels("vocabulary"),
        data=wiring.encoder_files(),
        code=wiring.encoder_modules("pipeline.unimed.train"),
    output:
        history=f"{UNIT}/models/{{task}}/{{modalities}}_{{model}}/history.json",
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        diagnoses=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.diagnoses.parquet",
        attention=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.attention.json",
    log:
        "logs/train_unimed/{protocol}/{unit}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=DECODERS,
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"] * PROCESSES
    resources:
        **TRAINING,
        mem_mb=growing(16000),
        runtime=480,
    params:
        launch=LAUNCH,
        folder=subpath(output.history, parent=True),
        tasks=wiring.sequence,
        told=wiring.told,
        labels=by_task("labels"),
        groups=option("groups"),
        vocabulary=option("vocabulary"),
        model=wiring.decoder,
        data=wiring.encoder_data(),
        schedule=json.dumps(config["unimed"]["schedule"], sort_keys=True),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
    shell:
        "{params.launch} pipeline.unimed.train"
        " --episodes {input.episodes:q}"
        " --tasks {params.tasks:q}"
        " --told {params.told:q}"
        " {params.labels:q}"
        " {params.groups:q}"
        " {params.vocabulary:q}"
        " --model {params.model:q}"
        " --data {params.data:q}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --precision {params.precision}"
        " --device {params.device:q}"
        " --weights {params.folder:q}"
        " --output {output.predictions:q}"
        " --diagnoses {output.diagnoses:q}"
        " --attention {output.attention:q}"
        " 2> {log:q}"
