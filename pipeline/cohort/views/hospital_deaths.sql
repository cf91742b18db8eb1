-- Which admissions end in death: one row per admission of the source.
-- Tables: admissions.
--
-- Three columns tell of a death in hospital. Where they disagree hospital_expire_flag wins: it says
-- that and nothing else, and MIMIC fills it in for every admission, while the other two are null
-- for many. Only where the flag itself is null they decide.

SELECT
    hadm_id,
    deathtime,
    dischtime,
    COALESCE(
        hospital_expire_flag = 1, deathtime IS NOT NULL OR discharge_location = 'DIED', FALSE
    ) AS died,
    (hospital_expire_flag = 1) IS DISTINCT FROM (COALESCE(discharge_location, '') = 'DIED')
        AS location_disagrees,
    (hospital_expire_flag = 1) IS DISTINCT FROM (deathtime IS NOT NULL) AS deathtime_disagrees
FROM admissions
