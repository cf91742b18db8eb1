"""Films and reports that are embedded once, whatever the task.

Needs the films or reports of the episodes. A frozen network embeds each film, into a store that
outlives cohorts; a user's own embeddings are checked, and those of the cohort kept. (A frozen text
model is in rules/bert.smk, for UniMed has it by default.)
"""

if "cxr" in wiring.letters.values():
    from pipeline.cxr.registry import EMBEDDED_STORE, backbone_files

    rule embed_films:
        input:
            decoded=rules.count_films.input.decoded,
            readable=rules.count_films.output,
            network=backbone_files(config),
            code=modules("pipeline.cxr.embed"),
        output:
            places=f"{UNIT}/cxr/embedded.parquet",
            facts=f"{UNIT}/cxr/embedded.json",
        log:
            "logs/embed_films/{protocol}/{unit}.log",
        priority: 20
        conda:
            "../envs/pipeline.yaml"
        threads: config["torch"]["threads"]
        resources:
            mem_mb=growing(6000),
            disk_mb=4000,  # 3 kB a film, of 377,110
            runtime=480,
            gpu=GPU,
        params:
            pixels=setting("cxr", "pixels"),
            full=lambda wildcards: "--full" if setting("cxr", "full")(wildcards) else "",
            films_store=STORE,
            model=setting("cxr", "backbone", "model"),
            weights=lambda wildcards: setting("cxr", "backbone", "weights")(wildcards) or [],
            store=EMBEDDED_STORE,
            torch_threads=config["torch"]["threads"],
            precision=setting("torch", "precision"),
            device=config["torch"]["device"],
        shell:
            "python -m pipeline.cxr.embed"
            " --decoded {input.decoded:q}"
            " --films-store {params.films_store:q}"
            " --pixels {params.pixels}"
            " {params.full}"
            " --model {params.model:q}"
            " --weights {params.weights:q}"
            " --store {params.store:q}"
            " --torch-threads {params.torch_threads}"
            " --precision {params.precision}"
            " --device {params.device:q}"
            " --output {output.places:q}"
            " --facts {output.facts:q}"
            " 2> {log:q}"


for letter, modality in wiring.letters.items():
    if "precomputed" in wiring.modalities[letter].encoders:

        rule:
            name:
                f"match_{modality}_embeddings"
            input:
                needed=wiring.modalities[letter].present,
                embeddings=config[modality]["precomputed"] or [],
                code=modules("pipeline.training.precomputed"),
            output:
                table=f"{UNIT}/{modality}/precomputed.parquet",
                counts=f"{UNIT}/{modality}/precomputed.json",
            log:
                f"logs/match_{modality}_embeddings/{{protocol}}/{{unit}}.log",
            conda:
                "../envs/pipeline.yaml"
            resources:
                mem_mb=growing(8000),
                runtime=60,
            params:
                modality=modality,
            shell:
                "python -m pipeline.training.precomputed"
                " --setting {params.modality}.precomputed"
                " --embeddings {input.embeddings:q}"
                " --items {input.needed:q}"
                " --output {output.table:q}"
                " --counts {output.counts:q}"
                " 2> {log:q}"
