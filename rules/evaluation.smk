"""One result: every task's metrics with intervals, ceiling, comparisons, subgroups, curves.

Needs the predictions of a model and of what it is compared with, in every fold, and whom the
sensitivity analyses leave out, made here because nothing else reads it. Makes
results/{modalities}_{model}_{task}.json, its figure .svg and the sidecar .run.json;
results/published/… for the published protocol.
"""

OF_SOME_RESULTS = ["singles", "baselines", "absent", "diagnoses", "groups", "vocabulary"]
OF_SOME_RESULTS += ["attention", "histories", "readable"]  # inputs that may be empty


rule mark_left_out:
    input:
        tables=lambda wildcards: source_tables(checks.analyses(wildcards).tables),
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        query=lambda wildcards: checks.analyses(wildcards).files,
        code=modules("pipeline.cohort.without"),
    output:
        f"{UNIT}/without/{{task}}.parquet",
    log:
        "logs/mark_left_out/{protocol}/{unit}/{task}.log",
    wildcard_constraints:
        protocol=CORRECTED,
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
        " --tables {input.tables:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --last-year {params.last_year}"
        " --output {output:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


for protocol, folder in targets.folders(config).items():

    rule:
        name:
            "evaluate_model" if protocol == "corrected" else f"evaluate_{protocol}"
        input:
            # first: it refuses targets that cannot be made
            truth=known_truth(protocol),
            predictions=wiring.predictions(protocol),
            diagnoses=wiring.of_decoder(protocol, ".diagnoses.parquet", "many"),
            groups=wiring.groups(protocol, "groups"),
            vocabulary=wiring.groups(protocol, "vocabulary"),
            attention=wiring.of_decoder(protocol, ".attention.json"),
            singles=wiring.single_models(protocol),
            baselines=wiring.baselines(protocol),
            absent=wiring.without_modalities(protocol),
            episodes=wiring.of_unit(f"{UNIT}/episodes.parquet", protocol),
            labels=wiring.of_tasks(f"{UNIT}/labels/{{task}}.parquet", protocol=protocol),
            attrition=wiring.of_tasks(f"{UNIT}/labels/{{task}}.attrition.json", protocol=protocol),
            without=wiring.left_out(protocol),
            present=wiring.present(protocol),
            histories=wiring.histories(protocol),
            readable=wiring.readable(protocol),
            external=wiring.external_files(protocol),
            lock="requirements.lock",
            code=modules("pipeline.evaluation.result", "pipeline.report.curves"),
        output:
            result=f"{folder}/{{modalities}}_{{model}}_{{task}}.json",
            sidecar=f"{folder}/{{modalities}}_{{model}}_{{task}}.run.json",
            figure=report(
                f"{folder}/{{modalities}}_{{model}}_{{task}}.svg",
                caption="../workflow/report/result.rst",
                category=wiring.category(protocol),
                subcategory="{task}",
                labels=headline,
            ),
            curves=f"{HOME}/{protocol}/curves/{{modalities}}_{{model}}_{{task}}.json",
        log:
            f"logs/evaluate_model/{protocol}/{{modalities}}_{{model}}_{{task}}.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=60,
        params:
            protocol=protocol,
            experiment=["--experiment", config["name"]] if config.get("name") else [],
            files=option(*OF_SOME_RESULTS),
            recalibration=targets.recalibration_option(config, protocol),
            external=wiring.external(protocol),
            of_tasks=by_task("labels", "attrition", "without"),
            truth=wiring.truth_options(TRUTH),
            present=wiring.presence(protocol),
            settings=wiring.behind(protocol),
            modules=wiring.made_by(protocol),
            # a digest, not inputs: a hundred files of each result double the time of a plan
            made_by=lambda wildcards, own=wiring.made_by(protocol): digest_of_code(own(wildcards)),
            suppress=SUPPRESS,
            source=lambda wildcards: checks.facts(),
            torch_threads=config["torch"]["threads"],
            words=lambda wildcards: wiring.words(wildcards.modalities),
        shell:
            "(python -m pipeline.evaluation.result"
            " --target {wildcards.modalities:q}_{wildcards.model:q}_{wildcards.task:q}"
            " --protocol {params.protocol:q}"
            " {params.experiment:q}"
            " --predictions {input.predictions:q}"
            " {params.files:q}"
            " {params.recalibration:q}"
            " --episodes {input.episodes:q}"
            " {params.of_tasks:q}"
            " --present {params.present:q}"
            " --external {params.external:q}"
            " {params.truth:q}"
            " --suppress-below {params.suppress}"
            " --settings {params.settings:q}"
            " --source {params.source:q}"
            " --threads {params.torch_threads}"
            " --lock {input.lock:q}"
            " --modules {params.modules:q}"
            " --output {output.result:q}"
            " --curves {output.curves:q}"
            " --sidecar {output.sidecar:q}"
            " && python -m pipeline.report.curves"
            " --result {output.result:q}"
            " --curves {output.curves:q}"
            " --words {params.words:q}"
            " --output {output.figure:q}"
            ") 2> {log:q}"
