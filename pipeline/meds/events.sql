-- What the record of each patient holds, as MEDS: one row per event, at the time when it was KNOWN.
-- Views: patients, admissions, icustays, chartevents, labevents, outputevents, inputevents,
-- procedureevents, each of the same patients; possible, persons, arrivals, hospital_deaths (of the
-- room cohort). The known_… fields are the time columns of the config's availability table.
-- Codes are those of MIMIC_IV_MEDS 0.2.0, and two of our own: AGE, in years at admission, as the
-- cohort counts it; ICU_ARRIVAL, clock zero of an ICU stay. charttime: for when it was charted. A
-- text that repeats the number is left out.
-- ASSUME that admissions whose times are impossible (possible.sql) never began, nor ICU stays of
-- these or that do not end after they begin: their readings stay.
-- Diagnoses are no events: that they were coded after the discharge is all that is known.
WITH came AS (
    SELECT admissions.*, persons.age, hospital_deaths.died
    FROM admissions
    INNER JOIN possible USING (hadm_id)
    INNER JOIN persons USING (hadm_id)
    INNER JOIN hospital_deaths USING (hadm_id)
    WHERE possible.possible
),
stays AS (
    SELECT icustays.*, greatest(icustays.intime, arrivals.first_heart_rate) AS arrived,
        arrivals.first_heart_rate IS NOT NULL AS monitored
    FROM icustays
    INNER JOIN came USING (subject_id, hadm_id)
    LEFT JOIN arrivals USING (stay_id)
    WHERE intime < outtime
),
-- One death per patient. In hospital: when it happened, at the latest as the admission ends. Of the
-- others the source tells the day alone: its end, and not before a discharge that was survived.
deaths AS (
    SELECT
        patients.subject_id,
        min(least(coalesce(deathtime, dischtime), dischtime)) FILTER (WHERE died) AS in_hospital,
        greatest(
            any_value(CAST(patients.dod AS TIMESTAMP)) + INTERVAL 86399 SECOND,
            max(dischtime) + INTERVAL 1 SECOND
        ) AS elsewhere,
        any_value(patients.dod) IS NOT NULL AS dead
    FROM patients LEFT JOIN came USING (subject_id)
    GROUP BY patients.subject_id
),
-- What of an admission is told by codes alone; an unknown one is no event.
of_admissions AS (
    SELECT
        subject_id, hadm_id, admittime, dischtime, age,
        unnest([
            {{'code': 'ED_REGISTRATION', 'time': edregtime}},
            {{'code': 'ED_OUT', 'time': edouttime}},
            {{
                'code': concat(
                    'HOSPITAL_ADMISSION//', coalesce(admission_type, 'UNK'),
                    '//', coalesce(admission_location, 'UNK')
                ),
                'time': admittime
            }},
            {{'code': 'INSURANCE//' || insurance, 'time': admittime}},
            {{'code': 'LANGUAGE//' || language, 'time': admittime}},
            {{'code': 'MARITAL_STATUS//' || marital_status, 'time': admittime}},
            {{'code': 'RACE//' || race, 'time': admittime}},
            {{
                'code': 'HOSPITAL_DISCHARGE//' || coalesce(discharge_location, 'UNK'),
                'time': dischtime
            }}
        ]) AS event
    FROM came
),
events AS (
    SELECT subject_id, NULL::TIMESTAMP AS time, 'GENDER//' || gender AS code,
        NULL::DOUBLE AS numeric_value, NULL::VARCHAR AS text_value, NULL::BIGINT AS hadm_id,
        NULL::BIGINT AS icustay_id, NULL::TIMESTAMP AS charttime, NULL::VARCHAR AS unit,
        NULL::BIGINT AS order_id, NULL::VARCHAR AS statusdescription, TRUE AS timeless
    FROM patients
    UNION ALL BY NAME
    -- ASSUME the birthday is 1 January, as the cohort does.
    SELECT subject_id, make_timestamp(anchor_year - anchor_age, 1, 1, 0, 0, 0) AS time,
        'MEDS_BIRTH' AS code
    FROM patients
    UNION ALL BY NAME
    SELECT subject_id, coalesce(in_hospital, elsewhere) AS time, 'MEDS_DEATH' AS code
    FROM deaths WHERE in_hospital IS NOT NULL OR dead
    UNION ALL BY NAME
    SELECT subject_id, event.time AS time, event.code AS code, hadm_id
    FROM of_admissions WHERE event.time IS NOT NULL
    UNION ALL BY NAME
    SELECT subject_id, admittime AS time, 'AGE' AS code, age AS numeric_value, hadm_id FROM came
    WHERE age IS NOT NULL
    UNION ALL BY NAME
    SELECT subject_id, intime AS time, 'ICU_ADMISSION//' || coalesce(first_careunit, 'UNK') AS code,
        hadm_id, stay_id AS icustay_id
    FROM stays
    UNION ALL BY NAME
    SELECT subject_id, arrived AS time, 'ICU_ARRIVAL' AS code, hadm_id, stay_id AS icustay_id
    FROM stays WHERE monitored
    UNION ALL BY NAME
    SELECT subject_id, outtime AS time, 'ICU_DISCHARGE//' || coalesce(last_careunit, 'UNK') AS code,
        hadm_id, stay_id AS icustay_id
    FROM stays
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(charttime, {known_vitals}) AS time,
        concat('LAB//', itemid, '//', coalesce(valueuom, 'UNK')) AS code,
        valuenum AS numeric_value,
        CASE
            WHEN valuenum IS NULL OR try_cast(value AS DOUBLE) IS DISTINCT FROM valuenum THEN value
        END AS text_value,
        hadm_id, stay_id AS icustay_id, charttime
    FROM chartevents
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(charttime, {known_labs}) AS time,
        concat('LAB//RESULT//', itemid, '//', coalesce(valueuom, 'UNK')) AS code,
        valuenum AS numeric_value,
        CASE
            WHEN valuenum IS NULL OR try_cast(value AS DOUBLE) IS DISTINCT FROM valuenum THEN value
        END AS text_value,
        hadm_id, charttime
    FROM labevents
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(charttime, {known_outputs}) AS time,
        concat('SUBJECT_FLUID_OUTPUT//', itemid, '//', coalesce(valueuom, 'UNK')) AS code,
        value AS numeric_value, hadm_id, stay_id AS icustay_id, charttime
    FROM outputevents
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(starttime, {known_infusions}) AS time,
        concat('INFUSION_START//', itemid) AS code,
        rate AS numeric_value, rateuom AS unit, hadm_id, stay_id AS icustay_id, orderid AS order_id,
        starttime AS charttime
    FROM inputevents
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(starttime, {known_infusions}) AS time,
        'SUBJECT_WEIGHT_AT_INFUSION//KG' AS code,
        patientweight AS numeric_value, hadm_id, stay_id AS icustay_id, orderid AS order_id,
        starttime AS charttime
    FROM inputevents WHERE patientweight IS NOT NULL
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(endtime, {known_infusions}) AS time,
        concat('INFUSION_END//', itemid) AS code,
        amount AS numeric_value, amountuom AS unit, hadm_id, stay_id AS icustay_id,
        orderid AS order_id, statusdescription, endtime AS charttime
    FROM inputevents WHERE endtime IS NOT NULL
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(starttime, {known_procedures}) AS time,
        concat('PROCEDURE//START//', itemid) AS code,
        hadm_id, stay_id AS icustay_id, starttime AS charttime
    FROM procedureevents
    UNION ALL BY NAME
    SELECT
        subject_id, greatest(endtime, {known_procedures}) AS time,
        concat('PROCEDURE//END//', itemid) AS code,
        hadm_id, stay_id AS icustay_id, statusdescription, endtime AS charttime
    FROM procedureevents WHERE endtime IS NOT NULL
    {more}
)
SELECT
    subject_id, time, code, CAST(numeric_value AS FLOAT) AS numeric_value, text_value,
    hadm_id, icustay_id, charttime, unit, order_id, statusdescription
FROM events
WHERE code IS NOT NULL AND (timeless OR time IS NOT NULL)
ORDER BY ALL NULLS FIRST
