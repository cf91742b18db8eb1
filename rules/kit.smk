"""The kit of a result of one binary task: for a paper, and for a clinician who reads it.

Needs a result, its curves, the numbers of the kit and the explanations of the models behind it.
Makes results/[experiment/]kit/{modalities}_{model}_{task}/: report.html, figures, tables, words;
results/published/kit/… likewise.
"""

from pipeline.kit import names as kit_files

for protocol, folder in targets.folders(config).items():

    rule:
        name:
            "make_kit" if protocol == "corrected" else f"make_kit_{protocol}"
        input:
            # first: it refuses targets that have no kit
            result=kits.result(protocol),
            numbers=f"{folder}/kit/{{modalities}}_{{model}}_{{task}}/{kit_files.NUMBERS}",
            curves=f"{HOME}/{protocol}/curves/{{modalities}}_{{model}}_{{task}}.json",
            explanations=wiring.explanations(protocol),
            code=modules("pipeline.kit.make"),
        output:
            page=report(
                f"{folder}/kit/{{modalities}}_{{model}}_{{task}}/{kit_files.PAGE}",
                caption="../workflow/report/kit.rst",
                category="Kits",
                labels={"kit": "{modalities}_{model}_{task}"},
            ),
            files=[
                f"{folder}/kit/{{modalities}}_{{model}}_{{task}}/{name}"
                for name in kit_files.beside()
            ],
        log:
            f"logs/make_kit/{protocol}/{{modalities}}_{{model}}_{{task}}.log",
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
