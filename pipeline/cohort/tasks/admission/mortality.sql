-- Task mortality: of those alive and in hospital at the prediction time, who dies in this
-- admission?
-- Kind: binary. Tables: episodes. Views: in_hospital, hospital_deaths.
-- One row per episode.
--
-- Columns: "condition: …" make an episode eligible, applied in this order and named so in the
-- attrition table; label is what is predicted; "count: …" is counted among the eligible, as a
-- remark in log and attrition file. Sensitivity analyses are in without/mortality.sql.

SELECT
    in_hospital.*,

    hospital_deaths.died AS label,

    hospital_deaths.location_disagrees
        AS "count: hospital_expire_flag and discharge_location disagree about the death",
    hospital_deaths.deathtime_disagrees
        AS "count: hospital_expire_flag and deathtime disagree about the death"
FROM in_hospital
INNER JOIN episodes USING (episode_id)
INNER JOIN hospital_deaths USING (hadm_id)
