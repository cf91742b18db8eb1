-- What is odd where ICU stays are the unit, beyond oddities.sql: one row, one named count per
-- column, for the log. Those left out are by a condition of units/stay.sql.
-- Tables: patients, admissions, icustays. Views: possible, arrivals.

WITH timed AS (
    SELECT possible.*
    FROM icustays
    INNER JOIN admissions USING (subject_id, hadm_id)
    INNER JOIN possible USING (hadm_id)
)

SELECT
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
        AS "ICU stays of patients whose dod is before the day of admission (left out)"
