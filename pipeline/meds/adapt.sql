-- Patients, admissions and ICU stays of a MEDS data set, with the columns that MIMIC-IV has.
-- Views: facts (events that are no readings: subject_id, time, signal, parts, hadm_id, stay_id,
-- place), admitted and monitored (adapt_spans.sql), meanings (codes.py). Field: {named}, whether
-- demographics name their admission.
CREATE OR REPLACE TABLE deaths AS
SELECT subject_id, min(time) AS died FROM facts WHERE signal = 'death' GROUP BY subject_id;

-- The years of a release are not told: anchor_year is of the first admission, a patient's age in it
-- what the birth says.
CREATE OR REPLACE TABLE patients AS
WITH people AS (
    SELECT
        subject_id,
        min(parts[1]) FILTER (WHERE signal = 'sex') AS gender,
        year(min(time) FILTER (WHERE signal = 'birth')) AS born
    FROM facts GROUP BY subject_id
)
SELECT
    subject_id, gender, first_year - born AS anchor_age, first_year AS anchor_year,
    CAST(died AS DATE) AS dod
FROM people
LEFT JOIN (
    SELECT subject_id, year(min(began)) AS first_year FROM admitted GROUP BY subject_id
) USING (subject_id)
LEFT JOIN deaths USING (subject_id)
ORDER BY subject_id;

-- Where demographics name their admission they are its own, else the last that were told by then.
-- ASSUME a registration in the emergency department within a day before an admission is of it, and
-- that a death at midnight, to the second, is a day of which the time is not known.
CREATE OR REPLACE TABLE admissions AS
WITH told AS (
    SELECT a.subject_id, a.id, f.signal, arg_max(f.parts[1], f.place) AS value
    FROM admitted AS a INNER JOIN facts AS f
        ON f.subject_id = a.subject_id
        AND (f.hadm_id = a.id OR NOT {named} AND (f.time IS NULL OR f.time <= a.began))
    WHERE f.signal IN ('insurance', 'language', 'marital_status', 'race')
    GROUP BY ALL
),
demographics AS (
    SELECT
        subject_id, id,
        max(value) FILTER (WHERE signal = 'insurance') AS insurance,
        max(value) FILTER (WHERE signal = 'language') AS language,
        max(value) FILTER (WHERE signal = 'marital_status') AS marital_status,
        max(value) FILTER (WHERE signal = 'race') AS race
    FROM told GROUP BY subject_id, id
),
registered AS (
    SELECT a.subject_id, a.id, max(f.time) AS edregtime
    FROM admitted AS a INNER JOIN facts AS f
        ON f.subject_id = a.subject_id AND f.signal = 'ed_registration'
        AND f.time BETWEEN a.began - INTERVAL 24 HOUR AND a.began
    GROUP BY a.subject_id, a.id
),
discharged AS (
    SELECT r.subject_id, r.id, min(f.time) AS edouttime
    FROM registered AS r INNER JOIN facts AS f
        ON f.subject_id = r.subject_id AND f.signal = 'ed_out'
        AND f.time BETWEEN r.edregtime AND r.edregtime + INTERVAL 48 HOUR
    GROUP BY r.subject_id, r.id
),
ended AS (
    SELECT
        *,
        coalesce(upper(left_by[1]) IN ('DIED', 'DEAD/EXPIRED'), FALSE) AS left_dead,
        CASE
            WHEN died >= began AND died <= ended + to_hours(CASE WHEN left_dead THEN 24 ELSE 0 END)
                AND died <> date_trunc('day', died)
            THEN died
        END AS deathtime
    FROM admitted LEFT JOIN deaths USING (subject_id)
)
SELECT
    subject_id, id AS hadm_id, began AS admittime, ended AS dischtime, deathtime,
    parts[1] AS admission_type, parts[2] AS admission_location, left_by[1] AS discharge_location,
    insurance, language, marital_status, race, edregtime, edouttime,
    CAST(left_dead OR deathtime IS NOT NULL AS BIGINT) AS hospital_expire_flag
FROM ended
LEFT JOIN demographics USING (subject_id, id)
LEFT JOIN registered USING (subject_id, id)
LEFT JOIN discharged USING (subject_id, id)
ORDER BY subject_id, admittime, hadm_id;

-- A stay that names no admission is of the one that it begins in; ASSUME one that begins within a
-- day before an admission is of that.
CREATE OR REPLACE TABLE icustays AS
WITH fitting AS (
    SELECT m.subject_id, m.id, min_by(a.id, (a.began > m.began, a.began, a.id)) AS hadm_id
    FROM monitored AS m INNER JOIN admitted AS a
        ON a.subject_id = m.subject_id AND m.began >= a.began - INTERVAL 24 HOUR
        AND (a.ended IS NULL OR m.began <= a.ended)
    GROUP BY m.subject_id, m.id
)
SELECT
    subject_id, coalesce(monitored.hadm_id, fitting.hadm_id) AS hadm_id, id AS stay_id,
    parts[1] AS first_careunit, left_by[1] AS last_careunit, began AS intime, ended AS outtime,
    date_diff('second', began, ended) / 86400.0 AS los
FROM monitored LEFT JOIN fitting USING (subject_id, id)
ORDER BY subject_id, intime, stay_id;

CREATE OR REPLACE TABLE d_items AS
SELECT DISTINCT itemid, label, source AS linksto FROM meanings
WHERE source <> 'labevents' ORDER BY itemid;

CREATE OR REPLACE TABLE d_labitems AS
SELECT DISTINCT itemid, label, 'Blood' AS fluid FROM meanings
WHERE source = 'labevents' ORDER BY itemid
