"""One result: metrics with intervals, ceiling, comparisons, subgroups, curves.

Needs the predictions of a model in every fold, and of the single modalities that it is compared
with. Makes results/{modalities}_{model}_{task}.json, its figure .svg and the sidecar .run.json;
results/published/… for the published protocol.
"""

for protocol, folder in RESULTS.items():

    rule:
        name:
            "evaluate_model" if protocol == "corrected" else f"evaluate_{protocol}"
        input:
            # first: it refuses targets that cannot be made
            truth=known_truth(protocol),
            predictions=wiring.predictions(protocol),
            singles=wiring.single_models(protocol),
            absent=wiring.without_modalities(protocol),
            present=wiring.present(protocol),
            episodes=f"results/{protocol}/admission/episodes.parquet",
            without=wiring.left_out(protocol),
            labels=f"results/{protocol}/admission/labels/{{task}}.parquet",
            attrition=f"results/{protocol}/admission/labels/{{task}}.attrition.json",
            readable=wiring.readable(protocol),
            lock="requirements.lock",
            code=modules("pipeline.evaluation.result", "pipeline.report.curves"),
        output:
            result=f"{folder}/{{modalities}}_{{model}}_{{task}}.json",
            sidecar=f"{folder}/{{modalities}}_{{model}}_{{task}}.run.json",
            figure=report(
                f"{folder}/{{modalities}}_{{model}}_{{task}}.svg",
                caption="../workflow/report/result.rst",
                category=f"Admissions, {protocol} protocol",
                subcategory="{task}",
                labels=headline,
            ),
            curves=f"results/{protocol}/curves/{{modalities}}_{{model}}_{{task}}.json",
        log:
            f"logs/evaluate_model/{protocol}/{{modalities}}_{{model}}_{{task}}.log",
        wildcard_constraints:
            # UniMed's results have a rule of their own; published, they are refused here
            model="(?!unimed)[^_/]+" if protocol == "corrected" else "[^_/]+",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=60,
        params:
            protocol=protocol,
            settings=wiring.behind(protocol),
            modules=wiring.made_by(protocol),
            # a digest, not inputs: a hundred files of each result double the time of a plan
            made_by=lambda wildcards, own=wiring.made_by(protocol): digest_of_code(own(wildcards)),
            singles=option("singles"),
            absent=option("absent"),
            readable=option("readable"),
            without=lambda wildcards, input: [f"{wildcards.task}={path}" for path in input.without],
            present=wiring.presence(protocol),
            truth=lambda wildcards, input: (
                ["--truth", "results/hospital/truth"] if input.truth else []
            ),
            suppress=SUPPRESS,
            source=lambda wildcards: checks.facts(),
            letters=lambda wildcards: wiring.words(wildcards.modalities),
            torch_threads=config["torch"]["threads"],
        shell:
            "(python -m pipeline.evaluation.result"
            " --target {wildcards.modalities:q}_{wildcards.model:q}_{wildcards.task:q}"
            " --protocol {params.protocol:q}"
            " --predictions {input.predictions:q}"
            " {params.singles:q}"
            " {params.absent:q}"
            " {params.readable:q}"
            " --present {params.present:q}"
            " --episodes {input.episodes:q}"
            " --without {params.without:q}"
            " {params.truth:q}"
            " --suppress-below {params.suppress}"
            " --labels {wildcards.task:q}={input.labels:q}"
            " --attrition {wildcards.task:q}={input.attrition:q}"
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
            " --letters {params.letters:q}"
            " --curves {output.curves:q}"
            " --output {output.figure:q}"
            ") 2> {log:q}"
