-- The readings of signals as mimic-code's concepts define them (mimic-iv/concepts: vitalsign,
-- ventilator_setting, bg, enzyme, coagulation, urine_output, norepinephrine, epinephrine,
-- phenylephrine, dopamine, vasopressin): a second reading, written without a look at the pipeline.
-- Tables: admissions, chartevents, labevents, outputevents, inputevents, as the source has them.
-- Makes: witness (signal, hadm_id, charttime, value), one row a reading and time.
CREATE TEMP TABLE witness AS
WITH chart AS (
    SELECT
        CASE
            WHEN itemid IN (220050, 225309) THEN 'sbp_arterial'
            WHEN itemid IN (220051, 225310) THEN 'dbp_arterial'
            WHEN itemid IN (220052, 225312) THEN 'mbp_arterial'
            WHEN itemid IN (220210, 224690) THEN 'respiratory_rate'
        END AS signal,
        hadm_id, charttime, valuenum AS value
    FROM chartevents
    WHERE CASE
        WHEN itemid IN (220050, 225309) THEN valuenum > 0 AND valuenum < 400
        WHEN itemid IN (220051, 225310, 220052, 225312) THEN valuenum > 0 AND valuenum < 300
        WHEN itemid IN (220210, 224690) THEN valuenum > 0 AND valuenum < 70
        ELSE FALSE
    END
),
fio2 AS (
    SELECT
        hadm_id, charttime,
        CASE
            WHEN valuenum > 0.2 AND valuenum <= 1 THEN valuenum * 100
            WHEN valuenum >= 20 AND valuenum <= 100 THEN valuenum
        END AS value
    FROM chartevents
    WHERE itemid = 223835
    UNION ALL
    SELECT
        hadm_id, charttime,
        CASE
            WHEN valuenum > 0.2 AND valuenum <= 1 THEN valuenum * 100
            WHEN valuenum > 20 AND valuenum <= 100 THEN valuenum
        END
    FROM labevents
    WHERE itemid = 50816
),
gas AS (
    SELECT
        specimen_id, MAX(hadm_id) AS hadm_id, MAX(charttime) AS charttime,
        MAX(CASE WHEN itemid = 52033 THEN value END) AS specimen,
        MAX(CASE WHEN itemid = 50821 THEN valuenum END) AS po2,
        MAX(CASE WHEN itemid = 50820 THEN valuenum END) AS ph
    FROM labevents
    WHERE itemid IN (52033, 50821, 50820)
    GROUP BY specimen_id
),
urine AS (
    SELECT
        stay_id, MAX(hadm_id) AS hadm_id, charttime,
        SUM(CASE WHEN itemid = 227488 AND value > 0 THEN -value ELSE value END) AS value
    FROM outputevents
    WHERE itemid IN (226559, 226560, 226561, 226584, 226563, 226564, 226565, 226567, 226557,
                     226558, 227488, 227489)
    GROUP BY stay_id, charttime
),
drugs AS (
    SELECT
        CASE itemid
            WHEN 221906 THEN 'norepinephrine'
            WHEN 221289 THEN 'epinephrine'
            WHEN 221749 THEN 'phenylephrine'
            WHEN 221662 THEN 'dopamine'
            WHEN 222315 THEN 'vasopressin'
        END AS signal,
        hadm_id, starttime AS charttime,
        CASE
            WHEN itemid = 221906 AND rateuom = 'mg/kg/min' AND patientweight <> 1 THEN rate * 1000
            WHEN itemid = 221749 AND rateuom = 'mcg/min' THEN rate / patientweight
            WHEN itemid = 222315 AND rateuom = 'units/min' THEN rate * 60
            ELSE rate
        END AS value
    FROM inputevents
    WHERE itemid IN (221906, 221289, 221749, 221662, 222315)
),
readings AS (
    SELECT * FROM chart
    UNION ALL
    SELECT 'fio2', * FROM fio2
    UNION ALL
    SELECT 'pao2', hadm_id, charttime, po2 FROM gas WHERE specimen = 'ART.'
    UNION ALL
    SELECT 'ph', hadm_id, charttime, ph FROM gas
    UNION ALL
    SELECT 'bilirubin', hadm_id, charttime, valuenum FROM labevents
    WHERE itemid = 50885 AND valuenum > 0
    UNION ALL
    SELECT 'inr', hadm_id, charttime, valuenum FROM labevents WHERE itemid = 51237
    UNION ALL
    SELECT 'urine', hadm_id, charttime, value FROM urine
    UNION ALL
    SELECT * FROM drugs
)
SELECT DISTINCT signal, r.hadm_id, r.charttime, ROUND(value, 4) AS value
FROM readings AS r JOIN admissions AS a ON a.hadm_id = r.hadm_id
WHERE value IS NOT NULL
    AND r.charttime >= a.admittime - INTERVAL 1 DAY AND r.charttime < a.dischtime;
