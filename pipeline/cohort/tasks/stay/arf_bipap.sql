-- Task arf_bipap: acute respiratory failure, charted BiPAP and CPAP included. Of those alive, still
-- in the ICU and without any of its marks so far at T, who gets one at T or later in this stay?
-- A variant of arf.sql (unimed2022.md, section 3): settings of a BiPAP or CPAP mask are charted for
-- some stays without a procedure of non-invasive ventilation.
-- Kind: binary. Views: at_risk, in_icu, ventilation, located_chartevents.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

WITH marks AS (
    SELECT episode_id, onset, mark
    FROM ventilation
    UNION ALL
    -- ASSUME that any charted value means that the mask is on.
    SELECT episode_id, charttime AS onset, 'mask' AS mark
    FROM located_chartevents
    WHERE
        itemid IN (
            227577,  -- BiPap Mode
            227578,  -- BiPap Mask
            227579,  -- BiPap EPAP
            227580,  -- BiPap IPAP
            227583   -- Autoset/CPAP
        )
),

first_onset AS (
    -- Marks of the same minute: the procedure names the event, charted settings follow from it, the
    -- mask's only where nothing else tells of a ventilator.
    SELECT episode_id, onset, mark
    FROM marks
    QUALIFY ROW_NUMBER() OVER (PARTITION BY episode_id ORDER BY onset, mark = 'mask', mark) = 1
)

SELECT
    in_icu.*,
    onset IS NULL OR onset >= prediction_time
        AS "condition: without respiratory failure before T",

    COALESCE(onset >= prediction_time, FALSE) AS label,

    ROUND(DATE_DIFF('second', clock_zero, onset) / 3600.0, 4) AS onset_hours,

    COALESCE(onset < prediction_time + INTERVAL 24 HOUR, FALSE)
        AS "count: onset within 24 h from T on",
    COALESCE(mark = 'mask', FALSE)
        AS "count: onset is a charted BiPAP or CPAP without ventilation up to then"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
LEFT JOIN first_onset USING (episode_id)
