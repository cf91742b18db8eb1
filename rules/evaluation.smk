"""One result: metrics with intervals, ceiling, comparisons, curves.

Needs the predictions of a model, and of the single modalities that it is compared with. Makes
results/{modalities}_{model}_{task}.json, its figure .svg and the sidecar .run.json.
"""

PREDICTIONS = "results/corrected/predictions"


rule evaluate_model:
    input:
        predictions=f"{PREDICTIONS}/{{modalities}}_{{model}}_{{task}}.parquet",
        singles=lambda wildcards: [
            f"{PREDICTIONS}/{letter}_unimodal_{wildcards.task}.parquet"
            for letter in checked(wildcards.modalities, wildcards.model, wildcards.task)
            if wildcards.model != "unimodal"
        ],
        attrition=f"{UNIT}/labels/{{task}}.attrition.json",
        truth=lambda wildcards: (
            [
                "results/hospital/truth/ceilings.json",
                f"results/hospital/truth/oracle_{wildcards.task}.parquet",
            ]
            if SYNTHETIC and wildcards.task in TRUTH
            else []
        ),
        lock="requirements.lock",
        code=modules("pipeline.evaluation.result", "pipeline.report.curves"),
        made_by=lambda wildcards: modules(
            *planning.made_by(config, wildcards.modalities, wildcards.model, wildcards.task)
        ),
    output:
        result="results/{modalities}_{model}_{task}.json",
        sidecar="results/{modalities}_{model}_{task}.run.json",
        figure="results/{modalities}_{model}_{task}.svg",
        curves=f"{UNIT}/curves/{{modalities}}_{{model}}_{{task}}.json",
    log:
        "logs/evaluate_model/{modalities}_{model}_{task}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=lambda wildcards: planning.settings_of(
            config, wildcards.modalities, wildcards.model
        ),
        modules=lambda wildcards: planning.made_by(
            config, wildcards.modalities, wildcards.model, wildcards.task
        ),
        singles=lambda wildcards, input: (["--singles", *input.singles] if input.singles else []),
        truth="--truth results/hospital/truth" if SYNTHETIC else "--suppress-below 10",
        torch_threads=config["torch"]["threads"],
    shell:
        "(python -m pipeline.evaluation.result"
        " --target {wildcards.modalities:q}_{wildcards.model:q}_{wildcards.task:q}"
        " --protocol corrected"
        " --predictions {input.predictions:q}"
        " {params.singles:q}"
        " {params.truth}"
        " --attrition {input.attrition:q}"
        " --settings {params.settings:q}"
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
        ") 2> {log:q}"
