"""FIDDLE: the long table as sparse binary features.

Needs the episodes and the long table of ICU stays. Fits on the training stays (train and fusion),
at the longest horizon; then makes S (per stay) and X (per stay and hour) of all stays. X[0:T)
serves every earlier horizon.
"""


rule fit_fiddle:
    input:
        long=f"{STAY}/ehr/long.parquet",
        episodes=f"{STAY}/episodes.parquet",
        code=modules("pipeline.fiddle.fit"),
    output:
        f"{STAY}/fiddle/fitted.json",
    log:
        "logs/fit_fiddle/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        runtime=120,
    params:
        settings=setting("fiddle"),
    shell:
        "python -m pipeline.fiddle.fit"
        " --long {input.long:q}"
        " --episodes {input.episodes:q}"
        " --fitted-on train fusion"
        " --settings {params.settings:q}"
        " --output {output:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"


rule apply_fiddle:
    input:
        long=f"{STAY}/ehr/long.parquet",
        episodes=f"{STAY}/episodes.parquet",
        fitted=rules.fit_fiddle.output,
        code=modules("pipeline.fiddle.transform"),
    output:
        x=f"{STAY}/fiddle/X.parquet",
        s=f"{STAY}/fiddle/S.parquet",
        features=f"{STAY}/fiddle/features.parquet",
    log:
        "logs/apply_fiddle/{protocol}.log",
    wildcard_constraints:
        protocol=CORRECTED,
    conda:
        "../envs/pipeline.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        disk_mb=4000,  # 30 kB a stay of 48 h, 94,458 stays
        runtime=120,
    shell:
        "python -m pipeline.fiddle.transform"
        " --long {input.long:q}"
        " --episodes {input.episodes:q}"
        " --fitted {input.fitted:q}"
        " --output {output.x:q}"
        " --static {output.s:q}"
        " --features {output.features:q}"
        " --threads {threads}"
        " --memory-mb {resources.mem_mb}"
        " --temp {resources.tmpdir:q}"
        " 2> {log:q}"
