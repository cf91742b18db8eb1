"""ICU stays: episodes, split, and labels of the multitask model's tasks.

Needs patients, admissions, ICU stays and the chart, whose first heart rate tells when the patient
is there; for shock infusions, for respiratory failure charted PEEP and procedures, for diagnoses
the codes of the admission. Makes the stays with their attrition, then per task (name and hours from
the patient's arrival) the labels with the attrition continued; for diagnoses, which
carry no time stamp, the groups of codes of each stay and their vocabulary.
"""


rule select_stays:
    input:
        patients="results/source/patients.parquet",
        admissions="results/source/admissions.parquet",
        icustays="results/source/icustays.parquet",
        chartevents="results/source/chartevents.parquet",
        films=wiring.films_of_the_cohort,
        ids=config["cohort"]["ids"] or [],
        code=modules("pipeline.cohort.stays"),
    output:
        episodes=f"{STAY}/episodes.parquet",
        attrition=f"{STAY}/attrition.json",
    log:
        "logs/select_stays/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        cohort=setting("cohort"),
        split=setting("split"),
        last_year=lambda wildcards: release.last_year(SOURCE),
        films=option("films"),
    shell:
        "python -m pipeline.cohort.stays"
        " --patients {input.patients:q}"
        " --admissions {input.admissions:q}"
        " --icustays {input.icustays:q}"
        " --chartevents {input.chartevents:q}"
        " {params.films:q}"
        " --last-year {params.last_year}"
        " --cohort {params.cohort:q}"
        " --split {params.split:q}"
        " --output {output.episodes:q}"
        " --attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule label_stay_task:
    input:
        admissions="results/source/admissions.parquet",
        events=lambda wildcards: [
            f"results/source/{table}.parquet"
            for table in tasks.find(f"{wildcards.onset}_{wildcards.hours}h").tables
        ],
        catalogue=lambda wildcards: (
            "results/source/d_items.parquet"
            if tasks.find(f"{wildcards.onset}_{wildcards.hours}h").tables
            else []
        ),
        episodes=rules.select_stays.output.episodes,
        attrition=rules.select_stays.output.attrition,
        query="pipeline/cohort/tasks/stay/{onset}.sql",
        code=modules("pipeline.cohort.stay_labels"),
    output:
        labels=f"{STAY}/labels/{{onset}}_{{hours}}h.parquet",
        attrition=f"{STAY}/labels/{{onset}}_{{hours}}h.attrition.json",
    log:
        "logs/label_stay_task/{protocol}/{onset}_{hours}h.log",
    wildcard_constraints:
        protocol=CORRECTED,
        onset="|".join(set(tasks.known("stay")) - {"diagnoses"}),
        hours="[0-9]+",
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        catalogue=option("catalogue"),
    shell:
        "python -m pipeline.cohort.stay_labels"
        " --task {wildcards.onset:q}_{wildcards.hours:q}h"
        " --admissions {input.admissions:q}"
        " --events {input.events:q}"
        " {params.catalogue:q}"
        " --episodes {input.episodes:q}"
        " --attrition {input.attrition:q}"
        " --output {output.labels:q}"
        " --task-attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule label_diagnoses:
    input:
        admissions="results/source/admissions.parquet",
        diagnoses="results/source/diagnoses_icd.parquet",
        titles="results/source/d_icd_diagnoses.parquet",
        episodes=rules.select_stays.output.episodes,
        attrition=rules.select_stays.output.attrition,
        query="pipeline/cohort/tasks/stay/diagnoses.sql",
        code=modules("pipeline.cohort.diagnoses"),
    output:
        labels=f"{STAY}/labels/diagnoses_{{hours}}h.parquet",
        groups=f"{STAY}/labels/diagnoses_{{hours}}h.groups.parquet",
        vocabulary=f"{STAY}/labels/diagnoses_{{hours}}h.vocabulary.parquet",
        attrition=f"{STAY}/labels/diagnoses_{{hours}}h.attrition.json",
    log:
        "logs/label_diagnoses/{protocol}/{hours}h.log",
    wildcard_constraints:
        protocol=CORRECTED,
        hours="[0-9]+",
    priority: 30
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=60,
    shell:
        "python -m pipeline.cohort.diagnoses"
        " --task diagnoses_{wildcards.hours:q}h"
        " --admissions {input.admissions:q}"
        " --diagnoses {input.diagnoses:q}"
        " --titles {input.titles:q}"
        " --episodes {input.episodes:q}"
        " --attrition {input.attrition:q}"
        " --output {output.labels:q}"
        " --groups {output.groups:q}"
        " --vocabulary {output.vocabulary:q}"
        " --task-attrition {output.attrition:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
