-- One row per admission of the source: the episode, and the conditions that it meets or not.
-- Tables: persons (episodes_person.sql), admissions, icustays, ids (hadm_id; the list of a cohort
-- given as a csv), films (subject_id of each film; empty unless the cohort asks for any).
-- Settings: $window_hours, $ed_hours, $min_age, $icu_within_hours.
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
        COALESCE(
            edregtime BETWEEN admittime - TO_HOURS($ed_hours) AND admittime, FALSE
        ) AS emergency,
        CASE WHEN emergency THEN edregtime ELSE admittime END AS observed_from
    FROM admissions
)

SELECT
    admissions.hadm_id AS episode_id,
    admissions.subject_id,
    admissions.hadm_id,
    first_icu.stay_id,
    clock.start,
    clock.observed_from,
    clock.prediction_time,
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
    -- Without a discharge, or with one before the admission, nobody knows who was there when; and a
    -- patient who had died before (by deathtime, or by dod on an earlier day) was not admitted, so
    -- that the row is of somebody else or of another time. Neither depends on the patient's course.
    admissions.dischtime >= admissions.admittime
    AND (admissions.deathtime IS NULL OR admissions.deathtime >= admissions.admittime)
    AND (persons.dod IS NULL OR persons.dod >= CAST(admissions.admittime AS DATE))
        AS "condition: with times that are possible",
    admissions.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: on the list {ids}",
    persons.age >= $min_age
        AS "condition: aged {min_age} or over at admission",
    -- MIMIC-CXR holds films of patients who were seen in the emergency department in 2011 to 2016
    -- (Johnson et al. 2019). Both are known at admission. ASSUME that of the calendar years that an
    -- admission may lie in one is enough.
    clock.emergency
        AS "condition if films = covered: admitted through the emergency department",
    persons.first_year <= 2016 AND persons.last_year >= 2011
        AS "condition if films = covered: in years of the films (2011 to 2016)",
    admissions.subject_id IN (SELECT subject_id FROM films)
        AS "condition if films = any, looking ahead: of patients with a film at any time",
    first_icu.stay_id IS NOT NULL
        AS "condition if icu_within_hours: with an ICU stay",
    -- Whoever enters the ICU later was not an ICU patient when the prediction was made.
    first_icu.intime <= clock.start + TO_HOURS($icu_within_hours)
        AS "condition if icu_within_hours, looking ahead beyond window_hours: in an ICU within {icu_within_hours} h of admission"
FROM admissions
INNER JOIN clock USING (hadm_id)
INNER JOIN persons USING (hadm_id)
LEFT JOIN first_icu USING (subject_id, hadm_id)
