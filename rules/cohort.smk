"""Episodes, split, labels: of admissions and of ICU stays.

Needs the source tables that the query of a unit or task names in its head. Makes the episodes with
their attrition, then per task the labels, with the attrition continued (published: and the split,
drawn among the complete cases of the task); of a task of many labels, such as diagnoses, which
carry no time stamp, also the groups of each episode and their vocabulary. They have priority: an
impossible cohort is refused before films are decoded.
"""

MANY = "|".join(name for name in tasks.known("stay") if tasks.find(f"{name}_1h").kind == "many")


rule select_episodes:
    input:
        tables=lambda wildcards: source_tables(
            tasks.of_unit(wildcards.unit, wildcards.protocol).tables
        ),
        films=wiring.films_of_the_cohort,
        ids=config["cohort"]["ids"] or [],
        query=lambda wildcards: tasks.of_unit(wildcards.unit, wildcards.protocol).files,
        code=modules("pipeline.cohort.episodes"),
    output:
        episodes=f"{UNIT}/episodes.parquet",
        attrition=f"{UNIT}/attrition.json",
    log:
        "logs/select_episodes/{protocol}/{unit}.log",
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
    shell:
        "python -m pipeline.cohort.episodes"
        " --unit {wildcards.unit}"
        " --tables {input.tables:q}"
        " {params.films:q}"
        " --last-year {params.last_year}"
        " --cohort {params.cohort:q}"
        " {params.split:q}"
        " --output {output.episodes:q}"
        " --attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule label_task:
    input:
        tables=lambda wildcards: source_tables(
            ["patients", "admissions", *tasks.find(wildcards.task, wildcards.protocol).tables]
        ),
        episodes=rules.select_episodes.output.episodes,
        attrition=rules.select_episodes.output.attrition,
        present=wiring.complete_cases(),
        query=lambda wildcards: checks.task(wildcards.task, wildcards.unit, wildcards.protocol),
        code=modules("pipeline.cohort.labels"),
    output:
        labels=f"{UNIT}/labels/{{task}}.parquet",
        attrition=f"{UNIT}/labels/{{task}}.attrition.json",
    log:
        "logs/label_task/{protocol}/{unit}/{task}.log",
    wildcard_constraints:
        task=f"(?!({MANY})_[0-9]+h)[^/.]+",
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        module="pipeline.cohort.labels",
        definition=setting("definition"),
        head_on=setting("head_on"),
        split=wiring.split("tasks"),
        present=wiring.complete_cases("{name}={file}"),
        many=[],
    shell:
        "python -m {params.module}"
        " --task {wildcards.task:q}"
        " --definition {params.definition:q}"
        " --fitted train {params.head_on:q}"
        " {params.split:q}"
        " --tables {input.tables:q}"
        " --episodes {input.episodes:q}"
        " --attrition {input.attrition:q}"
        " --present {params.present:q}"
        " --output {output.labels:q}"
        " {params.many:q}"
        " --task-attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


use rule label_task as label_diagnoses with:
    input:
        tables=rules.label_task.input.tables,
        episodes=rules.select_episodes.output.episodes,
        attrition=rules.select_episodes.output.attrition,
        query=rules.label_task.input.query,
        code=modules("pipeline.cohort.diagnoses"),
    output:
        labels=f"{UNIT}/labels/{{task}}.parquet",
        groups=f"{UNIT}/labels/{{task}}.groups.parquet",
        vocabulary=f"{UNIT}/labels/{{task}}.vocabulary.parquet",
        attrition=f"{UNIT}/labels/{{task}}.attrition.json",
    log:
        "logs/label_diagnoses/{protocol}/{unit}/{task}.log",
    wildcard_constraints:
        task=f"({MANY})_[0-9]+h",
    params:
        module="pipeline.cohort.diagnoses",
        many=lambda wildcards, output: [
            "--groups",
            output.groups,
            "--vocabulary",
            output.vocabulary,
        ],
