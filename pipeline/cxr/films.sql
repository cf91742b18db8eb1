-- Films of every episode, admission or ICU stay, that were taken before the cut (the prediction
-- time, or with the rule off long after it), whatever the task: those of its admission from the
-- emergency department on, so of a stay also those before the ICU. MIMIC-CXR has no hadm_id. Two
-- stays of one admission share films.
-- Views: episodes, films (films_views.sql).
-- The known_films field is the time column of the availability table of the config, the field
-- admissions is observed.sql of the room stage.
WITH admissions AS (
    {admissions}
)
SELECT
    e.episode_id,
    f.dicom_id,
    f.subject_id,
    f.study_id,
    -- Whole minutes since clock zero, rounded down: a film is known before hour T if and only if
    -- minute < 60 T, to the second.
    CAST(floor(date_diff('second', e.clock_zero, {known_films}) / 60) AS INTEGER) AS minute
FROM films AS f
JOIN admissions AS a
    ON a.subject_id = f.subject_id
    AND {known_films} >= a.since
    AND (a.next_from IS NULL OR {known_films} < a.next_from)
JOIN episodes AS e ON e.subject_id = a.subject_id AND e.hadm_id = a.hadm_id
WHERE {known_films} < e.{cut}
ORDER BY ALL
