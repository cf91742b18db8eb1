-- The rows of some stays, duplicates once. Values of one variable that were stored together (a
-- nurse confirms the hours since the last round) become known at one time: a step of 4 ms keeps
-- them in the order in which they were charted, so that the last of them is the newest. Source
-- times have whole seconds: the step moves none into another hour.
SELECT DISTINCT
    episode_id, item, aspect, value,
    round(
        hours + 1e-6 * (
            dense_rank() OVER (PARTITION BY episode_id, item, aspect, hours ORDER BY begun) - 1
        ),
        6
    ) AS t
FROM read_parquet($files)
WHERE value IS NOT NULL
