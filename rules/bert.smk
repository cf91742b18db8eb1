"""Reports through BERT.

Needs the reports, which of them have words, and which of them episodes use. Trains a small BERT on
the training subjects of the source, unless the config names one (a folder or a hub name); cuts
reports into windows of WordPieces; gives each report the vector of the frozen BERT.
"""

from pipeline.note.registry import OWN_BERT, bert_files

BERT, BERT_FILES = config["note"]["bert"]["model"], bert_files(config)


rule train_bert:
    input:
        notes="results/note/clean.parquet",
        radiology="results/source/radiology.parquet",
        code=modules("pipeline.note.train_bert"),
    output:
        config=f"{OWN_BERT}/config.json",
        weights=f"{OWN_BERT}/model.safetensors",
        tokenizer=f"{OWN_BERT}/tokenizer.json",
        tokenizer_config=f"{OWN_BERT}/tokenizer_config.json",
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
        settings=setting("note", "bert", "tiny"),
        tokens=setting("note", "bert", "tokens"),
        torch_threads=config["torch"]["threads"],
        device=config["torch"]["device"],
    shell:
        "python -m pipeline.note.train_bert"
        " --notes {input.notes:q}"
        " --radiology {input.radiology:q}"
        " --split {params.split:q}"
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
        code=modules("pipeline.note.wordpiece"),
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
        "python -m pipeline.note.wordpiece"
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
        code=modules("pipeline.note.bert"),
    output:
        f"{UNIT}/note/bert.parquet",
    log:
        "logs/embed_reports/{protocol}/{unit}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: config["torch"]["threads"]
    resources:
        mem_mb=growing(8000),
        disk_mb=4000,  # 3 kB a report
        runtime=480,
        gpu=GPU,
    params:
        model=BERT or subpath(input.bert, parent=True),
        torch_threads=config["torch"]["threads"],
        precision=setting("torch", "precision"),
        device=config["torch"]["device"],
    shell:
        "python -m pipeline.note.bert"
        " --tokens {input.tokens:q}"
        " --model {params.model:q}"
        " --torch-threads {params.torch_threads}"
        " --precision {params.precision}"
        " --device {params.device:q}"
        " --output {output:q}"
        " 2> {log:q}"
