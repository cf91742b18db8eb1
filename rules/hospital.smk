"""The synthetic hospital: MIMIC-shaped source files and the truth behind them.

Needs nothing. Makes results/hospital/. Asked for only where source.root is synthetic.
"""

TRUTH = [  # tasks with a known best reachable score; forced: told what happened in earlier tasks
    "mortality",
    "longstay",
    "readmission",
    "shock_4h",
    "shock_12h",
    "arf_4h",
    "arf_12h",
    "arf_12h_forced",
    "mortality_48h",
]

if SYNTHETIC:

    rule make_hospital:
        input:
            code=modules("pipeline.hospital.make"),
        output:
            tables=[release.table_path(SOURCE, name) for name in contracts.TABLES],
            oracles=expand(
                "results/hospital/truth/oracle_{task}.parquet",
                task=TRUTH,
            ),
            ceilings="results/hospital/truth/ceilings.json",
            summary="results/hospital/hospital.json",
        log:
            "logs/make_hospital.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(1500),
            runtime=30,
        params:
            patients=config["hospital"]["patients"],
            seed=config["hospital"]["seed"],
            chain=float(config["hospital"]["chain"]),  # 1 is 1.0
            habits=json.dumps(config["hospital"]["habits"], sort_keys=True),
            severity=json.dumps(config["hospital"]["severity"], sort_keys=True),
        shell:
            "python -m pipeline.hospital.make"
            " --output results/hospital"
            " --patients {params.patients:q}"
            " --seed {params.seed:q}"
            " --chain {params.chain:q}"
            " --habits {params.habits:q}"
            " --severity {params.severity:q}"
            " 2> {log:q}"
