-- What is odd in the source tables, counted for the log: one row, one named count per column.
-- What is said to be left out is, by a condition of stays.sql; so are the stays of admissions whose
-- times are impossible, which are counted with the episodes (episodes_oddities.sql) and here.

WITH timed AS (
    SELECT possible.*
    FROM icustays
    INNER JOIN admissions USING (subject_id, hadm_id)
    INNER JOIN possible USING (hadm_id)
)

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
    (SELECT COUNT(*) FROM icustays ANTI JOIN arrivals USING (stay_id))
        AS "ICU stays without a heart rate (not used)",
    (SELECT COUNT(*) FROM icustays INNER JOIN arrivals USING (stay_id)
        WHERE first_heart_rate < intime)
        AS "ICU stays whose first heart rate lies before intime (their hours count from intime)",
    (SELECT COUNT(*) FROM icustays INNER JOIN arrivals USING (stay_id)
        WHERE first_heart_rate > outtime)
        AS "ICU stays whose first heart rate lies after outtime (of no task)",
    (SELECT COUNT(*) FROM icustays ANTI JOIN patients USING (subject_id))
        AS "ICU stays whose subject_id is not in patients (age unknown)",
    (SELECT COUNT(*) FROM timed WHERE endless)
        AS "ICU stays of admissions without dischtime (left out)",
    (SELECT COUNT(*) FROM timed WHERE ends_before)
        AS "ICU stays of admissions discharged before they began (left out)",
    (SELECT COUNT(*) FROM timed WHERE dies_before)
        AS "ICU stays of admissions with a deathtime before they began (left out)",
    (SELECT COUNT(*) FROM timed WHERE dead_before)
        AS "ICU stays of patients whose dod is before the day of admission (left out)",
    (SELECT COUNT(*) FROM overlapping)
        AS "ICU stays that overlap a stay of the same patient under another admission (left out)",
    (SELECT COUNT(*) FROM ids ANTI JOIN admissions USING (hadm_id))
        AS "ids of the list that are not in admissions (not used)"
