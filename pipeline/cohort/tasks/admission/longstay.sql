-- Task longstay: of those alive and in hospital at the prediction time, who stays beyond 168 h?
-- Kind: binary. Tables: episodes, admissions.
-- One row per episode; columns as in mortality.sql.

SELECT
    episodes.episode_id,

    admissions.dischtime > episodes.prediction_time
        AS "condition: in hospital at the prediction time",
    admissions.deathtime IS NULL OR admissions.deathtime > episodes.prediction_time
        AS "condition: alive at the prediction time",

    -- A death before 168 h ends the stay and makes it a short one: a negative. It is no good
    -- outcome, so a sensitivity analysis leaves these out (without/longstay.sql).
    admissions.dischtime > admissions.admittime + INTERVAL 168 HOUR AS label
FROM episodes
INNER JOIN admissions USING (hadm_id)
