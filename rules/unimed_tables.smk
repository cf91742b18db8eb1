"""Tables of ICU stays: comparisons of UniMed's models, and the paper's tables.

Needs every result of the grid, see `decoder_grid` of pipeline/plan/targets.py. Makes
results/{protocol}/contrasts/unimed.json; results/tables/unimed.md, .html, .csv and
unimed_attention.svg.
"""

UNIMED_TABLES = [f"results/{name}.json" for name in targets.decoder_grid(config)]
RANKED = [task for task in config["unimed"]["all"] if task.startswith("diagnoses")]


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
        code=modules("pipeline.evaluation.comparison"),
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
        "python -m pipeline.evaluation.comparison"
        " --families multitask bound ablation modality"
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


rule write_unimed_tables:
    input:
        results=UNIMED_TABLES,
        contrasts="results/corrected/contrasts/unimed.json",
        code=modules(
            "pipeline.report.unimed", "pipeline.report.task_attention", "pipeline.report.webpage"
        ),
    output:
        markdown="results/tables/unimed.md",
        csv=report(
            "results/tables/unimed.csv",
            caption="../workflow/report/csv.rst",
            category="Tables",
            labels={"table": "ICU stays, csv (download)"},
        ),
        page=report(
            "results/tables/unimed.html",
            caption="../workflow/report/unimed.rst",
            category="Tables",
            labels={"table": "ICU stays"},
        ),
        attention="results/tables/unimed_attention.svg",
    log:
        "logs/write_unimed_tables.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    shell:
        "(python -m pipeline.report.task_attention"
        " --results {input.results:q}"
        " --output {output.attention:q}"
        " && python -m pipeline.report.unimed"
        " --results {input.results:q}"
        " --contrasts {input.contrasts:q}"
        " --figures {output.attention:q}"
        " --markdown {output.markdown:q}"
        " --csv {output.csv:q}"
        " && python -m pipeline.report.webpage"
        " --markdown {output.markdown:q}"
        " --output {output.page:q}"
        ") 2> {log:q}"
