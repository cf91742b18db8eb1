-- What is odd in the source tables, counted for the log: one row, one named count per column.
-- None of these rows is altered. A cohort leaves some out by a condition, which its attrition table
-- counts: impossible times (not as published), and ICU stays that overlap where they are the unit.
-- Tables: patients, admissions, icustays. Views: possible, overlapping.
-- ids: as in units/admission.sql. Setting: $last_year.

SELECT
    (SELECT COUNT(*) FROM possible WHERE endless)
        AS "admissions without dischtime (impossible times)",
    (SELECT COUNT(*) FROM possible WHERE ends_before)
        AS "admissions discharged before they began (impossible times)",
    (SELECT COUNT(*) FROM possible WHERE dies_before)
        AS "admissions with a deathtime before they began (impossible times)",
    (SELECT COUNT(*) FROM possible WHERE dead_before)
        AS "admissions of patients whose dod is an earlier day (impossible times)",
    (SELECT COUNT(*) FROM admissions WHERE edregtime > admittime)
        AS "admissions with a later registration in the emergency department (not used)",
    (SELECT COUNT(*) FROM admissions ANTI JOIN patients USING (subject_id))
        AS "admissions whose subject_id is not in patients (age unknown)",
    (SELECT COUNT(*) FROM patients
        WHERE TRY_CAST(LEFT(anchor_year_group, 4) AS BIGINT) > $last_year)
        AS "patients whose anchor_year_group is after the last year of the release",
    (SELECT COUNT(*) FROM icustays ANTI JOIN admissions USING (subject_id, hadm_id))
        AS "ICU stays whose subject_id, hadm_id are not in admissions (not used)",
    (SELECT COUNT(*) FROM icustays WHERE intime IS NULL)
        AS "ICU stays without intime (not used)",
    -- Which of the two the patient was in is not told. Where admissions are the unit a stay tells
    -- that its admission was in an ICU, so that both stay in; as a unit both are left out.
    (SELECT COUNT(*) FROM overlapping)
        AS "ICU stays that overlap a stay of the same patient under another admission",
    (SELECT COUNT(*) FROM ids ANTI JOIN admissions USING (hadm_id))
        AS "ids of the list that are not in admissions (not used)"
