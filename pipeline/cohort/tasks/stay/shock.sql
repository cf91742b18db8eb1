-- Task shock: of those alive, still in the ICU and without a vasopressor so far at T, who gets one
-- at T or later in this stay? (unimed2022.md, section 3.)
-- Kind: binary. Tables: episodes, admissions, inputevents.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.

WITH given AS (
    -- What was ordered but not given, or was rewritten, is no treatment.
    SELECT stay_id, hadm_id, starttime AS onset
    FROM inputevents
    WHERE
        itemid IN (
            221906,                          -- norepinephrine
            221289, 229617,                  -- epinephrine
            221662,                          -- dopamine
            222315,                          -- vasopressin
            221749, 229630, 229631, 229632   -- phenylephrine
        )
        AND amount > 0
        AND COALESCE(statusdescription, '') <> 'Rewritten'
),

-- A row belongs to the stay that it names; one that names none to the stay that it falls into.
-- ASSUME that a row of a stay from before its clock_zero (a drug already running on arrival), or
-- even before its intime, is an onset before T, hence no incident case; and that a row from after
-- its outtime is none of it.
located AS (
    SELECT episodes.episode_id, given.onset
    FROM given
    INNER JOIN episodes USING (stay_id)
    WHERE given.onset <= episodes."end"
    UNION ALL
    SELECT episodes.episode_id, given.onset
    FROM given
    INNER JOIN episodes ON given.stay_id IS NULL AND given.hadm_id = episodes.hadm_id
    WHERE given.onset >= episodes.start AND given.onset < episodes."end"
),

first_onset AS (
    SELECT episode_id, MIN(onset) AS onset
    FROM located
    GROUP BY episode_id
),

clock AS (
    SELECT
        episodes.episode_id,
        episodes.clock_zero,
        episodes."end",
        episodes.clock_zero + TO_HOURS($hours) AS prediction_time,
        admissions.deathtime,
        first_onset.onset
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
        AS "condition: without shock before T",

    COALESCE(onset >= prediction_time, FALSE) AS label,

    ROUND(DATE_DIFF('second', clock_zero, onset) / 3600.0, 4) AS onset_hours,

    COALESCE(onset < prediction_time + INTERVAL 24 HOUR, FALSE)
        AS "count: onset within 24 h from T on"
FROM clock
