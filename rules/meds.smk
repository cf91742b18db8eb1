"""MEDS: what the source, its labels and predictions are in the Medical Event Data Standard 0.4.

Needs the tables of the source, and of labels and predictions those of the corrected protocol. Makes
results/meds/: data/*.parquet and metadata/, labels/{task}.parquet, predictions/{target}.parquet of
the first training seed, predictions/seed{n}/ of the others; of several folds, the first, as the
splits are. `snakemake meds` makes data, metadata and the labels of the config's tasks.
"""

from pipeline.cohort.task import SEQUENCES

MEDS = f"{HOME}/meds"
EVENTS_OF_MEDS = [
    *meds_source.OFFERED,
    *(["radiology"] if "n" in wiring.letters and "n" not in LACKING else []),
    *(["cxr_metadata"] if "c" in wiring.letters and "c" not in LACKING else []),
]
ONE_TASK = f"(?!(?:{'|'.join(SEQUENCES)})$)[^/.]+"


rule write_meds_events:
    input:
        tables=lambda wildcards: checks.as_meds() or source_tables(EVENTS_OF_MEDS),
        code=modules("pipeline.meds.events"),
    output:
        data=[f"{MEDS}/data/{part:02}.parquet" for part in range(16)],
        codes=f"{MEDS}/metadata/codes.parquet",
        facts=f"{MEDS}/metadata/dataset.json",
    log:
        "logs/write_meds_events.log",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        disk_mb=4000,
        runtime=240,
    params:
        availability=json.dumps(config["availability"], sort_keys=True),
        named=lambda wildcards: checks.named(),
    shell:
        "python -m pipeline.meds.events"
        " --tables {input.tables:q}"
        " --availability {params.availability:q}"
        " {params.named:q}"
        " --data {output.data:q}"
        " --codes {output.codes:q}"
        " --output {output.facts:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule write_meds_splits:
    input:
        patients=lambda wildcards: checks.as_meds() or "results/source/patients.parquet",
        code=modules("pipeline.meds.splits"),
    output:
        f"{MEDS}/metadata/subject_splits.parquet",
    log:
        "logs/write_meds_splits.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        split=json.dumps(protocols.settings(config, "corrected")["split"], sort_keys=True),
    shell:
        "python -m pipeline.meds.splits"
        " --patients {input.patients:q}"
        " --split {params.split:q}"
        " --output {output:q}"
        " 2> {log:q}"


rule write_meds_labels:
    input:
        episodes=wiring.of_unit(f"{UNIT}/episodes.parquet", "corrected"),
        labels=lambda wildcards: checks.as_meds(wildcards.task)
        or wiring.of_unit(f"{UNIT}/labels/{wildcards.task}.parquet", "corrected")(wildcards),
        code=modules("pipeline.meds.labels"),
    output:
        f"{MEDS}/labels/{{task}}.parquet",
    log:
        "logs/write_meds_labels/{task}.log",
    wildcard_constraints:
        task=ONE_TASK,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    shell:
        "python -m pipeline.meds.labels"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --output {output:q}"
        " 2> {log:q}"


rule write_meds_predictions:
    input:
        result=f"{HOME}/{{modalities}}_{{model}}_{{task}}.json",
        episodes=wiring.of_unit(f"{UNIT}/episodes.parquet", "corrected"),
        predictions=lambda wildcards: checks.as_meds(wildcards.task)
        or wiring.predictions("corrected")(wildcards)[:1],
        code=modules("pipeline.meds.predictions"),
    output:
        f"{MEDS}/predictions/{{seed}}{{modalities}}_{{model}}_{{task}}.parquet",
    log:
        "logs/write_meds_predictions/{seed}{modalities}_{model}_{task}.log",
    wildcard_constraints:
        seed="(seed[0-9]+/)?",
        task=ONE_TASK,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        seed=lambda wildcards: wildcards.seed.strip("sed/") or config["seeds"][0],
    shell:
        "python -m pipeline.meds.predictions"
        " --result {input.result:q}"
        " --task {wildcards.task:q}"
        " --seed {params.seed}"
        " --episodes {input.episodes:q}"
        " --predictions {input.predictions:q}"
        " --output {output:q}"
        " 2> {log:q}"


rule meds:
    input:
        rules.write_meds_events.output,
        rules.write_meds_splits.output,
        expand(rules.write_meds_labels.output, task=config["tasks"]),
