-- Films of every episode, whatever the task, that were taken before the cut (the prediction time,
-- or with the rule off long after it). MIMIC-CXR has no hadm_id: a film belongs to the one
-- admission whose observation it falls into, the latest that had begun.
-- Views: episodes, films (films_views.sql).
-- The known_films field is the time column of the availability table of the config.
WITH windows AS (
    SELECT
        episode_id, subject_id, start, observed_from, {cut} AS cut,
        lead(observed_from) OVER (
            PARTITION BY subject_id ORDER BY observed_from, hadm_id
        ) AS next_from
    FROM episodes
)
SELECT
    w.episode_id,
    f.dicom_id,
    f.subject_id,
    f.study_id,
    -- Whole minutes since the admission, rounded down.
    CAST(floor(date_diff('second', w.start, {known_films}) / 60) AS INTEGER) AS minute
FROM films AS f
JOIN windows AS w USING (subject_id)
WHERE {known_films} >= w.observed_from
    AND {known_films} < w.cut
    AND (w.next_from IS NULL OR {known_films} < w.next_from)
ORDER BY ALL
