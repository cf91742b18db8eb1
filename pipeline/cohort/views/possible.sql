-- Which admissions have times that are possible, and by which the patient came: one row each.
-- Tables: admissions, patients.
--
-- Without a discharge, or with one before the admission, nobody knows who was there when; and a
-- patient who had died before (by deathtime, or by dod on an earlier day) was not admitted, so that
-- the row is of somebody else or of another time. (MIMIC keeps accounts of organ donors as
-- admissions, some of negative length.) None of it depends on the patient's course.

SELECT
    admissions.hadm_id,
    admissions.dischtime IS NULL AS endless,
    COALESCE(admissions.dischtime < admissions.admittime, FALSE) AS ends_before,
    COALESCE(admissions.deathtime < admissions.admittime, FALSE) AS dies_before,
    COALESCE(CAST(patients.dod AS DATE) < CAST(admissions.admittime AS DATE), FALSE) AS dead_before,
    NOT (endless OR ends_before OR dies_before OR dead_before) AS possible,
    -- ASSUME that an admission of which only the end is unknown is a true one: the patient came, so
    -- it is a return. It is no episode, for nobody knows whether she was still there.
    NOT (ends_before OR dies_before OR dead_before) AS came
FROM admissions
LEFT JOIN patients USING (subject_id)
