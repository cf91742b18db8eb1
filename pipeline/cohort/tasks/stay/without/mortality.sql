-- Sensitivity analyses of task mortality of ICU stays: whom each of them leaves out.
-- Tables: episodes (ICU stays), admissions, limits (without_limits.sql). Setting: $hours, from
-- clock zero to T. One row per stay; columns, and why, as in tasks/without/mortality.sql.

WITH limited AS (
    SELECT
        episodes.episode_id,
        BOOL_OR(limits.limited) AS limited,
        BOOL_OR(limits.untold) AS untold
    FROM episodes
    INNER JOIN limits USING (hadm_id)
    -- prediction_time is the last horizon, 48 h after clock zero; what was charted in an earlier
    -- stay of the admission is known, too
    WHERE limits.charttime <= episodes.prediction_time - INTERVAL 48 HOUR + TO_HOURS($hours)
    GROUP BY episodes.episode_id
)

SELECT
    episodes.episode_id,

    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
        AS "without: discharges to a hospice, which are negatives",
    COALESCE(limited.limited, FALSE)
        AS "without: comfort measures or DNR charted by T = {hours} h",

    COALESCE(limited.untold AND NOT limited.limited, FALSE)
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN admissions USING (hadm_id)
LEFT JOIN limited USING (episode_id)
