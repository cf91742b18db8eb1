-- Task arf: acute respiratory failure. Of those alive, still in the ICU and not ventilated so far
-- at T, who is ventilated at T or later in this stay? (unimed2022.md, section 3.)
-- Kind: binary. Views: at_risk, in_icu, ventilation.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

WITH first_onset AS (
    -- Marks of the same minute: the procedure names the event, the charted PEEP follows from it.
    SELECT episode_id, onset, mark
    FROM ventilation
    QUALIFY ROW_NUMBER() OVER (PARTITION BY episode_id ORDER BY onset, mark) = 1
)

SELECT
    in_icu.*,
    onset IS NULL OR onset >= prediction_time
        AS "condition: without respiratory failure before T",

    COALESCE(onset >= prediction_time, FALSE) AS label,

    ROUND(DATE_DIFF('second', clock_zero, onset) / 3600.0, 4) AS onset_hours,

    COALESCE(onset < prediction_time + INTERVAL 24 HOUR, FALSE)
        AS "count: onset within 24 h from T on",
    COALESCE(mark = 'invasive', FALSE)
        AS "count: onset is invasive ventilation",
    COALESCE(mark = 'non-invasive', FALSE)
        AS "count: onset is non-invasive ventilation",
    COALESCE(mark = 'peep', FALSE)
        AS "count: onset is a PEEP without a procedure up to then"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
LEFT JOIN first_onset USING (episode_id)
