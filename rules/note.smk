"""Modality `n`: radiology reports.

Needs the reports. Cleans them once, whatever the cohort; trains Doc2Vec on the training subjects of
the source; infers a vector per report of an episode; pretrains the encoder per task; embeds.
"""


rule clean_notes:
    input:
        radiology="results/source/radiology.parquet",
        code=modules("pipeline.note.clean"),
    output:
        "results/note/clean.parquet",
    log:
        "logs/clean_notes.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "python -m pipeline.note.clean"
        " --radiology {input.radiology:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule train_doc2vec:
    input:
        notes=rules.clean_notes.output,
        code=modules("pipeline.note.doc2vec"),
    output:
        weights="results/corrected/note/doc2vec/weights.safetensors",
        model="results/corrected/note/doc2vec/model.json",
    log:
        "logs/train_doc2vec.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=4000,
        runtime=600,
    params:
        folder=subpath(output.model, parent=True),
        split=setting("split"),
        settings=setting("note", "doc2vec"),
    shell:
        "python -m pipeline.note.doc2vec"
        " --notes {input.notes:q}"
        " --split {params.split:q}"
        " --settings {params.settings:q}"
        " --output {params.folder:q}"
        " 2> {log:q}"


rule select_notes:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        notes=rules.clean_notes.output,
        code=modules("pipeline.note.notes"),
    output:
        f"{UNIT}/note/notes.parquet",
    log:
        "logs/select_notes.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        availability=known_from("notes"),
    shell:
        "python -m pipeline.note.notes"
        " --episodes {input.episodes:q}"
        " --notes {input.notes:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule infer_vectors:
    input:
        notes=rules.clean_notes.output,
        used=rules.select_notes.output,
        weights=rules.train_doc2vec.output.weights,
        model=rules.train_doc2vec.output.model,
        code=modules("pipeline.note.vectors"),
    output:
        f"{UNIT}/note/vectors.parquet",
    log:
        "logs/infer_vectors.log",
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        folder=subpath(input.model, parent=True),
    shell:
        "python -m pipeline.note.vectors"
        " --notes {input.notes:q}"
        " --episode-notes {input.used:q}"
        " --model {params.folder:q}"
        " --output {output:q}"
        " --threads {threads}"
        " 2> {log:q}"


rule pretrain_note:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        notes=rules.select_notes.output,
        vectors=rules.infer_vectors.output,
        code=modules("pipeline.note.pretrain"),
    output:
        weights=[f"{UNIT}/models/{{task}}/note/seed{s}.safetensors" for s in config["seeds"]],
        history=f"{UNIT}/models/{{task}}/note/history.json",
    log:
        "logs/pretrain_note/{task}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=GPU,
    params:
        folder=subpath(output.history, parent=True),
        schedule=setting("note", "schedule"),
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
    shell:
        "python -m pipeline.note.pretrain"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --notes {input.notes:q}"
        " --vectors {input.vectors:q}"
        " --schedule {params.schedule:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --output {params.folder:q}"
        " 2>&1 | tee {log:q}"


rule embed_note:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        notes=rules.select_notes.output,
        vectors=rules.infer_vectors.output,
        weights=rules.pretrain_note.output.weights,
        code=modules("pipeline.note.embed"),
    output:
        embeddings=f"{UNIT}/embeddings/{{task}}/note.parquet",
        predictions="results/corrected/predictions/n_unimodal_{task}.parquet",
    log:
        "logs/embed_note/{task}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=GPU,
    params:
        seeds=config["seeds"],
        device=config["torch"]["device"],
        torch_threads=config["torch"]["threads"],
        missing=config["missing"],
    shell:
        "python -m pipeline.note.embed"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --notes {input.notes:q}"
        " --vectors {input.vectors:q}"
        " --weights {input.weights:q}"
        " --seeds {params.seeds}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --missing {params.missing:q}"
        " --output {output.embeddings:q}"
        " --predictions {output.predictions:q}"
        " 2> {log:q}"
