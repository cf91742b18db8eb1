-- Task shock: of those alive, still in the ICU and without a vasopressor so far at T, who gets one
-- at T or later in this stay? (unimed2022.md, section 3.)
-- Kind: binary. Views: at_risk, in_icu, vasopressors.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

WITH first_onset AS (
    SELECT episode_id, MIN(starttime) AS onset
    FROM vasopressors
    GROUP BY episode_id
)

SELECT
    in_icu.*,
    onset IS NULL OR onset >= prediction_time
        AS "condition: without shock before T",

    COALESCE(onset >= prediction_time, FALSE) AS label,

    ROUND(DATE_DIFF('second', clock_zero, onset) / 3600.0, 4) AS onset_hours,

    COALESCE(onset < prediction_time + INTERVAL 24 HOUR, FALSE)
        AS "count: onset within 24 h from T on"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
LEFT JOIN first_onset USING (episode_id)
