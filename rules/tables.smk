"""Pages of tables over many results, and the comparisons of models behind them.

Needs the predictions and results of the grids of pipeline/plan/targets.py. Makes
results/{protocol}/contrasts/, results/{protocol}/attribution/ and, for each page, wang (admissions,
both protocols) and unimed (ICU stays), results/tables/{page}.md, .html, .csv and figures.
"""

GRID = {
    "wang": [
        f"{folder}/{name}.json"
        for protocol, folder in RESULTS.items()
        for name in targets.grid(config, protocol)
    ],
    "unimed": [f"results/{name}.json" for name in targets.decoder_grid(config)],
}
CONTRASTS = {
    "wang": expand(
        "results/{protocol}/contrasts/{task}.json", protocol=RESULTS, task=config["tasks"]
    ),
    "unimed": "results/corrected/contrasts/unimed.json",
}
ATTRIBUTION = {
    "wang": expand(
        "results/{protocol}/attribution/{fusion}_{task}.json",
        protocol=RESULTS,
        fusion=registry.fusions(),
        task=config["tasks"],
    )
}
FIGURES = {"wang": ["wang", "attribution"], "unimed": ["unimed_attention"]}
TITLES = {"wang": "Admissions", "unimed": "ICU stays"}
RANKED = [task for task in config["unimed"]["all"] if task.startswith("diagnoses")]


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
        code=modules("pipeline.evaluation.contrasts"),
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
        "python -m pipeline.evaluation.contrasts"
        " --task {wildcards.task:q}"
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


rule compare_unimed:
    input:
        predictions=[
            table
            for name in targets.decoder_grid(config)
            for table in wiring.in_folds(f"{PREDICTIONS}/{name}.parquet", "corrected", "all")
        ],
        diagnoses=[
            table
            for name in targets.decoder_grid(config)
            if {*targets.sequence(config, name.split("_", 2)[2])} & {*RANKED}
            for table in wiring.in_folds(
                f"{PREDICTIONS}/{name}.diagnoses.parquet", "corrected", "all"
            )
        ],
        groups=[
            table
            for task in RANKED
            for table in wiring.in_folds(f"{UNIT}/labels/{task}.groups.parquet", "corrected", task)
        ],
        vocabulary=[
            table
            for task in RANKED
            for table in wiring.in_folds(
                f"{UNIT}/labels/{task}.vocabulary.parquet", "corrected", task
            )
        ],
        present=wiring.present("corrected", "stay"),
        code=modules("pipeline.evaluation.multitask_contrasts"),
    output:
        "results/corrected/contrasts/unimed.json",
    log:
        "logs/compare_unimed.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        ranked=RANKED,
        present=wiring.presence("corrected", "stay"),
        variants=json.dumps(config["unimed"]["variants"], sort_keys=True),
        suppress=SUPPRESS,
    shell:
        "python -m pipeline.evaluation.multitask_contrasts"
        " --protocol corrected"
        " --predictions {input.predictions:q}"
        " --diagnoses {input.diagnoses:q}"
        " --diagnoses-task {params.ranked:q}"
        " --groups {input.groups:q}"
        " --vocabulary {input.vocabulary:q}"
        " --variants {params.variants:q}"
        " --present {params.present:q}"
        " --suppress-below {params.suppress}"
        " --output {output:q}"
        " 2> {log:q}"


for page, title in TITLES.items():

    rule:
        name:
            f"write_{page}"
        input:
            results=GRID[page],
            contrasts=CONTRASTS[page],
            attribution=ATTRIBUTION.get(page, []),
            code=modules(f"pipeline.report.{page}"),
        output:
            markdown=f"results/tables/{page}.md",
            csv=report(
                f"results/tables/{page}.csv",
                caption="../workflow/report/csv.rst",
                category="Tables",
                labels={"table": f"{title}, csv (download)"},
            ),
            html=report(
                f"results/tables/{page}.html",
                caption=f"../workflow/report/{page}.rst",
                category="Tables",
                labels={"table": title},
            ),
            figures=[f"results/tables/{figure}.svg" for figure in FIGURES[page]],
        log:
            f"logs/write_{page}.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=30,
        params:
            page=page,
            letters=wiring.words(),
        shell:
            "python -m pipeline.report.{params.page}"
            " --results {input.results:q}"
            " --contrasts {input.contrasts:q}"
            " --attribution {input.attribution:q}"
            " --letters {params.letters:q}"
            " --markdown {output.markdown:q}"
            " --html {output.html:q}"
            " --csv {output.csv:q}"
            " --figures {output.figures:q}"
            " 2> {log:q}"


rule tables:
    input:
        "results/tables/wang.md",


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
