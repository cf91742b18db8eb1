-- Sensitivity analyses of task mortality of ICU stays: whom each of them leaves out.
-- Tables: episodes. Views: hospice, limited. In a name stands {hours}, from clock_zero to T.
-- One row per stay; columns as in ../../admission/without/mortality.sql.

SELECT
    episodes.episode_id,

    hospice.to_hospice
        AS "without: discharges to a hospice, which are negatives",
    limited.limited
        AS "without: comfort measures or DNR charted before T = {hours} h",

    limited.untold
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN hospice USING (hadm_id)
INNER JOIN limited USING (episode_id)
