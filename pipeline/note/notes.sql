-- Reports of every episode, whatever the task, that were known by the cut: charted in the window
-- and stored by the cut. A report without hadm_id belongs to the admission whose observation it
-- falls into. The known_notes field is the availability table's time column.
WITH windows AS (
    SELECT episode_id, subject_id, hadm_id, start, observed_from, {cut} AS cut FROM episodes
)
SELECT
    w.episode_id,
    n.note_id,
    CAST(date_diff('minute', w.start, n.charttime) AS INTEGER) AS minute
FROM notes AS n
JOIN windows AS w
    ON w.subject_id = n.subject_id AND (n.hadm_id IS NULL OR n.hadm_id = w.hadm_id)
WHERE n.charttime > w.observed_from AND n.charttime <= w.cut AND {known_notes} <= w.cut
ORDER BY ALL
