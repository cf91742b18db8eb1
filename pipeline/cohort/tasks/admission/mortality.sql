-- Task mortality: of those alive and in hospital at the prediction time, who dies in this
-- admission?
-- Kind: binary. Tables: episodes, admissions.
-- One row per episode.
--
-- Columns: "condition: …" make an episode eligible, applied in this order and named so in the
-- attrition table; label is what is predicted; "count: …" is counted among the eligible, as a
-- remark in log and attrition file. Sensitivity analyses are in without/mortality.sql.

SELECT
    episodes.episode_id,

    admissions.dischtime > episodes.prediction_time
        AS "condition: in hospital at the prediction time",
    admissions.deathtime IS NULL OR admissions.deathtime > episodes.prediction_time
        AS "condition: alive at the prediction time",

    -- Three columns tell of a death in hospital. Where they disagree hospital_expire_flag wins: it
    -- says that and nothing else, and MIMIC fills it in for every admission, while the other two
    -- are null for many. Only where the flag itself is null they decide.
    COALESCE(
        admissions.hospital_expire_flag = 1,
        admissions.deathtime IS NOT NULL OR admissions.discharge_location = 'DIED',
        FALSE
    ) AS label,

    (admissions.hospital_expire_flag = 1)
    IS DISTINCT FROM (COALESCE(admissions.discharge_location, '') = 'DIED')
        AS "count: hospital_expire_flag and discharge_location disagree about the death",
    (admissions.hospital_expire_flag = 1) IS DISTINCT FROM (admissions.deathtime IS NOT NULL)
        AS "count: hospital_expire_flag and deathtime disagree about the death"
FROM episodes
INNER JOIN admissions USING (hadm_id)
