-- One row per admission of the source: the episode, and the conditions that it meets or not.
-- Tables: admissions.
-- Views: persons, possible, first_icu, first_stays, conditions, overlapping, oddities.
-- ids: hadm_id, the list of a cohort given as a csv. Settings: $window_hours, $icu_within_hours.
--
-- The columns "condition …: …" are the cohort. They are applied in this order and named so in the
-- attrition table; what may stand before the colon is told in attrition.py.

SELECT
    admissions.hadm_id AS episode_id,
    admissions.subject_id,
    admissions.hadm_id,
    first_icu.stay_id,
    -- Clock zero is the admission; everything is predicted from what is known one window later.
    admissions.admittime AS start,
    admissions.dischtime AS "end",
    admissions.admittime AS clock_zero,
    admissions.admittime + TO_HOURS($window_hours) AS prediction_time,
    persons.* EXCLUDE (hadm_id, emergency, in_years_of_films),

    TRUE
        AS "condition: admissions of the source",
    possible.possible
        AS "condition: with times that are possible",
    admissions.hadm_id IN (SELECT hadm_id FROM ids)
        AS "condition: on the list {ids}",
    conditions.* EXCLUDE (hadm_id),
    first_icu.stay_id IS NOT NULL
        AS "condition if icu_within_hours: with an ICU stay",
    -- Whoever enters the ICU later was not an ICU patient when the prediction was made.
    first_icu.intime <= admissions.admittime + TO_HOURS($icu_within_hours)
        AS "condition if icu_within_hours, looking ahead beyond window_hours:
            in an ICU within {icu_within_hours} h of admission",
    -- Known at admission: it asks for no stay under this one, which may begin later.
    COALESCE(
        first_stays.hadm_id = admissions.hadm_id OR first_stays.intime > admissions.admittime, TRUE
    )
        AS "condition if first_stay: with no ICU stay of the patient under an earlier admission"
FROM admissions
INNER JOIN persons USING (hadm_id)
INNER JOIN possible USING (hadm_id)
INNER JOIN conditions USING (hadm_id)
LEFT JOIN first_icu USING (subject_id, hadm_id)
LEFT JOIN first_stays USING (subject_id)
