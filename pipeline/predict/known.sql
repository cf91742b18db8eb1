-- What was known of admissions, stays and patients when the prediction was made: outcomes, ends and
-- days of death that lie later are not there. Where an end is not known, or not known by then, the
-- patient is there: a second after the prediction stands in for it, so that whoever still runs and
-- whoever has left since are read alike.
-- Tables: admissions, icustays, patients. Settings: $hours, from clock zero to the prediction;
-- $stays: whether the unit is ICU stays. arrivals: the first heart rate of each stay (empty for
-- admissions).
CREATE TEMP TABLE times_of_stays AS
SELECT
    stay_id, hadm_id,
    greatest(intime, first_heart_rate) + to_hours($hours) AS predicted
FROM icustays LEFT JOIN arrivals USING (stay_id);

-- Of several stays of an admission the latest: each of their queries compares with its own time.
CREATE TEMP TABLE times_of_admissions AS
SELECT
    hadm_id,
    CASE
        WHEN $stays THEN coalesce(max(predicted), any_value(admittime))
        ELSE any_value(admittime) + to_hours($hours)
    END AS predicted
FROM admissions LEFT JOIN times_of_stays USING (hadm_id)
GROUP BY hadm_id;

CREATE TEMP VIEW known_admissions AS
SELECT
    admissions.* REPLACE (
        CASE WHEN dischtime <= predicted THEN dischtime ELSE predicted + INTERVAL 1 SECOND END
            AS dischtime,
        CASE WHEN deathtime <= predicted THEN deathtime END AS deathtime,
        CAST(NULL AS VARCHAR) AS discharge_location,
        CAST(NULL AS BIGINT) AS hospital_expire_flag,
        CAST(NULL AS TIMESTAMP) AS edouttime
    )
FROM admissions LEFT JOIN times_of_admissions USING (hadm_id)
ORDER BY subject_id, hadm_id;

CREATE TEMP VIEW known_icustays AS
SELECT
    icustays.* REPLACE (
        CASE
            WHEN NOT $stays THEN NULL
            WHEN outtime <= predicted THEN outtime
            ELSE predicted + INTERVAL 1 SECOND
        END AS outtime,
        CAST(NULL AS VARCHAR) AS last_careunit,
        CAST(NULL AS DOUBLE) AS los
    )
FROM icustays LEFT JOIN times_of_stays USING (stay_id)
ORDER BY subject_id, stay_id;

-- A day of death before an admission says that its row is of somebody else; others lie later.
CREATE TEMP VIEW known_patients AS
SELECT patients.* REPLACE (CASE WHEN dod < last_admission THEN dod END AS dod)
FROM patients LEFT JOIN (
    SELECT subject_id, CAST(max(admittime) AS DATE) AS last_admission
    FROM admissions GROUP BY subject_id
) USING (subject_id)
ORDER BY subject_id
