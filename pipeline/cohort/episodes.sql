-- One row per admission of the source: the episode, and the conditions that it meets or not.
-- Tables: persons (episodes_person.sql), possible (inputs_possible.sql), admissions, icustays,
-- ids (hadm_id; the list of a cohort given as a csv), films (subject_id of each film; empty unless
-- the cohort asks for any). Settings: $window_hours, $min_age, $icu_within_hours.
--
-- The columns "condition …: …" are the cohort. They are applied in this order and named so in the
-- attrition table; what may stand before the colon is told in attrition.py.

WITH first_icu AS (
    -- An ICU stay is known from its intime on. The first one counts; of two that begin in the same
    -- second (a transfer between units, charted twice) the one with the lower stay_id.
    SELECT subject_id, hadm_id, stay_id, intime
    FROM icustays
    WHERE intime IS NOT NULL
    QUALIFY ROW_NUMBER() OVER (PARTITION BY subject_id, hadm_id ORDER BY intime, stay_id) = 1
)

SELECT
    admissions.hadm_id AS episode_id,
    admissions.subject_id,
    admissions.hadm_id,
    first_icu.stay_id,
    -- Clock zero is the admission; everything is predicted from what is known one window later.
    admissions.admittime AS start,
    admissions.admittime AS clock_zero,
    persons.observed_from,
    admissions.admittime + TO_HOURS($window_hours) AS prediction_time,
    persons.age,
    persons.sex,
    UPPER(admissions.insurance) AS insurance,
    UPPER(admissions.language) AS language,
    UPPER(admissions.marital_status) AS marital_status,
    UPPER(admissions.race) AS race,
    persons.first_year,
    persons.last_year,

    TRUE
        AS "condition: admissions of the source",
    possible.possible
        AS "condition: with times that are possible",
    admissions.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: on the list {ids}",
    persons.age >= $min_age
        AS "condition: aged {min_age} or over at admission",
    persons.emergency
        AS "condition if films = covered: admitted through the emergency department",
    persons.in_years_of_films
        AS "condition if films = covered: in years of the films (2011 to 2016)",
    admissions.subject_id IN (SELECT subject_id FROM films)
        AS "condition if films = any, looking ahead: of patients with a film at any time",
    first_icu.stay_id IS NOT NULL
        AS "condition if icu_within_hours: with an ICU stay",
    -- Whoever enters the ICU later was not an ICU patient when the prediction was made.
    first_icu.intime <= admissions.admittime + TO_HOURS($icu_within_hours)
        AS "condition if icu_within_hours, looking ahead beyond window_hours:
            in an ICU within {icu_within_hours} h of admission"
FROM admissions
INNER JOIN persons USING (hadm_id)
INNER JOIN possible USING (hadm_id)
LEFT JOIN first_icu USING (subject_id, hadm_id)
