"""The figures of a kit: Table 1, flow, calibration, decision curves, operating points, groups.

Needs a result of one binary task and the tables that it was made from; of every unit who was in
which care unit, and SOFA where the source has its tables. Makes
results/kit/{modalities}_{model}_{task}/numbers.json; results/published/kit/… likewise.
"""

from pipeline.plan.wiring_kit import SCORE, KitWiring

NO_SCORE = "" if SYNTHETIC else preflight.lacking_table(registry.MODELS[SCORE].tables, SOURCE)
kits = KitWiring(config, wiring, checks, NO_SCORE)


rule describe_episodes:
    input:
        episodes=f"{UNIT}/episodes.parquet",
        stays="results/source/icustays.parquet",
        code=modules("pipeline.cohort.characteristics"),
    output:
        f"{UNIT}/characteristics.parquet",
    log:
        "logs/describe_episodes/{protocol}/{unit}.log",
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    shell:
        "python -m pipeline.cohort.characteristics"
        " --episodes {input.episodes:q}"
        " --stays {input.stays:q}"
        " --output {output:q}"
        " 2> {log:q}"


for protocol, folder in targets.folders(config).items():

    rule:
        name:
            "measure_kit" if protocol == "corrected" else f"measure_kit_{protocol}"
        input:
            # first: it refuses targets that have no kit
            result=kits.result(protocol),
            predictions=wiring.predictions(protocol),
            labels=kits.first(f"{UNIT}/labels/{{task}}.parquet", protocol),
            attrition=kits.first(f"{UNIT}/labels/{{task}}.attrition.json", protocol),
            episodes=kits.first(f"{UNIT}/episodes.parquet", protocol),
            characteristics=kits.first(f"{UNIT}/characteristics.parquet", protocol),
            present=wiring.present(protocol),
            score=kits.score(protocol),
            faults=kits.fault_files(protocol),
            code=modules("pipeline.evaluation.kit"),
        output:
            f"{folder}/kit/{{modalities}}_{{model}}_{{task}}/numbers.json",
        log:
            f"logs/measure_kit/{protocol}/{{modalities}}_{{model}}_{{task}}.log",
        conda:
            "../envs/pipeline.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=60,
        params:
            present=wiring.presence(protocol),
            hours=kits.hours(protocol),
            score=kits.score_options(protocol),
            faults=kits.faults(protocol),
            suppress=SUPPRESS,
        shell:
            "python -m pipeline.evaluation.kit"
            " --result {input.result:q}"
            " --predictions {input.predictions:q}"
            " --labels {input.labels:q}"
            " --attrition {input.attrition:q}"
            " --episodes {input.episodes:q}"
            " --characteristics {input.characteristics:q}"
            " --present {params.present:q}"
            " --hours {params.hours}"
            " {params.score:q}"
            " --faults {params.faults:q}"
            " --suppress-below {params.suppress}"
            " --output {output:q}"
            " 2> {log:q}"
