-- Task longstay: of those alive and in hospital at the prediction time, who stays beyond 168 h?
-- Kind: binary. Tables: episodes, admissions. Views: in_hospital.
-- One row per episode; columns as in mortality.sql.

SELECT
    in_hospital.*,

    -- A death before 168 h ends the stay and makes it a short one: a negative. It is no good
    -- outcome, so a sensitivity analysis leaves these out (without/longstay.sql).
    admissions.dischtime > admissions.admittime + INTERVAL 168 HOUR AS label
FROM in_hospital
INNER JOIN episodes USING (episode_id)
INNER JOIN admissions USING (hadm_id)
