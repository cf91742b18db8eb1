-- Reports of every episode, admission or ICU stay, that were known before the cut (the prediction
-- time, or with the rule off long after it), whatever the task: those of its admission from the
-- emergency department on, so of a stay also those before the ICU. Two stays of one admission share
-- reports.
-- Views: episodes, notes (the cleaned reports).
-- The known_notes field is the time column of the availability table of the config, the
-- stands_in_notes field says that the first of its columns is null, the field admissions is
-- observed.sql of the room stage.
WITH admissions AS (
    {admissions}
)
SELECT
    e.episode_id,
    n.note_id,
    -- Whole minutes from clock zero to knowledge, rounded down: a report is known before hour T if
    -- and only if minute < 60 T, to the second.
    CAST(
        floor(date_diff('second', e.clock_zero, greatest(n.charttime, {known_notes})) / 60)
        AS INTEGER
    ) AS minute,
    {stands_in_notes} AS stood_in
FROM notes AS n
JOIN admissions AS a
    ON a.subject_id = n.subject_id
    AND (
        n.hadm_id = a.hadm_id
        OR n.hadm_id IS NULL AND (a.next_from IS NULL OR n.charttime < a.next_from)
    )
JOIN episodes AS e ON e.subject_id = a.subject_id AND e.hadm_id = a.hadm_id
WHERE n.charttime >= a.since AND n.charttime < e.{cut} AND {known_notes} < e.{cut}
ORDER BY ALL
