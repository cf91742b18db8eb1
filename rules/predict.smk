"""The model of a result, stored for new patients, and their risks.

Needs a result of the corrected protocol and everything that was fitted for it. Makes one folder,
results/models/{modalities}_{model}_{task}/, of which model.json, written last, names every file;
`python -m pipeline.predict` reads it, and nothing else of a run. Of the patients of a source of
config.external it makes results/predicted/{source}/{modalities}_{model}_{task}.parquet, and the
report beside it.
"""

from pipeline.plan.storing import Storing, folder_of

storing = Storing(wiring, checks.storable)


rule save_model:
    input:
        predictions=storing.predictions,  # first: it refuses what cannot be stored
        result=f"{HOME}/{{modalities}}_{{model}}_{{task}}.json",
        episodes=storing.table("episodes.parquet"),
        labels=storing.table("labels/{task}.parquet"),
        weights=storing.weights,
        embeddings=storing.embeddings,
        features=storing.features,
        encoded=storing.encoded,
        events=storing.events,
        bins=storing.bins,
        doc2vec=storing.doc2vec,
        source=storing.source,
        code=modules("pipeline.predict.save"),
    output:
        f"{folder_of(config)}/{{modalities}}_{{model}}_{{task}}/model.json",
    log:
        "logs/save_model/{modalities}_{model}_{task}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        disk_mb=2000,  # a copy of the weights
        runtime=60,
    params:
        experiment=["--experiment", config["name"]] if config.get("name") else [],
        settings=storing.settings,
        letters=storing.letters,
        data=storing.data,
        folder=storing.folder,
        files=option("embeddings", "features", "events", "bins"),
        doc2vec=storing.doc2vec_folder,
    shell:
        "python -m pipeline.predict.save"
        " --target {wildcards.modalities:q}_{wildcards.model:q}_{wildcards.task:q}"
        " {params.experiment:q}"
        " --result {input.result:q}"
        " --predictions {input.predictions:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --settings {params.settings:q}"
        " --letters {params.letters:q}"
        " --data {params.data:q}"
        " --weights {params.folder:q}"
        " {params.files:q}"
        " {params.doc2vec:q}"
        " --source results/source"
        " --output {output:q}"
        " 2> {log:q}"


rule predict_new:
    input:
        data=checks.external,  # first: it refuses what cannot be predicted
        model=f"{folder_of(config)}/{{modalities}}_{{model}}_{{task}}/model.json",
        code=modules("pipeline.predict.__main__"),
    output:
        risks=f"{HOME}/predicted/{{source}}/{{modalities}}_{{model}}_{{task}}.parquet",
        report=f"{HOME}/predicted/{{source}}/{{modalities}}_{{model}}_{{task}}.report.json",
    log:
        "logs/predict_new/{source}/{modalities}_{model}_{task}.log",
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
        "python -m pipeline.predict.__main__"
        " --model {params.folder:q}"
        " --source {params.source:q}"
        " --output {output.risks:q}"
        " --device {params.device:q}"
        " --threads {threads} --memory-mb {resources.mem_mb}"
        " 2> {log:q}"
