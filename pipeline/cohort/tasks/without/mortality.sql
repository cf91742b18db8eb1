-- Sensitivity analyses of task mortality: whom each of them leaves out.
-- Tables: episodes, admissions, patients, limits (without_limits.sql). One row per episode.
--
-- Columns: "without: …" is true for the episodes that an analysis leaves out, and names it so;
-- "count: …" is counted among the eligible, for the log.

WITH limited AS (
    SELECT
        episodes.episode_id,
        BOOL_OR(limits.limited) AS limited,
        BOOL_OR(limits.untold) AS untold
    FROM episodes
    INNER JOIN limits USING (hadm_id)
    WHERE limits.charttime <= episodes.prediction_time
    GROUP BY episodes.episode_id
)

SELECT
    episodes.episode_id,

    -- Who is sent to die elsewhere counts as a survivor of this admission. 'HOSPICE' is the one
    -- value of MIMIC-IV's discharge_location that says so.
    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
        AS "without: discharges to a hospice, which are negatives",
    -- Treatment was limited when the prediction was made: the death was then foreseen, or accepted.
    COALESCE(limited.limited, FALSE)
        AS "without: comfort measures or DNR charted by the prediction time",

    COALESCE(limited.untold AND NOT limited.limited, FALSE)
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN admissions USING (hadm_id)
LEFT JOIN limited USING (episode_id)
