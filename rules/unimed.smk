"""UniMed: one decoder over tasks of ICU stays.

Needs the stays, the labels of the tasks, and what each modality's rules file offers in STAYS. Makes
the predictions of every eligible stay and the mean attention of the tasks. A target's task is one
task, or `all`; a variant of config `unimed.variants` is a model `unimed-<name>`.
"""

LABELS = f"{STAY}/labels"


rule train_unimed:
    input:
        episodes=f"{STAY}/episodes.parquet",
        labels=lambda wildcards: [
            f"{LABELS}/{task}.parquet".format(protocol=wildcards.protocol)
            for task in [
                *multitask.told(config, wildcards.model, wildcards.task),
                *multitask.tasks(config, wildcards.task),
            ]
        ],
        diagnoses=lambda wildcards: [
            f"{LABELS}/{task}.{part}.parquet".format(protocol=wildcards.protocol)
            for task in multitask.tasks(config, wildcards.task)
            if task.startswith("diagnoses")
            for part in ("groups", "vocabulary")
        ],
        data=wiring.encoder_files(stays=True),
        code=wiring.encoder_modules("pipeline.unimed.train", offer="stays"),
    output:
        history=f"{STAY}/models/{{modalities}}_{{model}}_{{task}}/history.json",
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        diagnoses=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.diagnoses.parquet",
        attention=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.attention.json",
    log:
        "logs/train_unimed/{protocol}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model=UNIMED,
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
        tasks=lambda wildcards: multitask.tasks(config, wildcards.task),
        told=lambda wildcards: multitask.told(config, wildcards.model, wildcards.task),
        labels=lambda wildcards, input: [
            f"{Path(path).name.removesuffix('.parquet')}={path}" for path in input.labels
        ],
        diagnoses=lambda wildcards, input: [
            word
            for name, path in zip(("groups", "vocabulary"), input.diagnoses)
            for word in (f"--{name}", path)
        ],
        model=lambda wildcards: json.dumps(
            multitask.settings(config, wildcards.model), sort_keys=True
        ),
        data=wiring.encoder_data(stays=True),
        schedule=json.dumps(config["unimed"]["schedule"], sort_keys=True),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
    shell:
        "{params.launch} pipeline.unimed.train"
        " --episodes {input.episodes:q}"
        " --tasks {params.tasks:q}"
        " --told {params.told:q}"
        " --labels {params.labels:q}"
        " {params.diagnoses:q}"
        " --model {params.model:q}"
        " --data {params.data:q}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --weights {params.folder:q}"
        " --output {output.predictions:q}"
        " --diagnoses {output.diagnoses:q}"
        " --attention {output.attention:q}"
        " 2>&1 | tee {log:q}"
