-- Sensitivity analyses of task mortality of ICU stays: whom each of them leaves out.
-- Tables: episodes, admissions.
-- Views: limits. Setting: $hours, from clock_zero to T. One row per stay;
-- columns, and why, as in ../../admission/without/mortality.sql.

WITH known AS (
    -- What is known before T, as all data of a stay, [0, T); of an earlier stay of the admission,
    -- too.
    SELECT
        episodes.episode_id,
        COALESCE(limits.limited_from < clock_zero + TO_HOURS($hours), FALSE) AS limited,
        COALESCE(limits.untold_from < clock_zero + TO_HOURS($hours), FALSE) AS untold
    FROM episodes
    LEFT JOIN limits USING (hadm_id)
)

SELECT
    episodes.episode_id,

    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
    AND NOT COALESCE(admissions.hospital_expire_flag = 1, admissions.deathtime IS NOT NULL)
        AS "without: discharges to a hospice, which are negatives",
    known.limited
        AS "without: comfort measures or DNR charted before T = {hours} h",

    known.untold AND NOT known.limited
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN admissions USING (hadm_id)
INNER JOIN known USING (episode_id)
