-- The cohort of Wang et al. 2024, flaws included: one row per admission of the source.
-- Tables: patients, admissions, chexpert. Views: persons, first_icu, overlapping, oddities.
-- chexpert has a row per labelled film study. Settings and columns as in admission.sql, and
-- $min_age.
--
-- It looks ahead on purpose: "has an ICU stay" and "has a film with labels" depend on what happens
-- after the prediction (wang2024.md 6.13), and the emergency department is left out (6.12).
-- ASSUME the first ICU stay stands for the admission; any time of the admission counts.

SELECT
    admissions.hadm_id AS episode_id,
    admissions.subject_id,
    admissions.hadm_id,
    first_icu.stay_id,
    admissions.admittime AS start,
    admissions.dischtime AS "end",
    admissions.admittime AS clock_zero,
    admissions.admittime + TO_HOURS($window_hours) AS prediction_time,
    persons.* EXCLUDE (hadm_id, emergency, in_years_of_films)
    REPLACE (
        admissions.admittime AS observed_from,
        -- Whatever the admission's year: k years later the patient is k older.
        patients.anchor_age AS age
    ),

    TRUE
        AS "condition: admissions of the source",
    admissions.subject_id IN (SELECT subject_id FROM chexpert)
        AS "condition, looking ahead: of patients with a film in the CheXpert table",
    admissions.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: on the list {ids}",
    patients.anchor_age >= $min_age
        AS "condition: aged {min_age} or over in the anchor year",
    first_icu.stay_id IS NOT NULL
        AS "condition, looking ahead: with an ICU stay",
    first_icu.intime <= admissions.admittime + TO_HOURS($icu_within_hours)
        AS "condition: in an ICU within {icu_within_hours} h of admission"
FROM admissions
INNER JOIN persons USING (hadm_id)
LEFT JOIN patients USING (subject_id)
LEFT JOIN first_icu USING (subject_id, hadm_id)
