-- What is odd in the source tables, counted for the log: one row, one named count per column.

SELECT
    (SELECT COUNT(*) FROM icustays ANTI JOIN admissions USING (subject_id, hadm_id))
        AS "ICU stays whose subject_id, hadm_id are not in admissions (not used)",
    (SELECT COUNT(*) FROM icustays WHERE intime IS NULL)
        AS "ICU stays without intime (not used)",
    (SELECT COUNT(*) FROM icustays WHERE outtime IS NULL)
        AS "ICU stays without outtime (not used)",
    (SELECT COUNT(*) FROM icustays WHERE outtime <= intime)
        AS "ICU stays that end before they begin, or as they do (not used)",
    (SELECT COUNT(*) FROM icustays INNER JOIN admissions USING (subject_id, hadm_id)
        WHERE intime < admittime)
        AS "ICU stays that begin before their admission",
    (SELECT COUNT(*) FROM icustays ANTI JOIN patients USING (subject_id))
        AS "ICU stays whose subject_id is not in patients (age unknown)",
    (SELECT COUNT(*) FROM ids ANTI JOIN admissions USING (hadm_id))
        AS "ids of the list that are not in admissions (not used)"
