"""Reports and films of ICU stays.

Needs the stays, the cleaned reports and the films' metadata. Selects what was known before the last
horizon, 48 hours after the patient's arrival in the ICU; films are decoded as those of admissions
are, into the same store.
"""


rule select_stay_notes:
    input:
        episodes=f"{STAY}/episodes.parquet",
        notes="results/note/clean.parquet",
        query="pipeline/note/notes_stay.sql",
        code=modules("pipeline.note.notes"),
    output:
        f"{STAY}/note/notes.parquet",
    log:
        "logs/select_stay_notes/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        availability=known_from("notes"),
    shell:
        "python -m pipeline.note.notes"
        " --query {input.query:q}"
        " --episodes {input.episodes:q}"
        " --notes {input.notes:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule select_stay_films:
    input:
        episodes=f"{STAY}/episodes.parquet",
        metadata="results/source/cxr_metadata.parquet",
        query="pipeline/cxr/films_stay.sql",
        code=modules("pipeline.cxr.films"),
    output:
        f"{STAY}/cxr/films.parquet",
    log:
        "logs/select_stay_films/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        availability=known_from("films"),
        views=setting("cxr", "views"),
    shell:
        "python -m pipeline.cxr.films"
        " --query {input.query:q}"
        " --episodes {input.episodes:q}"
        " --metadata {input.metadata:q}"
        " --views {params.views:q}"
        " --availability {params.availability:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
