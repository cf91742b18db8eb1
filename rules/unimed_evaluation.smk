"""Results of ICU stays: each task's metrics.

Needs UniMed's predictions of every task in every fold, labels, diagnosis groups and episodes of the
stays. Makes results/{modalities}_{unimed…}_{task}.json with its figure .svg and sidecar .run.json.
"""


rule evaluate_unimed:
    input:
        # first: it refuses targets that cannot be made
        truth=known_truth("corrected"),
        predictions=wiring.predictions("corrected"),
        diagnoses=wiring.predictions("corrected", ".diagnoses.parquet"),
        attention=wiring.predictions("corrected", ".attention.json"),
        groups=wiring.groups("corrected", "groups"),
        vocabulary=wiring.groups("corrected", "vocabulary"),
        episodes=lambda wildcards: f"results/corrected/{wiring.unit(wildcards)}/episodes.parquet",
        labels=wiring.of_tasks(f"{UNIT}/labels/{{task}}.parquet", protocol="corrected"),
        attrition=wiring.of_tasks(f"{UNIT}/labels/{{task}}.attrition.json", protocol="corrected"),
        readable=wiring.readable("corrected"),
        without=wiring.left_out("corrected"),
        present=wiring.present("corrected"),
        lock="requirements.lock",
        code=modules("pipeline.evaluation.result", "pipeline.report.curves"),
    output:
        result="results/{modalities}_{model}_{task}.json",
        sidecar="results/{modalities}_{model}_{task}.run.json",
        figure=report(
            "results/{modalities}_{model}_{task}.svg",
            caption="../workflow/report/stay_result.rst",
            category="ICU stays",
            subcategory="{task}",
            labels=headline,
        ),
        curves="results/corrected/curves/{modalities}_{model}_{task}.json",
    log:
        "logs/evaluate_unimed/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        model="unimed[^_/]*",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        diagnoses=lambda wildcards, input: (
            [
                *("--diagnoses", *input.diagnoses),
                *("--groups", *input.groups),
                *("--vocabulary", *input.vocabulary),
            ]
            if input.groups
            else []
        ),
        labels=lambda wildcards, input: [
            f"{task}={path}"
            for task, path in zip(targets.sequence(config, wildcards.task), input.labels)
        ],
        attrition=lambda wildcards, input: [
            f"{task}={path}"
            for task, path in zip(targets.sequence(config, wildcards.task), input.attrition)
        ],
        readable=option("readable"),
        without=lambda wildcards, input: [f"{Path(path).stem}={path}" for path in input.without],
        present=wiring.presence("corrected"),
        settings=wiring.behind("corrected"),
        modules=wiring.made_by("corrected"),
        made_by=lambda wildcards: digest_of_code(wiring.made_by("corrected")(wildcards)),
        truth=lambda wildcards, input: (
            ["--truth", "results/hospital/truth"] if input.truth else []
        ),
        truth_of=lambda wildcards, input: [
            f"{task}={known}"
            for task, known in targets.truths(
                config, wildcards.model, wildcards.task, TRUTH
            ).items()
            if input.truth and task != known
        ],
        suppress=SUPPRESS,
        source=lambda wildcards: checks.facts(),
        letters=lambda wildcards: wiring.words(wildcards.modalities),
        torch_threads=config["torch"]["threads"],
    shell:
        "(python -m pipeline.evaluation.result"
        " --target {wildcards.modalities:q}_{wildcards.model:q}_{wildcards.task:q}"
        " --protocol corrected"
        " --predictions {input.predictions:q}"
        " {params.diagnoses:q}"
        " --attention {input.attention:q}"
        " --episodes {input.episodes:q}"
        " --labels {params.labels:q}"
        " --attrition {params.attrition:q}"
        " {params.readable:q}"
        " --without {params.without:q}"
        " --present {params.present:q}"
        " {params.truth:q}"
        " --truth-of {params.truth_of:q}"
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
        " --output {output.figure:q}"
        " --letters {params.letters:q}"
        ") 2> {log:q}"
