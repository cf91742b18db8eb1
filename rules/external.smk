"""A stored model, unchanged, on the patients of another source of config.external.

Needs the model of a result and its predictions at home, and the files of the other source. Makes
results/external/{source}/{modalities}_{model}_{task}.json, and its figure .svg.
"""


rule validate_externally:
    input:
        data=checks.external,  # first: it refuses what cannot be validated
        model=f"{folder_of(config)}/{{modalities}}_{{model}}_{{task}}/model.json",
        predictions=storing.predictions,
        code=modules("pipeline.predict.external"),
    output:
        f"{HOME}/external/{{source}}/{{modalities}}_{{model}}_{{task}}.json",
    log:
        "logs/validate_externally/{source}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        source="[^/]+",
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=growing(8000),
        disk_mb=8000,  # the tables of the source, extracted
        runtime=240,
        gpu=GPU,
    params:
        folder=lambda wildcards, input: str(Path(input.model).parent),
        device=config["torch"]["device"],
        source=lambda wildcards: json.dumps(config["external"][wildcards.source], sort_keys=True),
    shell:
        "python -m pipeline.predict.external"
        " --model {params.folder:q}"
        " --predictions {input.predictions:q}"
        " --name {wildcards.source:q}"
        " --source {params.source:q}"
        " --output {output:q}"
        " --device {params.device:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule draw_external:
    input:
        result=f"{HOME}/external/{{source}}/{{modalities}}_{{model}}_{{task}}.json",
        code=modules("pipeline.report.external"),
    output:
        f"{HOME}/external/{{source}}/{{modalities}}_{{model}}_{{task}}.svg",
    log:
        "logs/draw_external/{source}/{modalities}_{model}_{task}.log",
    wildcard_constraints:
        source="[^/]+",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    shell:
        "python -m pipeline.report.external"
        " --result {input.result:q}"
        " --output {output:q}"
        " 2> {log:q}"
