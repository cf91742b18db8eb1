-- One row per admission of the source: the episode, and the conditions that it meets or not.
-- Tables: patients, admissions, icustays, ids (hadm_id; the list of a cohort given as a csv).
-- Settings: $min_age, $window_hours, $icu_within_hours, $ed_hours.
--
-- The columns "condition: …" are the cohort. They are applied in this order and named so in the
-- attrition table. A condition that names a setting in braces is left out where it is null.

WITH first_icu AS (
    -- An ICU stay is known from its intime on. The first one counts; of two that begin in the same
    -- second (a transfer between units, charted twice) the one with the lower stay_id.
    SELECT subject_id, hadm_id, stay_id, intime
    FROM icustays
    WHERE intime IS NOT NULL
    QUALIFY ROW_NUMBER() OVER (PARTITION BY subject_id, hadm_id ORDER BY intime, stay_id) = 1
),

clock AS (
    -- Clock zero is the admission; everything is predicted from what is known one window later.
    SELECT
        hadm_id,
        admittime AS start,
        admittime + TO_HOURS($window_hours) AS prediction_time,
        -- Care begins in the emergency department: what was seen there counts too, unless its
        -- registration is so long before the admission that it belongs to another visit (or after
        -- it, which is a slip of the clock).
        CASE
            WHEN edregtime BETWEEN admittime - TO_HOURS($ed_hours) AND admittime THEN edregtime
            ELSE admittime
        END AS observed_from
    FROM admissions
),

person AS (
    -- Dates are shifted per patient: a patient has anchor_age in anchor_year, and one year more in
    -- each later year. ASSUME the birthday is 1 January. Ages above 89 are all 91 in the source.
    SELECT
        admissions.hadm_id,
        patients.anchor_age + YEAR(admissions.admittime) - patients.anchor_year AS age,
        patients.gender AS sex,
        patients.anchor_year_group AS era
    FROM admissions
    LEFT JOIN patients USING (subject_id)
)

SELECT
    admissions.hadm_id AS episode_id,
    admissions.subject_id,
    admissions.hadm_id,
    first_icu.stay_id,
    clock.start,
    clock.observed_from,
    clock.prediction_time,
    person.age,
    UPPER(person.sex) AS sex,
    UPPER(admissions.insurance) AS insurance,
    UPPER(admissions.language) AS language,
    UPPER(admissions.marital_status) AS marital_status,
    UPPER(admissions.race) AS race,
    person.era,

    TRUE
        AS "condition: admissions of the source",
    admissions.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: on the list {ids}",
    person.age >= $min_age
        AS "condition: aged {min_age} or over at admission",
    first_icu.stay_id IS NOT NULL
        AS "condition: with an ICU stay",
    -- Whoever enters the ICU later was not an ICU patient when the prediction was made.
    first_icu.intime <= clock.start + TO_HOURS($icu_within_hours)
        AS "condition: in an ICU within {icu_within_hours} h of admission"
FROM admissions
INNER JOIN clock USING (hadm_id)
INNER JOIN person USING (hadm_id)
LEFT JOIN first_icu USING (subject_id, hadm_id)
