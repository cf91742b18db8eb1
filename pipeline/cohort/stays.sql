-- One row per ICU stay of the source: the episode, and the conditions that it meets or not.
-- Tables: patients, admissions, icustays, ids (hadm_id; the list of a cohort given as a csv).
-- Settings: $min_age, $ed_hours.
--
-- The columns "condition: …" are the cohort, as in episodes.sql. Who is alive and still in the ICU
-- at a prediction time is asked by the tasks, each at its own.

WITH clock AS (
    SELECT
        hadm_id,
        -- As in episodes.sql: the emergency department counts, where it belongs to this admission.
        CASE
            WHEN edregtime BETWEEN admittime - TO_HOURS($ed_hours) AND admittime THEN edregtime
            ELSE admittime
        END AS observed_from
    FROM admissions
),

person AS (
    -- ASSUME the birthday is 1 January, as in episodes.sql; the age is that at admission.
    SELECT
        admissions.hadm_id,
        patients.anchor_age + YEAR(admissions.admittime) - patients.anchor_year AS age,
        patients.gender AS sex,
        patients.anchor_year_group AS era
    FROM admissions
    LEFT JOIN patients USING (subject_id)
)

SELECT
    icustays.stay_id AS episode_id,
    icustays.subject_id,
    icustays.hadm_id,
    icustays.stay_id,
    icustays.intime AS start,
    icustays.outtime AS "end",
    clock.observed_from,
    -- The last horizon of the tasks; nothing known from then on is data for any of them.
    icustays.intime + INTERVAL 48 HOUR AS prediction_time,
    person.age,
    UPPER(person.sex) AS sex,
    UPPER(admissions.insurance) AS insurance,
    UPPER(admissions.language) AS language,
    UPPER(admissions.marital_status) AS marital_status,
    UPPER(admissions.race) AS race,
    person.era,
    UPPER(admissions.admission_type) AS admission_type,
    UPPER(admissions.admission_location) AS admission_location,
    icustays.first_careunit,
    -- Negative where the ICU received the patient before the admission was registered.
    ROUND(DATE_DIFF('second', admissions.admittime, icustays.intime) / 3600.0, 4) AS hours_to_icu,

    TRUE
        AS "condition: ICU stays of the source",
    -- A stay without either time, or that ends before it begins, says nothing about any hour.
    icustays.intime < icustays.outtime
        AS "condition: that end after they begin",
    icustays.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: of admissions on the list {ids}",
    person.age >= $min_age
        AS "condition: aged {min_age} or over at admission"
FROM icustays
INNER JOIN admissions USING (subject_id, hadm_id)
INNER JOIN clock USING (hadm_id)
INNER JOIN person USING (hadm_id)
