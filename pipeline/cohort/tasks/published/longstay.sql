-- Task longstay as published by Wang et al. 2024: of stays of 72 h or more, which exceed 168 h?
-- Kind: binary. Tables: episodes, admissions.
-- One row per episode; columns as in ../admission/mortality.sql.
--
-- Who is left out depends on the length of the stay, which nobody knows at 48 h: it looks ahead.

SELECT
    episodes.episode_id,
    admissions.dischtime >= admissions.admittime + INTERVAL 72 HOUR
        AS "condition, looking ahead: stay of 72 h or more",
    admissions.dischtime > admissions.admittime + INTERVAL 168 HOUR AS label
FROM episodes
INNER JOIN admissions USING (hadm_id)
