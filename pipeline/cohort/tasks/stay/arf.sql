-- Task arf: acute respiratory failure. Of those alive, still in the ICU and not ventilated so far
-- at T, who is ventilated at T or later in this stay? (unimed2022.md, section 3.)
-- Kind: binary. Tables: episodes, admissions, chartevents, procedureevents.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

WITH marks AS (
    -- ASSUME that any charted PEEP, 0 included, means a ventilator, as the predecessor does.
    SELECT stay_id, hadm_id, charttime AS onset, 'peep' AS mark
    FROM chartevents
    WHERE itemid = 220339
    UNION ALL
    SELECT
        stay_id,
        hadm_id,
        starttime AS onset,
        CASE itemid WHEN 225792 THEN 'invasive' ELSE 'non-invasive' END AS mark
    FROM procedureevents
    WHERE itemid IN (225792, 225794)
),

-- A row belongs to the stay that it names; one that names none to the stay that it falls into.
-- ASSUME that a row of a stay from before its clock_zero (ventilated on arrival), or even before
-- its intime, is an onset before T, hence no incident case; and that a row from after its outtime
-- is none of it.
located AS (
    SELECT episodes.episode_id, marks.onset, marks.mark
    FROM marks
    INNER JOIN episodes USING (stay_id)
    WHERE marks.onset <= episodes."end"
    UNION ALL
    SELECT episodes.episode_id, marks.onset, marks.mark
    FROM marks
    INNER JOIN episodes ON marks.stay_id IS NULL AND marks.hadm_id = episodes.hadm_id
    WHERE marks.onset >= episodes.start AND marks.onset < episodes."end"
),

first_onset AS (
    -- Marks of the same minute: the procedure names the event, the charted PEEP follows from it.
    SELECT episode_id, onset, mark
    FROM located
    QUALIFY ROW_NUMBER() OVER (PARTITION BY episode_id ORDER BY onset, mark) = 1
),

clock AS (
    SELECT
        episodes.episode_id,
        episodes.clock_zero,
        episodes."end",
        episodes.clock_zero + TO_HOURS($hours) AS prediction_time,
        admissions.deathtime,
        first_onset.onset,
        first_onset.mark
    FROM episodes
    INNER JOIN admissions USING (hadm_id)
    LEFT JOIN first_onset USING (episode_id)
)

SELECT
    episode_id,

    deathtime IS NULL OR deathtime > prediction_time
        AS "condition: alive at T = {hours} h",
    "end" > prediction_time
        AS "condition: still in the ICU at T",
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
FROM clock
