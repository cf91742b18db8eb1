"""Modality `n`: radiology reports.

Needs the reports. Cleans them once, whatever the cohort; trains Doc2Vec on the training subjects of
the source (published: on all); infers a vector per report of an episode. The longest chain where
reports are as many as MIMIC's: it has priority, as the films have.
"""

DOC2VEC = experiments.placed(config, "results/{protocol}/note/doc2vec")


rule clean_notes:
    input:
        radiology="results/source/radiology.parquet",
        code=modules("pipeline.note.clean"),
    output:
        "results/note/clean.parquet",
    log:
        "logs/clean_notes.log",
    priority: 20
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        disk_mb=2000,  # 0.75 of radiology.csv.gz
        runtime=60,
    shell:
        "python -m pipeline.note.clean"
        " --radiology {input.radiology:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " 2> {log:q}"


rule train_doc2vec:
    input:
        notes=rules.clean_notes.output,
        eras=wiring.eras,
        code=modules("pipeline.note.doc2vec"),
    output:
        weights=f"{DOC2VEC}/weights.safetensors",
        model=f"{DOC2VEC}/model.json",
    log:
        "logs/train_doc2vec/{protocol}.log",
    priority: 20
    conda:
        "../envs/pipeline.yaml"
    threads: setting("note", "doc2vec", "workers")
    resources:
        mem_mb=growing(6000),
        disk_mb=2000,  # the words' vectors, and the corpus as a file for the fast mode
        runtime=600,
    params:
        folder=subpath(output.model, parent=True),
        fitted_on=setting("note", "fitted_on"),
        letters=setting("note", "letters"),
        split=wiring.split("patients"),
        eras=option("eras"),
        settings=setting("note", "doc2vec"),
    shell:
        "python -m pipeline.note.doc2vec"
        " --notes {input.notes:q}"
        " --fitted-on {params.fitted_on:q}"
        " --letters {params.letters:q}"
        " {params.split:q}"
        " {params.eras:q}"
        " --settings {params.settings:q}"
        " --output {params.folder:q}"
        " 2> {log:q}"


rule select_notes:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        notes=rules.clean_notes.output,
        admissions=only_published("results/source/admissions.parquet"),
        query=query("pipeline/note/notes"),
        code=modules("pipeline.note.notes"),
    output:
        f"{UNIT}/note/notes.parquet",
    log:
        "logs/select_notes/{protocol}/{unit}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        availability=known_from("notes"),
        admissions=option("admissions"),
    shell:
        "python -m pipeline.note.notes"
        " --query {input.query:q}"
        " --episodes {input.episodes:q}"
        " --notes {input.notes:q}"
        " {params.admissions:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
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
        "logs/infer_vectors/{protocol}/{unit}.log",
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        disk_mb=2000,  # 2 kB a report
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
