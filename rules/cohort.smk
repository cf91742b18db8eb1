"""Episodes, split, labels.

Needs patients, admissions and ICU stays (published: CheXpert's table, too). Makes the episodes with
their attrition, then per task the labels, with the attrition continued (published: and the split,
drawn among the complete cases of the task). They have priority: an impossible cohort is refused
before films are decoded. For evaluation alone: whom the sensitivity analyses of a task leave out,
of admissions or ICU stays; of mortality it needs chartevents.
"""


rule select_episodes:
    input:
        patients="results/source/patients.parquet",
        admissions="results/source/admissions.parquet",
        icustays="results/source/icustays.parquet",
        chexpert=only_published("results/source/chexpert.parquet"),
        films=wiring.films_of_the_cohort,
        ids=config["cohort"]["ids"] or [],
        query=query("pipeline/cohort/episodes"),
        code=modules("pipeline.cohort.episodes"),
    output:
        episodes=f"{ADMISSION}/episodes.parquet",
        attrition=f"{ADMISSION}/attrition.json",
    log:
        "logs/select_episodes/{protocol}.log",
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        cohort=setting("cohort"),
        split=wiring.split("patients"),
        last_year=lambda wildcards: release.last_year(SOURCE),
        films=option("films"),
        chexpert=option("chexpert"),
    shell:
        "python -m pipeline.cohort.episodes"
        " --patients {input.patients:q}"
        " --admissions {input.admissions:q}"
        " --icustays {input.icustays:q}"
        " {params.chexpert:q}"
        " {params.films:q}"
        " --last-year {params.last_year}"
        " --cohort {params.cohort:q}"
        " {params.split:q}"
        " --output {output.episodes:q}"
        " --attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule label_task:
    input:
        patients="results/source/patients.parquet",
        admissions="results/source/admissions.parquet",
        episodes=rules.select_episodes.output.episodes,
        attrition=rules.select_episodes.output.attrition,
        present=wiring.complete_cases(),
        query=lambda wildcards: tasks.find(wildcards.task, wildcards.protocol).query,
        code=modules("pipeline.cohort.labels"),
    output:
        labels=f"{ADMISSION}/labels/{{task}}.parquet",
        attrition=f"{ADMISSION}/labels/{{task}}.attrition.json",
    log:
        "logs/label_task/{protocol}/{task}.log",
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        definition=setting("definition"),
        head_on=setting("head_on"),
        split=wiring.split("tasks"),
        present=wiring.complete_cases("{name}={file}"),
    shell:
        "python -m pipeline.cohort.labels"
        " --task {wildcards.task:q}"
        " --definition {params.definition:q}"
        " --fitted train {params.head_on:q}"
        " {params.split:q}"
        " --patients {input.patients:q}"
        " --admissions {input.admissions:q}"
        " --episodes {input.episodes:q}"
        " --attrition {input.attrition:q}"
        " --present {params.present:q}"
        " --output {output.labels:q}"
        " --task-attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule mark_left_out:
    input:
        patients="results/source/patients.parquet",
        admissions="results/source/admissions.parquet",
        events=lambda wildcards: [
            f"results/source/{table}.parquet"
            for table in tasks.find(wildcards.task).without_tables
        ],
        episodes="results/{protocol}/{unit}/episodes.parquet",
        labels="results/{protocol}/{unit}/labels/{task}.parquet",
        query=lambda wildcards: tasks.find(wildcards.task).without,
        code=modules("pipeline.cohort.without"),
    output:
        "results/{protocol}/{unit}/without/{task}.parquet",
    log:
        "logs/mark_left_out/{protocol}/{unit}/{task}.log",
    wildcard_constraints:
        protocol=CORRECTED,
        unit="admission|stay",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        last_year=lambda wildcards: release.last_year(SOURCE),
    shell:
        "python -m pipeline.cohort.without"
        " --task {wildcards.task:q}"
        " --patients {input.patients:q}"
        " --admissions {input.admissions:q}"
        " --events {input.events:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --last-year {params.last_year}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
