"""Tables over all results: comparisons of models, attribution to modalities, the paper's claims.

Needs the predictions and results of every modality set, model and task, under both protocols.
Makes results/tables/wang.md, .html, .csv and figures.
"""


rule compare_models:
    input:
        predictions=lambda wildcards: [
            table
            for name in targets.grid(config, wildcards.protocol)
            if name.split("_", 2)[2] == wildcards.task
            for table in wiring.in_folds(
                f"{PREDICTIONS}/{name}.parquet", wildcards.protocol, wildcards.task
            )
        ],
        present=wiring.present(),
        code=modules("pipeline.evaluation.comparison"),
    output:
        "results/{protocol}/contrasts/{task}.json",
    log:
        "logs/compare_models/{protocol}/{task}.log",
    wildcard_constraints:
        protocol="corrected|published",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        present=wiring.presence(),
        suppress=SUPPRESS,
    shell:
        "python -m pipeline.evaluation.comparison"
        " --families best-single early one-less"
        " --protocol {wildcards.protocol:q}"
        " --predictions {input.predictions:q}"
        " --present {params.present:q}"
        " --suppress-below {params.suppress}"
        " --output {output:q}"
        " 2> {log:q}"


rule attribute_modalities:
    input:
        predictions=lambda wildcards: [
            table
            for letters in targets.modality_sets(config)
            for model in ["unimodal" if len(letters) == 1 else wildcards.fusion]
            for name in [f"{letters}_{model}_{wildcards.task}"]
            for table in wiring.in_folds(
                f"{PREDICTIONS}/{name}.parquet", wildcards.protocol, wildcards.task
            )
        ],
        present=wiring.present(),
        code=modules("pipeline.evaluation.attribution"),
    output:
        "results/{protocol}/attribution/{fusion}_{task}.json",
    log:
        "logs/attribute_modalities/{protocol}/{fusion}_{task}.log",
    wildcard_constraints:
        fusion="|".join(registry.fusions()),
        protocol="corrected|published",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        predictions=lambda wildcards, input: targets.by_set(config, input.predictions),
        present=wiring.presence(),
        suppress=SUPPRESS,
    shell:
        "python -m pipeline.evaluation.attribution"
        " --task {wildcards.task:q}"
        " --fusion {wildcards.fusion:q}"
        " --protocol {wildcards.protocol:q}"
        " --predictions {params.predictions:q}"
        " --present {params.present:q}"
        " --suppress-below {params.suppress}"
        " --output {output:q}"
        " 2> {log:q}"


rule write_tables:
    input:
        results=[
            f"{folder}/{name}.json"
            for protocol, folder in RESULTS.items()
            for name in targets.grid(config, protocol)
        ],
        contrasts=expand(
            "results/{protocol}/contrasts/{task}.json", protocol=RESULTS, task=config["tasks"]
        ),
        attribution=expand(
            "results/{protocol}/attribution/{fusion}_{task}.json",
            protocol=RESULTS,
            fusion=registry.fusions(),
            task=config["tasks"],
        ),
        code=modules(
            "pipeline.report.tables",
            "pipeline.report.forest",
            "pipeline.report.attribution",
            "pipeline.report.webpage",
        ),
    output:
        markdown="results/tables/wang.md",
        csv=report(
            "results/tables/wang.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            labels={"table": "Admissions, csv (download)"},
        ),
        page=report(
            "results/tables/wang.html",
            caption="../workflow/report/wang.rst",
            category="Tables",
            labels={"table": "Admissions"},
        ),
        forest="results/tables/wang.svg",
        attribution="results/tables/attribution.svg",
    log:
        "logs/write_tables.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    shell:
        "(python -m pipeline.report.forest"
        " --results {input.results:q}"
        " --output {output.forest:q}"
        " && python -m pipeline.report.attribution"
        " --attribution {input.attribution:q}"
        " --output {output.attribution:q}"
        " && python -m pipeline.report.tables"
        " --results {input.results:q}"
        " --contrasts {input.contrasts:q}"
        " --attribution {input.attribution:q}"
        " --figures {output.forest:q} {output.attribution:q}"
        " --markdown {output.markdown:q}"
        " --csv {output.csv:q}"
        " && python -m pipeline.report.webpage"
        " --markdown {output.markdown:q}"
        " --output {output.page:q}"
        ") 2> {log:q}"


rule tables:
    input:
        rules.write_tables.output,


rule cohorts:
    input:
        expand(
            "results/{protocol}/admission/labels/{task}.parquet",
            protocol=RESULTS,
            task=config["tasks"],
        ),
        expand(
            "results/corrected/stay/labels/{task}.parquet",
            task=config["unimed"]["tasks"],
        ),


rule embeddings:
    input:
        expand(
            "results/{protocol}/admission/embeddings/{task}/{name}.parquet",
            protocol=RESULTS,
            task=config["tasks"],
            name=LETTERS.values(),
        ),


rule corrected:
    input:
        [f"results/{name}.json" for name in targets.grid(config, "corrected")],


rule published:
    input:
        [f"results/published/{name}.json" for name in targets.grid(config, "published")],
