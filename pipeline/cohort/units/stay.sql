-- One row per ICU stay of the source: the episode, and the conditions that it meets or not.
-- Tables: icustays, admissions.
-- Views: persons, possible, first_stays, conditions, overlapping, arrivals, oddities,
-- stay_oddities.
-- ids: the list of a cohort given as a csv: stay_id of a list of stays, else hadm_id.
--
-- start and end say which rows belong to a stay; its hours count from clock_zero, T0.
--
-- The columns "condition: …" are the cohort, as in admission.sql. Who is alive and still in the ICU
-- at a prediction time is asked by the tasks, each at its own.

SELECT
    icustays.stay_id AS episode_id,
    icustays.subject_id,
    icustays.hadm_id,
    icustays.stay_id,
    icustays.intime AS start,
    icustays.outtime AS "end",
    -- T0: from intime on, but not before the patient is there.
    GREATEST(icustays.intime, arrivals.first_heart_rate) AS clock_zero,
    -- The last horizon of the tasks; nothing known from then on is data for any of them.
    GREATEST(icustays.intime, arrivals.first_heart_rate) + INTERVAL 48 HOUR AS prediction_time,
    persons.* EXCLUDE (hadm_id, emergency, in_years_of_films)
    REPLACE (
        -- Of an ICU that received the patient before the admission was registered, from then on.
        LEAST(persons.observed_from, icustays.intime) AS observed_from
    ),
    icustays.first_careunit,
    -- Negative where the ICU received the patient before the admission was registered.
    ROUND(DATE_DIFF('second', admissions.admittime, icustays.intime) / 3600.0, 4) AS hours_to_icu,

    TRUE
        AS "condition: ICU stays of the source",
    -- A stay without either time, or that ends before it begins, says nothing about any hour.
    icustays.intime < icustays.outtime
        AS "condition: that end after they begin",
    -- Without one nobody knows when the patient came, or whether.
    arrivals.first_heart_rate IS NOT NULL
        AS "condition: with a charted heart rate (its first is the patient's arrival)",
    possible.possible
        AS "condition: of admissions with times that are possible",
    -- A patient is in one place at a time: which of the two stays is wrong is not told.
    icustays.stay_id NOT IN (SELECT stay_id FROM overlapping)
        AS "condition: that overlap no stay under another admission",
    icustays.stay_id IN (SELECT stay_id FROM ids)
    OR icustays.hadm_id IN (SELECT hadm_id FROM ids WHERE stay_id IS NULL)
        AS "condition: on the list {ids}",
    conditions.* EXCLUDE (hadm_id),
    icustays.stay_id IN (SELECT stay_id FROM first_stays)
        AS "condition if first_stay: that are the first of their patient"
FROM icustays
INNER JOIN admissions USING (subject_id, hadm_id)
INNER JOIN persons USING (hadm_id)
INNER JOIN possible USING (hadm_id)
INNER JOIN conditions USING (hadm_id)
LEFT JOIN arrivals USING (stay_id)
