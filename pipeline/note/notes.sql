-- Reports of every episode, whatever the task, that were known before the cut: charted in the
-- observation and stored before the cut. The known_notes field is the time column of the config's
-- availability table, the stands_in_notes field says that the first of its columns is null.
WITH windows AS (
    SELECT
        episode_id, subject_id, hadm_id, start, observed_from, {cut} AS cut,
        lead(observed_from) OVER (
            PARTITION BY subject_id ORDER BY observed_from, hadm_id
        ) AS next_from
    FROM episodes
)
SELECT
    w.episode_id,
    n.note_id,
    -- Whole minutes from the admission to knowledge, rounded down.
    CAST(
        floor(date_diff('second', w.start, greatest(n.charttime, {known_notes})) / 60) AS INTEGER
    ) AS minute,
    {stands_in_notes} AS stood_in
FROM notes AS n
-- A report without hadm_id belongs to the one admission whose observation it falls into: the latest
-- that had begun.
JOIN windows AS w
    ON w.subject_id = n.subject_id
    AND (
        n.hadm_id = w.hadm_id
        OR n.hadm_id IS NULL AND (w.next_from IS NULL OR n.charttime < w.next_from)
    )
WHERE n.charttime >= w.observed_from AND n.charttime < w.cut AND {known_notes} < w.cut
ORDER BY ALL
