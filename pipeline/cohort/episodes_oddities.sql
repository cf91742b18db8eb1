-- What is odd in the source tables, counted for the log: one row, one named count per column.
-- None of these rows is altered. The episodes of the first drop out by the tasks' conditions.

SELECT
    (SELECT COUNT(*) FROM admissions WHERE dischtime < admittime)
        AS "admissions discharged before they began",
    (SELECT COUNT(*) FROM admissions WHERE edregtime > admittime)
        AS "admissions with a later registration in the emergency department (not used)",
    (SELECT COUNT(*) FROM admissions ANTI JOIN patients USING (subject_id))
        AS "admissions whose subject_id is not in patients (age unknown)",
    (SELECT COUNT(*) FROM icustays ANTI JOIN admissions USING (subject_id, hadm_id))
        AS "ICU stays whose subject_id, hadm_id are not in admissions (not used)",
    (SELECT COUNT(*) FROM icustays WHERE intime IS NULL)
        AS "ICU stays without intime (not used)",
    (SELECT COUNT(*) FROM ids ANTI JOIN admissions USING (hadm_id))
        AS "ids of the list that are not in admissions (not used)"
