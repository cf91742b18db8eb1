"""Explanations: what the log odds of a trained model follow, and whether that is told from chance.

Needs pretrained encoders with their heads, or statistics of the EHR, and the truth of the synthetic
hospital where there is one. Makes {UNIT}/explanations/{letter}_{task}.json, and of the baselines
{UNIT}/explanations/e_{model}_{task}.json: no film, no sentence, no single patient. Pictures of
single patients are made by their name alone, below private/, which no rule reads.
"""

from pipeline.plan import explaining

CAUSES = "results/hospital/truth"  # where the risk is planted
CAUSE_FILES = [f"{CAUSES}/causes.json"] if SYNTHETIC else []
FIRST_SEED = config["seeds"][0]
PATIENTS = UNIT.replace("results", "private", 1)  # beside results/, which may be shared
TOLD = ["--truth", CAUSES] if SYNTHETIC else []
ONE_TASK = "[^/.-]+"  # e_logistic-stats_mortality is no task of the letter e

ASKED = (  # of both stages that explain an encoder
    " --target {params.letter:q}_unimodal_{wildcards.task:q}"
    " --protocol {wildcards.protocol:q}"
    " --task {wildcards.task:q}"
    " --episodes {input.episodes:q}"
    " --labels {input.labels:q}"
    " --data {params.data:q}"
    " --files {params.files:q}"
    " --weights {input.weights:q}"
    " --predictions {input.predictions:q}"
    " --seed {params.seed}"
    " {params.truth:q}"
    " --suppress-below {params.suppress}"
    " --torch-threads {params.torch_threads}"
    " --output {output:q}"
)

if SYNTHETIC:

    rule write_causes:
        input:
            summary=rules.make_hospital.output.summary,  # it clears the folder first
            code=modules("pipeline.hospital.causes"),
        output:
            facts=f"{CAUSES}/causes.json",
            tables=expand(
                f"{CAUSES}/causes_{{part}}.parquet",
                part=["admissions", "stays", "films", "signals", "sentences"],
            ),
        log:
            "logs/write_causes.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(1000),
            runtime=10,
        params:
            patients=config["hospital"]["patients"],
            seed=config["hospital"]["seed"],
            chain=float(config["hospital"]["chain"]),
            habits=json.dumps(config["hospital"]["habits"], sort_keys=True),
            severity=json.dumps(config["hospital"]["severity"], sort_keys=True),
            folder=subpath(output.facts, parent=True),
        shell:
            "python -m pipeline.hospital.causes"
            " --output {params.folder:q}"
            " --patients {params.patients:q}"
            " --seed {params.seed:q}"
            " --chain {params.chain:q}"
            " --habits {params.habits:q}"
            " --severity {params.severity:q}"
            " 2> {log:q}"


for letter, modality in wiring.letters.items():
    if not explaining.is_explained(modality):
        continue

    rule:
        name:
            f"explain_{modality}"
        input:
            episodes=f"{UNIT}/episodes.parquet",
            labels=f"{UNIT}/labels/{{task}}.parquet",
            data=wiring.encoder_files(letter),
            beside=explaining.files(wiring, letter),
            weights=f"{UNIT}/models/{{task}}/{modality}/seed{FIRST_SEED}.safetensors",
            predictions=f"{PREDICTIONS}/{letter}_unimodal_{{task}}.parquet",
            truth=CAUSE_FILES,
            code=wiring.encoder_modules("pipeline.explain.encoder", letter),
            own=modules(f"pipeline.explain.{modality}"),
        output:
            f"{UNIT}/explanations/{letter}_{{task}}.json",
        log:
            f"logs/explain_{modality}/{{protocol}}/{{unit}}/{{task}}.log",
        wildcard_constraints:
            task=ONE_TASK,
        conda:
            "../envs/pipeline.yaml"
        threads: config["torch"]["threads"]
        resources:
            mem_mb=growing(4000),
            runtime=60,
            gpu=GPU,
        params:
            letter=letter,
            data=wiring.encoder_data(letter),
            files=explaining.options(wiring, letter),
            truth=TOLD,
            suppress=SUPPRESS,
            seed=FIRST_SEED,
            device=config["torch"]["device"],
            torch_threads=config["torch"]["threads"],
        shell:
            f"python -m pipeline.explain.encoder {ASKED}" " --device {params.device:q} 2> {log:q}"

    rule:
        name:
            f"draw_patients_{modality}"
        input:
            episodes=f"{UNIT}/episodes.parquet",
            labels=f"{UNIT}/labels/{{task}}.parquet",
            data=wiring.encoder_files(letter),
            beside=explaining.files(wiring, letter),
            weights=f"{UNIT}/models/{{task}}/{modality}/seed{FIRST_SEED}.safetensors",
            predictions=f"{PREDICTIONS}/{letter}_unimodal_{{task}}.parquet",
            truth=CAUSE_FILES,
            code=wiring.encoder_modules("pipeline.explain.private", letter),
            own=modules(f"pipeline.explain.{modality}"),
        output:
            f"{PATIENTS}/{letter}_{{task}}.pdf",
        log:
            f"logs/draw_patients_{modality}/{{protocol}}/{{unit}}/{{task}}.log",
        wildcard_constraints:
            task=ONE_TASK,
        conda:
            "../envs/pipeline.yaml"
        threads: config["torch"]["threads"]
        resources:
            mem_mb=growing(4000),
            runtime=60,
            gpu=GPU,
        params:
            letter=letter,
            data=wiring.encoder_data(letter),
            files=explaining.options(wiring, letter),
            truth=TOLD,
            suppress=SUPPRESS,
            seed=FIRST_SEED,
            device=config["torch"]["device"],
            torch_threads=config["torch"]["threads"],
        shell:
            f"python -m pipeline.explain.private {ASKED}" " --device {params.device:q} 2> {log:q}"


rule explain_statistics:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        labels=f"{UNIT}/labels/{{task}}.parquet",
        features=wiring.statistics,
        predictions=rules.fit_statistics.output,
        truth=CAUSE_FILES,
        code=modules("pipeline.explain.statistics"),
    output:
        [f"{UNIT}/explanations/e_{model}-stats_{{task}}.json" for model in ON_STATISTICS],
    log:
        "logs/explain_statistics/{protocol}/{unit}/{task}.log",
    wildcard_constraints:
        task=ONE_TASK,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        models=ON_STATISTICS,
        truth=TOLD,
        suppress=SUPPRESS,
        seed=FIRST_SEED,
    shell:
        "python -m pipeline.explain.statistics"
        " --model {params.models:q}"
        " --protocol {wildcards.protocol:q}"
        " --task {wildcards.task:q}"
        " --episodes {input.episodes:q}"
        " --labels {input.labels:q}"
        " --features {input.features:q}"
        " --predictions {input.predictions:q}"
        " --seed {params.seed}"
        " {params.truth:q}"
        " --suppress-below {params.suppress}"
        " --threads {threads}"
        " --output {output:q}"
        " 2> {log:q}"
