-- Sensitivity analyses of task mortality: whom each of them leaves out.
-- Tables: episodes. Views: hospice, limited. One row per episode.
--
-- Columns: "without: …" is true for the episodes that an analysis leaves out, and names it so;
-- "count: …" is counted among the eligible, for the log.

SELECT
    episodes.episode_id,

    hospice.to_hospice
        AS "without: discharges to a hospice, which are negatives",
    limited.limited
        AS "without: comfort measures or DNR charted by the prediction time",

    limited.untold
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN hospice USING (hadm_id)
INNER JOIN limited USING (episode_id)
