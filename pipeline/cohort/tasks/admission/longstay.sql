-- Task longstay: of those alive and in hospital at the prediction time, who stays beyond 168 h?
-- Kind: binary. Tables: admissions. Views: at_risk.
-- One row per episode; columns as in mortality.sql.

SELECT
    at_risk.episode_id,

    at_risk.still_there
        AS "condition: in hospital at the prediction time",
    at_risk.alive
        AS "condition: alive at the prediction time",

    -- A death before 168 h ends the stay and makes it a short one: a negative. It is no good
    -- outcome, so a sensitivity analysis leaves these out (without/longstay.sql).
    admissions.dischtime > admissions.admittime + INTERVAL 168 HOUR AS label
FROM at_risk
INNER JOIN admissions USING (hadm_id)
