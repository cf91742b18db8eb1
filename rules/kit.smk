"""The kit of a result of one binary task: for a paper, and for a clinician who reads it.

Needs a result, its curves, the numbers of the kit and the explanations of the models behind it.
Makes results/[experiment/]kit/{modalities}_{model}_{task}/: report.html, figures, tables, words.
"""

from pipeline.kit import names as kit_files

KIT = f"{HOME}/kit/{{modalities}}_{{model}}_{{task}}"


rule make_kit:
    input:
        result=f"{HOME}/{{modalities}}_{{model}}_{{task}}.json",
        curves=f"{HOME}/corrected/curves/{{modalities}}_{{model}}_{{task}}.json",
        numbers=f"{KIT}/numbers.json",
        explanations=wiring.explanations(),
        code=modules("pipeline.kit.make"),
    output:
        page=report(
            f"{KIT}/{kit_files.PAGE}",
            caption="../workflow/report/kit.rst",
            category="Kits",
            labels={"kit": "{modalities}_{model}_{task}"},
        ),
        files=[f"{KIT}/{name}" for name in kit_files.files()[1:]],
    log:
        "logs/make_kit/{modalities}_{model}_{task}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        words=wiring.words(),
    shell:
        "python -m pipeline.kit.make"
        " --result {input.result:q}"
        " --curves {input.curves:q}"
        " --numbers {input.numbers:q}"
        " --explanations {input.explanations:q}"
        " --words {params.words:q}"
        " --output {output.page:q}"
        " 2> {log:q}"
