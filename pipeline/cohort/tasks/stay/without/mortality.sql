-- Sensitivity analyses of task mortality of ICU stays: whom each of them leaves out.
-- Tables: episodes, admissions.
-- Views: limited. In a name stands {hours}, from clock_zero to T. One row per stay; columns,
-- and why, as in ../../admission/without/mortality.sql.

SELECT
    episodes.episode_id,

    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
    AND NOT COALESCE(admissions.hospital_expire_flag = 1, admissions.deathtime IS NOT NULL)
        AS "without: discharges to a hospice, which are negatives",
    limited.limited
        AS "without: comfort measures or DNR charted before T = {hours} h",

    limited.untold
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN admissions USING (hadm_id)
INNER JOIN limited USING (episode_id)
