-- Task shock_sustained: of those alive, still in the ICU and without sustained shock so far at T,
-- in whom does a vasopressor that runs for 60 minutes or more begin at T or later in this stay?
-- A variant of shock.sql, which counts a minute of any vasopressor.
-- Kind: binary. Views: at_risk, in_icu, vasopressors.
-- Setting: $hours, from clock_zero to T. One row per stay; columns as in mortality.sql beside this.
--
-- A change of the rate ends a row and begins the next: rows of one drug that touch or overlap are
-- one run, as in mimic-code's vasopressor_durations (there of all drugs together). The label asks
-- when the run began; onset_hours is when it had lasted 60 minutes, for nobody knows the onset
-- before, and the model's feedback must not.
-- That a run lasts 60 minutes is known 60 minutes after it began, so that at T nobody knows it of
-- one that began less than an hour before. Whether a stay is asked about must not depend on what
-- comes after T: it is left out if a run that began before T had lasted 60 minutes by T or was
-- still running at T, whatever became of it. A shorter run that had ended by then leaves it in.

WITH so_far AS (
    SELECT
        *,
        MAX(endtime) OVER (
            PARTITION BY episode_id, drug
            ORDER BY starttime, endtime
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier_end
    FROM vasopressors
    -- ASSUME that a row without an end, or that ends before it begins, is no time of a drug.
    WHERE endtime >= starttime
),

numbered AS (
    SELECT
        *,
        SUM(CASE WHEN starttime <= earlier_end THEN 0 ELSE 1 END) OVER (
            PARTITION BY episode_id, drug
            ORDER BY starttime, endtime
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS number
    FROM so_far
),

runs AS (
    SELECT
        episode_id,
        MIN(starttime) AS onset,
        MAX(endtime) AS stop
    FROM numbered
    GROUP BY episode_id, drug, number
),

first_onset AS (
    SELECT episode_id, MIN(onset) AS onset
    FROM runs
    WHERE stop >= onset + INTERVAL 60 MINUTE
    GROUP BY episode_id
),

prevalent AS (
    -- A run that ends at T itself is not known before T to have ended.
    SELECT DISTINCT runs.episode_id
    FROM runs
    INNER JOIN at_risk USING (episode_id)
    WHERE
        runs.onset < at_risk.prediction_time
        AND (
            runs.stop >= at_risk.prediction_time
            OR runs.stop >= runs.onset + INTERVAL 60 MINUTE
        )
)

SELECT
    in_icu.*,
    at_risk.episode_id NOT IN (SELECT episode_id FROM prevalent)
        AS "condition: without sustained shock, or a vasopressor that still runs, before T",

    COALESCE(onset >= prediction_time, FALSE) AS label,

    ROUND(DATE_DIFF('second', clock_zero, onset + INTERVAL 60 MINUTE) / 3600.0, 4) AS onset_hours,

    COALESCE(onset < prediction_time + INTERVAL 24 HOUR, FALSE)
        AS "count: onset within 24 h from T on",
    at_risk.episode_id IN (
        SELECT runs.episode_id
        FROM runs
        INNER JOIN at_risk AS asked USING (episode_id)
        WHERE runs.onset < asked.prediction_time
    )
        AS "count: with a shorter run that ended before T"
FROM at_risk
INNER JOIN in_icu USING (episode_id)
LEFT JOIN first_onset USING (episode_id)
