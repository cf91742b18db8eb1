-- Sensitivity analyses of task mortality: whom each of them leaves out.
-- Tables: episodes, admissions.
-- Views: limited. One row per episode.
--
-- Columns: "without: …" is true for the episodes that an analysis leaves out, and names it so;
-- "count: …" is counted among the eligible, for the log.

SELECT
    episodes.episode_id,

    -- Who is sent to die elsewhere counts as a survivor of this admission. 'HOSPICE' is the one
    -- value of MIMIC-IV's discharge_location that says so. Whose death is recorded all the same is
    -- a positive (../mortality.sql), and stays.
    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
    AND NOT COALESCE(admissions.hospital_expire_flag = 1, admissions.deathtime IS NOT NULL)
        AS "without: discharges to a hospice, which are negatives",
    limited.limited
        AS "without: comfort measures or DNR charted by the prediction time",

    limited.untold
        AS "count: with a code status charted by then of which the text is missing"
FROM episodes
INNER JOIN admissions USING (hadm_id)
INNER JOIN limited USING (episode_id)
