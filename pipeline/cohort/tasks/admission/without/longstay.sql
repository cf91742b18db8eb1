-- Sensitivity analysis of task longstay: whom it leaves out.
-- Tables: episodes, admissions.
-- One row per episode; columns as in mortality.sql.

SELECT
    episodes.episode_id,

    -- A death before 168 h ends the stay and makes it a short one; it is no good outcome.
    admissions.dischtime <= admissions.admittime + INTERVAL 168 HOUR
    AND COALESCE(admissions.hospital_expire_flag = 1, admissions.deathtime IS NOT NULL)
        AS "without: deaths within 168 h, which are negatives"
FROM episodes
INNER JOIN admissions USING (hadm_id)
