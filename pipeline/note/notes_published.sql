-- Reports of every episode as Wang et al. 2024 select them: charted in the window and before the
-- discharge, whenever they were stored (wang2024.md 6.12).
-- Views: episodes, notes, admissions (dischtime).
SELECT
    e.episode_id,
    n.note_id,
    CAST(date_diff('minute', e.start, n.charttime) AS INTEGER) AS minute,
    FALSE AS stood_in
FROM notes AS n
JOIN episodes AS e USING (subject_id, hadm_id)
JOIN admissions AS a USING (subject_id, hadm_id)
WHERE n.charttime > e.start AND n.charttime <= e.prediction_time AND n.charttime < a.dischtime
    -- Rows with any null are dropped: without hadm_id none is joined, without charttime or text
    -- none is left by the cleaning. ASSUME that of the other columns storetime alone is ever null.
    AND n.storetime IS NOT NULL
ORDER BY ALL
