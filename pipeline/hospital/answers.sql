-- What the judge of other people's predictions knows of a hospital, read from its files alone:
-- who is an episode of which task and with what outcome, and which traps each admission holds.
-- Tables: one view per file, named as its table; films: subject_id, time, grey.
-- All times are the source's. A trap is a row that was known more than 48 hours after the
-- admission.

CREATE TEMP TABLE stays AS
-- The first ICU stay of each admission, and the patient's arrival: the later of intime, when the
-- bed is assigned, and the first heart rate. Without a heart rate nobody knows the arrival.
SELECT
    icustays.*,
    -- GREATEST skips nulls
    CASE WHEN first_rate IS NOT NULL THEN GREATEST(intime, first_rate) END AS arrival,
    ROW_NUMBER() OVER (PARTITION BY hadm_id ORDER BY intime, stay_id) = 1 AS first_of_admission
FROM icustays
LEFT JOIN (
    SELECT stay_id, MIN(charttime) AS first_rate
    FROM chartevents
    WHERE itemid = 220045
    GROUP BY stay_id
) USING (stay_id);

CREATE TEMP TABLE persons AS
SELECT
    admissions.*,
    hospital_expire_flag = '1' AS dies,
    admittime + INTERVAL 48 HOUR AS known_until,
    LEAD(admittime) OVER (PARTITION BY subject_id ORDER BY admittime) AS back
FROM admissions;

CREATE TEMP TABLE of_admissions AS
-- In an ICU within 48 hours, alive and in hospital then.
SELECT
    persons.*,
    COALESCE(stays.intime <= known_until AND dischtime > known_until, FALSE) AS there
FROM persons
LEFT JOIN stays ON persons.hadm_id = stays.hadm_id AND stays.first_of_admission;

CREATE TEMP TABLE outcomes_mortality AS
SELECT hadm_id, subject_id, CASE WHEN there THEN dies END AS label
FROM of_admissions;

CREATE TEMP TABLE outcomes_longstay AS
SELECT
    hadm_id,
    subject_id,
    CASE WHEN there THEN dischtime > admittime + INTERVAL 168 HOUR END AS label
FROM of_admissions;

CREATE TEMP TABLE outcomes_readmission AS
SELECT
    hadm_id,
    subject_id,
    CASE
        WHEN there AND NOT dies THEN COALESCE(back <= dischtime + INTERVAL 720 HOUR, FALSE)
    END AS label
FROM of_admissions;

CREATE TEMP TABLE onsets AS
-- When shock shows as a vasopressor, and respiratory failure as ventilation or a charted PEEP.
SELECT stay_id, 'shock' AS event, MIN(starttime) AS onset
FROM inputevents
WHERE itemid IN (221906, 221749, 222315)
GROUP BY stay_id
UNION ALL
SELECT stay_id, 'arf' AS event, MIN(onset) AS onset
FROM (
    SELECT stay_id, starttime AS onset
    FROM procedureevents
    WHERE itemid = 225792
    UNION ALL
    SELECT stay_id, charttime AS onset
    FROM chartevents
    WHERE itemid = 220339
)
GROUP BY stay_id;

CREATE TEMP TABLE horizons (task VARCHAR, event VARCHAR, hours INTEGER);

INSERT INTO horizons VALUES
('shock_4h', 'shock', 4), ('shock_12h', 'shock', 12), ('arf_4h', 'arf', 4), ('arf_12h', 'arf', 12),
('mortality_48h', 'mortality', 48);

CREATE TEMP TABLE outcomes_of_stays AS
-- Of the first ICU stay, begun within 48 hours of the admission: of others nobody knows what is
-- reachable. Alive and in the ICU at the prediction time, without the event so far.
WITH asked AS (
    SELECT
        horizons.*,
        stays.*,
        dies,
        arrival + TO_HOURS(horizons.hours) AS until,
        first_of_admission AND intime < known_until AND arrival IS NOT NULL AS early,
        persons.dischtime
    FROM stays
    INNER JOIN persons USING (hadm_id)
    CROSS JOIN horizons
)

SELECT
    task,
    asked.stay_id,
    subject_id,
    CASE
        WHEN
            early AND LEAST(outtime, dischtime) > until
            AND (asked.event = 'mortality' OR onset IS NULL OR onset >= until)
        THEN CASE WHEN asked.event = 'mortality' THEN dies ELSE onset IS NOT NULL END
    END AS label
FROM asked
LEFT JOIN onsets ON asked.stay_id = onsets.stay_id AND asked.event = onsets.event;

CREATE TEMP TABLE late AS
-- One row per admission and trap with what it shows. The median: a reading may be a typing error.
-- Labs and reports that lack hadm_id, as some do, belong to the admission that they fall into.
SELECT
    hadm_id,
    CASE WHEN charttime > known_until THEN 'vitals charted later' ELSE 'vitals stored later' END
        AS bait,
    MEDIAN(valuenum) AS shows
FROM chartevents
INNER JOIN persons USING (hadm_id)
WHERE itemid = 220045 AND storetime > known_until
GROUP BY ALL
UNION ALL
SELECT
    persons.hadm_id,
    CASE WHEN charttime > known_until THEN 'lactate drawn later' ELSE 'lactate stored later' END,
    MEDIAN(valuenum)
FROM labevents
INNER JOIN persons
    ON labevents.subject_id = persons.subject_id
    AND COALESCE(labevents.hadm_id = persons.hadm_id, charttime BETWEEN admittime AND dischtime)
WHERE itemid = 50813 AND storetime > known_until
GROUP BY ALL
UNION ALL
SELECT
    persons.hadm_id,
    CASE WHEN charttime > known_until THEN 'report of later' ELSE 'report stored later' END,
    AVG(CASE WHEN CONTAINS(text, $dies) THEN 1.0 WHEN CONTAINS(text, $lives) THEN -1.0 ELSE 0.0 END)
FROM radiology
INNER JOIN persons
    ON radiology.subject_id = persons.subject_id
    AND COALESCE(radiology.hadm_id = persons.hadm_id, charttime BETWEEN admittime AND dischtime)
WHERE storetime > known_until AND text IS NOT NULL
GROUP BY ALL
UNION ALL
-- MIMIC-CXR has no hadm_id: a film belongs to the admission within which it is taken.
SELECT hadm_id, 'film of later', AVG(grey)
FROM films
INNER JOIN persons USING (subject_id)
WHERE films.time > known_until AND films.time <= dischtime
GROUP BY ALL
UNION ALL
SELECT hadm_id, 'dialysis begun later', 1.0
FROM procedureevents
INNER JOIN persons USING (hadm_id)
WHERE itemid = 225802 AND starttime > known_until
GROUP BY ALL
UNION ALL
SELECT hadm_id, 'code of cardiac arrest', 1.0
FROM diagnoses_icd
INNER JOIN persons USING (hadm_id)
WHERE icd_code IN ('4275', 'I469')
GROUP BY ALL;
