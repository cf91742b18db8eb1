-- Who is alive and still there, in the hospital or in the ICU, at the prediction time: one row per
-- episode, with clock_zero and prediction_time.
-- Tables: episodes, admissions.
-- Setting: $hours, from clock_zero to the prediction; null: to the end of the cohort's window. What
-- happens at the prediction time itself is not known before it: who leaves or dies then is not at
-- risk.

WITH clock AS (
    SELECT
        episode_id,
        clock_zero,
        COALESCE(clock_zero + TO_HOURS(CAST($hours AS BIGINT)), prediction_time) AS prediction_time
    FROM episodes
)

SELECT
    clock.episode_id,
    episodes.hadm_id,
    clock.clock_zero,
    clock.prediction_time,
    admissions.deathtime IS NULL OR admissions.deathtime > clock.prediction_time AS alive,
    episodes."end" > clock.prediction_time AS still_there
FROM clock
INNER JOIN episodes USING (episode_id)
INNER JOIN admissions USING (hadm_id)
