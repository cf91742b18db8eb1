-- The rows of some episodes, duplicates once; `prefix` and `aspect` go round the item's name.
-- Values of one variable that were stored together (a nurse confirms the hours since the last
-- round) become known at one time: a step of 4 ms keeps them in the order in which they were
-- charted, so that the last of them is the newest. Source times have whole seconds: the step moves
-- none into another hour.
SELECT DISTINCT
    episode_id, item, '' AS prefix, aspect, value,
    round(
        hours + 1e-6 * (
            dense_rank() OVER (PARTITION BY episode_id, item, aspect, hours ORDER BY begun) - 1
        ),
        6
    ) AS t
FROM read_parquet($files)
WHERE value IS NOT NULL AND (hours IS NULL OR hours >= 0)
-- What was known before clock zero is time-invariant, and so is how long ago. No name of another
-- variable begins so: those begin with their source, or are in long_items.csv, or are columns of
-- the episodes.
UNION ALL
SELECT episode_id, item, 'before: ', aspect, value, NULL
FROM read_parquet($files)
WHERE hours < 0 AND value IS NOT NULL
UNION ALL
SELECT episode_id, item, 'hours since: ', aspect, as_text(-hours), NULL
FROM read_parquet($files)
WHERE hours < 0 AND value IS NOT NULL
