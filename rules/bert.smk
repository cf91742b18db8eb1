"""Reports through BERT or another text model.

Needs the reports, which of them have words, and which of them episodes use. Trains a small BERT on
the training subjects of the source, unless the config names a model (a folder or a hub name); cuts
reports into windows of pieces; embeds each report once with the frozen model, into a store that
outlives cohorts.
"""

from pipeline.note.registry import EMBEDDED_STORE as EMBEDDED_REPORTS, OWN_BERT, bert_files

BERT, BERT_FILES = config["note"]["bert"]["model"], bert_files(config)
SMALL_BERT = experiments.placed(config, OWN_BERT)


rule train_bert:
    input:
        notes="results/note/clean.parquet",
        radiology="results/source/radiology.parquet",
        eras=wiring.eras,
        code=modules("pipeline.note.train_bert"),
    output:
        config=f"{SMALL_BERT}/config.json",
        weights=f"{SMALL_BERT}/model.safetensors",
        tokenizer=f"{SMALL_BERT}/tokenizer.json",
        tokenizer_config=f"{SMALL_BERT}/tokenizer_config.json",
    log:
        "logs/train_bert/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=growing(4000),
        disk_mb=2000,  # weights of BERT-base and, while it trains, its optimiser's
        runtime=120,
        gpu=GPU,
    params:
        folder=subpath(output.config, parent=True),
        split=setting("split"),
        eras=option("eras"),
        settings=setting("note", "bert", "tiny"),
        tokens=setting("note", "bert", "tokens"),
        torch_threads=config["torch"]["threads"],
        device=config["torch"]["device"],
    shell:
        "python -m pipeline.note.train_bert"
        " --notes {input.notes:q}"
        " --radiology {input.radiology:q}"
        " --split {params.split:q}"
        " {params.eras:q}"
        " --settings {params.settings:q}"
        " --tokens {params.tokens}"
        " --torch-threads {params.torch_threads}"
        " --device {params.device:q}"
        " --output {params.folder:q}"
        " 2> {log:q}"


rule cut_reports:
    input:
        radiology="results/source/radiology.parquet",
        used=f"{UNIT}/note/notes.parquet",
        bert=BERT_FILES if BERT else rules.train_bert.output.tokenizer,
        code=modules("pipeline.note.pieces"),
    output:
        f"{UNIT}/note/tokens.parquet",
    log:
        "logs/cut_reports/{protocol}/{unit}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        model=BERT or subpath(input.bert, parent=True),
        tokens=setting("note", "bert", "tokens"),
    shell:
        "python -m pipeline.note.pieces"
        " --radiology {input.radiology:q}"
        " --episode-notes {input.used:q}"
        " --model {params.model:q}"
        " --tokens {params.tokens}"
        " --output {output:q}"
        " 2> {log:q}"


rule embed_reports:
    input:
        tokens=rules.cut_reports.output,
        bert=BERT_FILES if BERT else rules.train_bert.output.weights,
        code=modules("pipeline.note.embed"),
    output:
        vectors=f"{UNIT}/note/bert.parquet",
        facts=f"{UNIT}/note/bert.json",
    log:
        "logs/embed_reports/{protocol}/{unit}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=growing(8000),
        disk_mb=8000,  # twice 3 kB a report: in the store, and of the cohort
        runtime=480,
        gpu=GPU,
    params:
        model=BERT or subpath(input.bert, parent=True),
        store=EMBEDDED_REPORTS,
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
        device=config["torch"]["device"],
    shell:
        "python -m pipeline.note.embed"
        " --tokens {input.tokens:q}"
        " --model {params.model:q}"
        " --store {params.store:q}"
        " --torch-threads {params.torch_threads}"
        " --precision {params.precision}"
        " --device {params.device:q}"
        " --output {output.vectors:q}"
        " --facts {output.facts:q}"
        " 2> {log:q}"
