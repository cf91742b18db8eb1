"""Pages of tables over many results, and the comparisons of models behind them.

Needs the predictions and results of the grids of pipeline/plan/targets.py. Makes
results/{protocol}/contrasts/, results/{protocol}/attribution/ and, for each page of
pipeline/plan/tables.py, results/tables/{page}.md, .html, .csv and figures.
"""

from pipeline.plan import tables

comparing = tables.Comparing(config, wiring)


rule compare_models:
    input:
        predictions=comparing.predictions,
        diagnoses=comparing.diagnoses,
        groups=comparing.labels("groups"),
        vocabulary=comparing.labels("vocabulary"),
        present=comparing.present,
        code=modules("pipeline.evaluation.comparison"),
    output:
        f"{HOME}/{{protocol}}/contrasts/{{study}}.json",
    log:
        "logs/compare_models/{protocol}/{study}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        options=comparing.options,
        suppress=SUPPRESS,
    shell:
        "python -m pipeline.evaluation.comparison"
        " --protocol {wildcards.protocol:q}"
        " --predictions {input.predictions:q}"
        " {params.options:q}"
        " --suppress-below {params.suppress}"
        " --output {output:q}"
        " 2> {log:q}"


rule attribute_modalities:
    input:
        predictions=comparing.of_sets,
        present=wiring.present(),
        code=modules("pipeline.evaluation.attribution"),
    output:
        f"{HOME}/{{protocol}}/attribution/{{fusion}}_{{task}}.json",
    log:
        "logs/attribute_modalities/{protocol}/{fusion}_{task}.log",
    wildcard_constraints:
        fusion="|".join(registry.fusions()),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        predictions=lambda wildcards, input: grids.by_set(config, input.predictions),
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


for name, page in tables.pages(config).items():

    rule:
        name:
            f"write_{name}"
        input:
            results=page.results,
            contrasts=page.contrasts,
            attribution=page.attributions,
            code=modules(f"pipeline.report.{name}"),
        output:
            markdown=f"{HOME}/tables/{name}.md",
            csv=report(
                f"{HOME}/tables/{name}.csv",
                caption="../workflow/report/csv.rst",
                category="Tables",
                labels={"table": f"{page.title}, csv (download)"},
            ),
            html=report(
                f"{HOME}/tables/{name}.html",
                caption=f"../workflow/report/{name}.rst",
                category="Tables",
                labels={"table": page.title},
            ),
            figures=[f"{HOME}/tables/{figure}.svg" for figure in page.figures],
        log:
            f"logs/write_{name}.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=30,
        params:
            page=name,
            words=wiring.words(),
        shell:
            "python -m pipeline.report.{params.page}"
            " --results {input.results:q}"
            " --contrasts {input.contrasts:q}"
            " --attribution {input.attribution:q}"
            " --words {params.words:q}"
            " --markdown {output.markdown:q}"
            " --html {output.html:q}"
            " --csv {output.csv:q}"
            " --figures {output.figures:q}"
            " 2> {log:q}"


for name, files in tables.collections(config).items():

    rule:
        name:
            f"{name}"
        input:
            files,
