"""What to download: the films that the results of one kind need and that are not there yet.

Needs episodes and the films' metadata, no film. Makes results/download/films.txt for results of
admissions, films-published.txt for those of the published protocol, films-stays.txt for ICU stays:
three lists, because nobody should fetch 100 GB for results that he does not make. A list leaves out
what is there, so to fetch one after the other fetches no film twice. Snakemake does not see films:
`--forcerun list_films` makes a list again.
"""

FILM_LISTS = {
    "films": "corrected/admission",
    "films-published": "published/admission",
    "films-stays": "corrected/stay",
}


rule list_films:
    input:
        films=lambda wildcards: f"{HOME}/{FILM_LISTS[wildcards.list]}/cxr/films.parquet",
        checked=lambda wildcards: checks.needs(  # names what is missing; films may be
            (contracts.FILM_LIST, *FILM_LISTS[wildcards.list].split("/"))
        )
        or [],
        code=modules("pipeline.cxr.film_list"),
    output:
        f"{HOME}/download/{{list}}.txt",
    log:
        "logs/list_films/{list}.log",
    wildcard_constraints:
        list="|".join(FILM_LISTS),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=60,
    params:
        root=lambda wildcards: release.locate(SOURCE, "mimic_cxr_jpg").folder,
    shell:
        "python -m pipeline.cxr.film_list"
        " --films {input.films:q}"
        " --root {params.root:q}"
        " --output {output:q}"
        " 2> {log:q}"
